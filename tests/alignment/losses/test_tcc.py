"""Temporal cycle-consistency against plain loops, its random cycles, and its edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.config import TccConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.tcc import drawn, tcc_loss
from tests.alignment.losses.made import nothing_valid, rows

LOSSES = ("regression_mse_var", "regression_mse", "regression_huber", "classification")


def by_loops(emb: Tensor, frames: Frames, config: TccConfig) -> float:
    """Pair by pair and frame by frame, on the valid frames cut out."""

    def similar(a: Tensor, b: Tensor) -> Tensor:
        each = b @ a if config.similarity == "cosine" else -((a - b) ** 2).sum(-1)
        return each / len(a) / config.temperature

    found = []
    for i in range(len(emb)):
        mine = emb[i][frames.valid[i]]
        times = frames.steps[i][frames.valid[i]].double()
        times = times / frames.lengths[i] if config.normalize_indices else times
        for j in range(len(emb)):
            other = emb[j][frames.valid[j]]
            if i == j or not len(other):
                continue
            for k, frame in enumerate(mine):
                near = similar(frame, other).softmax(0) @ other
                logits = similar(near, mine)
                wanted = torch.zeros(len(mine), dtype=torch.float64)
                wanted[k] = 1
                if len(mine) > 1:
                    wanted = torch.full_like(wanted, config.label_smoothing / (len(mine) - 1))
                    wanted[k] = 1 - config.label_smoothing
                ends = logits.softmax(0)
                error = ((ends - wanted) * times).sum()
                said = (ends * times).sum()
                spread = ((times - said) ** 2 * ends).sum().clamp(min=1e-12)
                huber = functional.huber_loss(
                    error, torch.zeros_like(error), delta=config.huber_delta
                )
                losses = {
                    "classification": -(wanted * logits.log_softmax(0)).sum(),
                    "regression_mse": error**2,
                    "regression_huber": huber,
                    "regression_mse_var": error**2 / spread + config.variance_lambda * spread.log(),
                }
                found.append(float(losses[config.loss]))
    return sum(found) / len(found)


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("similarity", ["l2", "cosine"])
@pytest.mark.parametrize("loss", LOSSES)
def test_is_what_its_definition_says(loss: Any, similarity: Any, padding: bool) -> None:
    emb, frames = rows(3, 6, padding=padding)
    for normalize in (True, False):
        config = TccConfig(
            loss=loss, similarity=similarity, normalize_indices=normalize, huber_delta=0.2
        )
        found = tcc_loss(emb, frames, config)["loss"].item()
        assert found == pytest.approx(by_loops(emb.detach(), frames, config), rel=1e-6)


def test_drawn_cycles_of_two_average_to_all_pairs() -> None:
    emb, frames = rows(3, 5, padding=False)
    every = tcc_loss(emb, frames, TccConfig(loss="classification"))["loss"]
    config = TccConfig(loss="classification", matching="stochastic", cycles=20_000)
    make = torch.Generator().manual_seed(0)
    found = tcc_loss(emb, frames, config, make)["loss"]
    assert found.item() == pytest.approx(every.item(), rel=0.01)


def test_drawn_cycles_visit_different_videos_and_start_at_valid_frames() -> None:
    _, frames = rows(4, 8)
    config = TccConfig(matching="stochastic", cycles=200, cycle_length=3)
    cycles = drawn(frames.valid, config, torch.Generator().manual_seed(0))
    first, second, third, last = cycles.route
    assert torch.equal(first, last)
    assert (first != second).all() and (second != third).all() and (first != third).all()
    assert frames.valid[first].gather(1, cycles.starts).all()
    assert len(set(cycles.starts.flatten().tolist())) > 3


def test_longer_cycles_differ_and_end_where_they_began_for_equal_videos() -> None:
    emb, frames = rows(1, 6, padding=False)
    same = 10 * emb.detach().expand(4, -1, -1)
    frames = Frames(
        *(t.expand(4, *t.shape[1:]) for t in (frames.steps, frames.lengths, frames.valid))
    )
    config = TccConfig(
        loss="classification", matching="stochastic", cycle_length=4, label_smoothing=0
    )
    assert tcc_loss(same, frames, config)["loss"] < 1e-3


@pytest.mark.parametrize("matching", ["all_pairs", "stochastic"])
@pytest.mark.parametrize("loss", LOSSES)
def test_finite_at_every_edge(loss: Any, matching: Any) -> None:
    config = TccConfig(loss=loss, matching=matching)
    emb, frames = rows()
    single, one = rows(3, 1, padding=False)
    alone, by_itself = rows(1, 5)
    half = Frames(frames.steps, frames.lengths, frames.valid.clone())
    half.valid[1] = False
    constant = torch.ones_like(emb).requires_grad_()
    for e, f, zero in (
        (emb, nothing_valid(frames), True),
        (alone, by_itself, True),
        (emb, half, False),
        (constant, frames, False),
        (single, one, False),
    ):
        e.grad = None
        found = tcc_loss(e, f, config)
        found["loss"].backward()
        assert all(value.isfinite() for value in found.values())
        assert e.grad is not None and e.grad.isfinite().all()
        assert not zero or found["loss"] == 0


def test_compat_takes_logits_for_log_probabilities_and_sees_padding() -> None:
    emb, frames = rows()
    whole = Frames(frames.steps, frames.lengths, torch.ones_like(frames.valid))
    config = TccConfig(loss="classification", similarity="cosine", compat=True)
    assert torch.equal(tcc_loss(emb, frames, config)["loss"], tcc_loss(emb, whole, config)["loss"])
    longer = tcc_loss(4 * emb, frames, config)["loss"]
    assert longer < 0  # no cross-entropy is


def test_a_video_without_a_valid_frame_is_no_partner() -> None:
    emb, frames = rows(3, 6)
    frames.valid[2] = False
    two = Frames(frames.steps[:2], frames.lengths[:2], frames.valid[:2])
    for loss in LOSSES:
        a = tcc_loss(emb, frames, TccConfig(loss=loss))["loss"].item()
        assert a == pytest.approx(tcc_loss(emb[:2], two, TccConfig(loss=loss))["loss"].item())


def test_padding_has_no_say() -> None:
    emb, frames = rows()
    other = torch.where(frames.valid[..., None], emb.detach(), 7.0)
    for loss in LOSSES:
        a, b = (tcc_loss(e, frames, TccConfig(loss=loss))["loss"] for e in (emb, other))
        assert a.item() == pytest.approx(b.item(), rel=1e-12)


def test_half_precision_computes_in_float32() -> None:
    emb, frames = rows()
    half = emb.detach().half()
    expected = tcc_loss(half.float(), frames, TccConfig())["loss"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tcc_loss(half, frames, TccConfig())["loss"]
    assert torch.equal(found, expected) and math.isfinite(found.item())
