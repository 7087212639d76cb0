"""Soft-DTW between videos and what keeps each of them from collapsing."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from actionspace.alignment.losses.config import LavConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.lav import contrastive_idm, lav_loss
from tests.alignment.losses.made import nothing_valid, rows
from tests.alignment.losses.test_soft_dtw import by_loops as soft_dtw_by_loops


def idm_by_loops(emb: Tensor, steps: Tensor, length: int, config: LavConfig) -> float:
    total = 0.0
    for i, a in enumerate(emb):
        for j, b in enumerate(emb):
            between = abs(float(steps[i] - steps[j]))
            distance = float(((a - b) ** 2).sum())
            if between > config.sigma:
                total += (1 + (between / length) ** 2) * max(0.0, config.margin - distance)
            else:
                total += distance
    return total


@pytest.mark.parametrize("padding", [False, True])
def test_is_what_its_definition_says(padding: bool) -> None:
    emb, frames = rows(3, 6, padding=padding)
    config = LavConfig(sigma=3.0, margin=1.5, alpha=0.7)
    unit = functional.normalize(emb.detach(), dim=-1)
    cut = [unit[i][frames.valid[i]] for i in range(3)]
    idm = [
        idm_by_loops(cut[i], frames.steps[i][frames.valid[i]], int(frames.lengths[i]), config)
        for i in range(3)
    ]
    each = [
        soft_dtw_by_loops(torch.cdist(cut[i], cut[j]) ** 2, config.gamma)
        + config.alpha * (idm[i] + idm[j])
        for i, j in combinations(range(3), 2)
    ]
    found = lav_loss(3 * emb, frames, config)
    assert found["loss"].item() == pytest.approx(sum(each) / 3 / 6, rel=1e-6)
    parts = found["soft_dtw"] + config.alpha * found["idm"]
    assert parts.item() == pytest.approx(found["loss"].item())


def test_gradients() -> None:
    emb, frames = rows(2, 4)
    emb = emb.detach()[..., :3].requires_grad_()
    config = LavConfig(sigma=2.0, l2_normalize=False)
    assert torch.autograd.gradcheck(lambda e: lav_loss(e, frames, config)["loss"], emb)


def test_finite_at_every_edge() -> None:
    emb, frames = rows()
    single, one = rows(3, 1, padding=False)
    alone, by_itself = rows(1, 5)
    zeros = torch.zeros_like(emb).requires_grad_()
    for e, f in ((emb, nothing_valid(frames)), (zeros, frames), (single, one), (alone, by_itself)):
        e.grad = None
        loss = lav_loss(e, f, LavConfig())["loss"]
        loss.backward()
        assert loss.isfinite() and e.grad is not None and e.grad.isfinite().all()
    assert lav_loss(emb, nothing_valid(frames), LavConfig())["loss"] == 0


def test_constant_embeddings_cost_what_far_frames_should_differ() -> None:
    frames = Frames.of(torch.tensor([[0, 10, 40]]), torch.tensor([100]))
    found = contrastive_idm(torch.ones(1, 3, 2), frames, LavConfig(sigma=10.0, margin=2.0))
    assert found.item() == pytest.approx(2 * (2 * (1 + 0.4**2) + 2 * (1 + 0.3**2)))
