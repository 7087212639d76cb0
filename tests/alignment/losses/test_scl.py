"""The sequence contrastive loss against plain loops, and where it must stay finite."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from actionspace.alignment.losses.config import SclConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.scl import positives, scl_loss
from actionspace.errors import UsageError
from tests.alignment.losses.made import nothing_valid, views

NEGATIVES = ("single_noself", "single", "batch_noself", "batch")


def by_loops(emb: Tensor, frames: Frames, config: SclConfig) -> float:
    """The stable form, frame by frame as the definition reads."""
    videos, _, size, _ = emb.shape
    places = list(product(range(videos), range(2), range(size)))
    total, count = 0.0, 0
    for b, v, i in places:
        if not frames.valid[b, v, i]:
            continue
        count += 1
        near: dict[int, float] = {}
        for j in range(size):
            if frames.valid[b, 1 - v, j]:
                length = frames.lengths[b, 1 - v] / frames.lengths[b, v]
                apart = float(frames.steps[b, v, i] * length - frames.steps[b, 1 - v, j])
                near[j] = math.exp(-(apart**2) / (2 * config.label_variance))
        seen = [
            emb[c, w, j] @ emb[b, v, i] / config.temperature
            for c, w, j in places
            if frames.valid[c, w, j]
            and (c == b or config.negatives.startswith("batch"))
            and not (c == b and w == v and config.negatives.endswith("noself"))
        ]
        norm = float(torch.stack(seen).logsumexp(0))
        for j, g in near.items():
            y = g / sum(near.values())
            score = float(emb[b, v, i] @ emb[b, 1 - v, j]) / config.temperature
            total += y * (math.log(y) - (score - norm)) if y else 0.0
    return total / count


@pytest.mark.parametrize("negatives", NEGATIVES)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 5),
    padding=st.booleans(),
    variance=st.sampled_from([4.0, 10.0, 50.0]),
)
def test_is_what_its_definition_says(
    negatives: Any, seed: int, size: int, padding: bool, variance: float
) -> None:
    emb, frames = views(2, size + 2, 4, seed=seed, padding=padding)
    config = SclConfig(negatives=negatives, label_variance=variance, temperature=0.3)
    expected = by_loops(emb.detach(), frames, config)
    assert scl_loss(emb, frames, config).item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_compat_nears_the_stable_form_where_its_epsilon_is_small(negatives: Any) -> None:
    emb, frames = views(padding=False)
    kwargs = {"negatives": negatives, "temperature": 1.0}
    stable = scl_loss(emb, frames, SclConfig(**kwargs))
    compat = scl_loss(emb, frames, SclConfig(**kwargs, compat=True))
    assert compat.item() == pytest.approx(stable.item(), rel=1e-3)
    assert compat.item() != stable.item()


def test_padding_has_a_say_in_compat_only() -> None:
    emb, frames = views()
    other = torch.where(frames.valid[..., None], emb.detach(), 3 * emb.detach().flip(2))
    for compat in (False, True):
        config = SclConfig(compat=compat)
        a, b = (float(scl_loss(e, frames, config)) for e in (emb.detach(), other))
        assert (a == pytest.approx(b, rel=1e-12)) is not compat


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_gradients(negatives: Any) -> None:
    emb, frames = views(2, 4, 3)
    config = SclConfig(negatives=negatives)
    assert torch.autograd.gradcheck(lambda e: scl_loss(e, frames, config), emb)


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_finite_without_valid_frames_without_spread_and_with_one_frame(
    negatives: Any, compat: bool
) -> None:
    config = SclConfig(negatives=negatives, compat=compat)
    emb, frames = views()
    half = Frames(frames.steps, frames.lengths, frames.valid.clone())
    half.valid[0] = False  # of one video nothing is valid
    single, one = views(2, 1, padding=False)
    constant = torch.ones_like(emb).requires_grad_()
    given_ = [(emb, nothing_valid(frames)), (emb, half), (constant, frames), (single, one)]
    for number, (e, f) in enumerate(given_):
        e.grad = None
        loss = scl_loss(e, f, config)
        loss.backward()
        assert loss.isfinite() and e.grad is not None and e.grad.isfinite().all()
        if number == 0:
            assert loss == 0 and not e.grad.any()
        if number == 3 and negatives == "single_noself" and not compat:
            assert loss == 0


def test_similarities_too_large_for_an_exponential() -> None:
    emb, frames = views()
    huge = (1000 * emb.detach().float()).requires_grad_()
    loss = scl_loss(huge, frames, SclConfig())
    loss.backward()
    assert loss.isfinite() and huge.grad is not None and huge.grad.isfinite().all()


def test_a_frame_with_nothing_near_it_has_no_positive() -> None:
    steps = torch.tensor([[[0, 5], [6, 300]]])
    frames = Frames.of(steps, torch.tensor([[400, 400]]))
    wanted = positives(frames, SclConfig())
    assert wanted[0, 1, 1].tolist() == [0, 0]
    assert wanted[0, 1, 0].sum() == 1 and wanted[0, 0, 1, 0] > 0.99


def test_times_are_stretched_where_videos_differ_in_length() -> None:
    frames = Frames.of(torch.tensor([[[10, 20], [20, 40]]]), torch.tensor([[50, 100]]))
    wanted = positives(frames, SclConfig(label_variance=1.0))
    torch.testing.assert_close(wanted[0], torch.eye(2).expand(2, 2, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_compute_in_float32(dtype: torch.dtype) -> None:
    emb, frames = views()
    half = emb.detach().to(dtype)
    expected = scl_loss(half.float(), frames, SclConfig())
    with torch.autocast("cpu", dtype=dtype):
        found = scl_loss(half, frames, SclConfig())
    assert found.dtype == torch.float32 and torch.equal(found, expected)


def test_refuses_what_is_no_two_views_and_what_cannot_be_meant() -> None:
    emb, frames = views()
    with pytest.raises(UsageError, match="two views"):
        scl_loss(
            emb[:, 0],
            Frames(frames.steps[:, 0], frames.lengths[:, 0], frames.valid[:, 0]),
            SclConfig(),
        )
    with pytest.raises(UsageError, match="do not fit steps"):
        scl_loss(emb[:, :, 1:], frames, SclConfig())
    with pytest.raises(ValidationError, match="negatives=batch"):
        SclConfig(across_processes=True)
