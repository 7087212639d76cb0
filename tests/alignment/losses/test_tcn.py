"""The n-pairs loss of anchors and positives."""

from __future__ import annotations

import math

import pytest
import torch

from actionspace.alignment.losses.config import TcnConfig
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.tcn import tcn_loss
from actionspace.errors import UsageError
from tests.alignment.losses.made import nothing_valid, rows


def test_pairs_with_padding_are_left_out_unless_compat() -> None:
    emb, frames = rows(2, 8, padding=False)
    frames.valid[0, 4:] = False  # two pairs left
    frames.valid[1, 3] = False  # the second positive
    kept = [emb[0, :4], emb[1, [0, 1, 4, 5, 6, 7]]]
    config = TcnConfig(reg_lambda=0.3)
    expected = [
        tcn_loss(e[None], Frames.of(torch.zeros(1, len(e)), torch.ones(1)), config).item()
        for e in kept
    ]
    assert tcn_loss(emb, frames, config).item() == pytest.approx(sum(expected) / 2)
    compat = TcnConfig(reg_lambda=0.3, compat=True)
    whole = Frames(frames.steps, frames.lengths, torch.ones_like(frames.valid))
    assert torch.equal(tcn_loss(emb, frames, compat), tcn_loss(emb, whole, config))


def test_finite_at_every_edge() -> None:
    emb, frames = rows(2, 8, padding=False)
    emb.retain_grad()
    loss = tcn_loss(emb, nothing_valid(frames), TcnConfig())
    loss.backward()
    assert loss == 0 and emb.grad is not None and not emb.grad.any()
    constant = tcn_loss(torch.ones_like(emb), frames, TcnConfig(reg_lambda=0))
    assert constant.item() == pytest.approx(math.log(4))
    pair, two = rows(2, 2, padding=False)
    assert tcn_loss(pair, two, TcnConfig(reg_lambda=0)) == 0


def test_an_anchor_without_a_positive_is_refused() -> None:
    emb, frames = rows(2, 7)
    with pytest.raises(UsageError, match="7 frames are no pairs"):
        tcn_loss(emb, frames, TcnConfig())
