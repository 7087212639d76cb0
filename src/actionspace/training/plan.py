"""Which process sees which sample in which step: a function of seed and epoch, nothing else.

The samples of one optimiser step are the same whatever the number of processes; where samples have
groups (videos of one action), they are of one. Each process takes every ``world``-th of them, cut
into forward passes; all processes make the same number of passes in a step, so that gradients can
be averaged: where samples run out, a pass is a *filler*.
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


def epoch_batches(
    n: int,
    batch_size: int,
    seed: int,
    epoch: int,
    *,
    shuffle: bool = True,
    drop_last: bool = False,
    groups: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return the samples of each step of an epoch, over all processes (int64 ``[<= batch_size]``).

    Args:
        n: samples.
        batch_size: of a step.
        seed, epoch: of the order.
        shuffle: else the samples in order.
        drop_last: leave out steps that are not full.
        groups: number of each sample's group, int64 ``[n]``; None = all samples are of one. The
            last step of a group is filled up with its first samples in the order of the epoch, so
            that only a group smaller than a step makes one that is not full.
    """
    order = epoch_order(n, seed, epoch, shuffle=shuffle)
    if groups is None:
        count = steps_per_epoch(n, batch_size, drop_last=drop_last)
        return [order[k * batch_size : (k + 1) * batch_size] for k in range(count)]
    batches = []
    for group in np.unique(groups):
        members = order[groups[order] == group]
        full = -(-len(members) // batch_size) * batch_size
        filled = np.concatenate([members, members[: full - len(members)]])
        filled = filled if len(members) >= batch_size else members
        batches += [filled[k : k + batch_size] for k in range(0, len(filled), batch_size)]
    batches = [batch for batch in batches if len(batch) == batch_size or not drop_last]
    # Another stream of numbers than that of the samples.
    places = np.random.default_rng((seed, epoch, 1)).permutation(len(batches))
    return [batches[k] for k in places] if shuffle else batches


def epoch_steps(
    batches: Sequence[np.ndarray], micro_batch_size: int, *, rank: int = 0, world: int = 1
) -> list[Step]:
    """Return one process's share of the steps of an epoch, see :func:`epoch_batches`."""
    steps = []
    for samples in batches:
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
