"""Two processes with some videos each learn what one process with all of them learns."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from actionspace.alignment.losses.config import SclConfig
from actionspace.alignment.losses.gather import gather_rows
from actionspace.alignment.losses.scl import scl_loss
from tests.alignment.losses.gather_worker import CASES, work
from tests.alignment.losses.made import views


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # they need little of what a training imports
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(work, range(2), [tmp_path] * 2, timeout=90))
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for number, case in enumerate(CASES):
        emb, frames = views(3)
        loss = scl_loss(emb, frames, SclConfig(**case))
        loss.backward()
        torch.testing.assert_close(sum(part[number][0] for part in parts), loss.detach())
        gradients = torch.cat([part[number][1] for part in parts])
        torch.testing.assert_close(gradients, emb.grad, rtol=1e-9, atol=1e-12)


def test_alone_nothing_is_gathered() -> None:
    rows = torch.rand(3, 2)
    assert gather_rows(rows) == (rows, 0)
    emb, frames = views(3)
    alone, together = (
        scl_loss(emb, frames, SclConfig(negatives="batch", across_processes=across))
        for across in (False, True)
    )
    assert torch.equal(alone, together)
