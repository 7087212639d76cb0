"""Which process sees which sample in which step: a function of seed and epoch, nothing else.

The samples of one optimiser step are the same whatever the number of processes. Each process takes
every ``world``-th of them, cut into forward passes; all processes make the same number of passes in
a step, so that gradients can be averaged: where samples run out, a pass is a *filler*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pass:
    """One forward pass of one process: int64 sample numbers, and whether they count."""

    indices: np.ndarray
    filler: bool = False


@dataclass(frozen=True)
class Step:
    """One optimiser step as one process sees it.

    Attributes:
        passes: the forward passes of this process.
        samples: samples of the step over all processes.
    """

    passes: tuple[Pass, ...]
    samples: int


def epoch_order(n: int, seed: int, epoch: int, *, shuffle: bool = True) -> np.ndarray:
    """Return the order of ``n`` samples in an epoch (int64 ``[n]``)."""
    if not shuffle:
        return np.arange(n, dtype=np.int64)
    return np.random.default_rng((seed, epoch)).permutation(n).astype(np.int64)


def steps_per_epoch(n: int, batch_size: int, *, drop_last: bool = False) -> int:
    """Return the optimiser steps that ``n`` samples make."""
    return n // batch_size if drop_last else -(-n // batch_size)


def epoch_steps(
    order: np.ndarray,
    batch_size: int,
    micro_batch_size: int,
    *,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = False,
) -> list[Step]:
    """Cut an epoch's order into the steps of one process.

    Args:
        order: sample numbers ``[n]`` in the order of the epoch, the same on every process.
        batch_size: samples per step, over all processes.
        micro_batch_size: samples per forward pass of one process.
        rank: number of this process.
        world: number of processes.
        drop_last: leave out a last step that is not full.
    """
    count = steps_per_epoch(len(order), batch_size, drop_last=drop_last)
    steps = []
    for k in range(count):
        samples = order[k * batch_size : (k + 1) * batch_size]
        mine = samples[rank::world]
        wanted = -(-len(samples[::world]) // micro_batch_size)  # passes of the fullest process
        cut = [mine[i : i + micro_batch_size] for i in range(0, len(mine), micro_batch_size)]
        fillers = [Pass(samples[:1], filler=True)] * (wanted - len(cut))
        steps.append(Step((*(Pass(part) for part in cut), *fillers), len(samples)))
    return steps


def evaluation_passes(
    n: int, micro_batch_size: int, *, rank: int = 0, world: int = 1
) -> list[Pass]:
    """Return the passes in which one process sees its share of ``n`` samples, each once."""
    mine = np.arange(rank, n, world, dtype=np.int64)
    return [Pass(mine[i : i + micro_batch_size]) for i in range(0, len(mine), micro_batch_size)]


def flatten(steps: Sequence[Step]) -> list[Pass]:
    """Return the passes of many steps, one after another."""
    return [one for step in steps for one in step.passes]
