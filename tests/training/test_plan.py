"""Every sample once, the same steps for any number of processes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actionspace.training import plan

sizes = st.integers(0, 60)
some = st.integers(1, 17)
worlds = st.integers(1, 5)


def cut(n: int, batch: int, micro: int, world: int, drop: bool = False) -> list[list[plan.Step]]:
    order = plan.epoch_order(n, 3, 1)
    return [
        plan.epoch_steps(order, batch, micro, rank=rank, world=world, drop_last=drop)
        for rank in range(world)
    ]


@given(sizes, some, some, worlds, st.booleans())
def test_a_step_has_the_same_samples_for_any_number_of_processes(n, batch, micro, world, drop):
    ranks = cut(n, batch, micro, world, drop)
    order = plan.epoch_order(n, 3, 1)
    assert len(ranks[0]) == plan.steps_per_epoch(n, batch, drop_last=drop)
    for k, together in enumerate(zip(*ranks, strict=True)):
        real = [
            i for step in together for one in step.passes if not one.filler for i in one.indices
        ]
        assert sorted(real) == sorted(order[k * batch : (k + 1) * batch])
        assert {step.samples for step in together} == {len(real)}


@given(sizes, some, some, worlds)
def test_processes_make_the_same_number_of_passes_none_too_large(n, batch, micro, world):
    for together in zip(*cut(n, batch, micro, world), strict=True):
        assert len({len(step.passes) for step in together}) == 1
        assert all(1 <= len(one.indices) <= micro for step in together for one in step.passes)


@given(sizes, some, worlds)
def test_evaluation_sees_each_sample_once(n, micro, world):
    parts = [
        one.indices
        for rank in range(world)
        for one in plan.evaluation_passes(n, micro, rank=rank, world=world)
    ]
    seen = np.concatenate(parts) if parts else np.zeros(0)
    assert sorted(seen) == list(range(n))


def test_the_order_depends_on_seed_and_epoch_only():
    assert (plan.epoch_order(50, 1, 2) == plan.epoch_order(50, 1, 2)).all()
    assert (plan.epoch_order(50, 1, 2) != plan.epoch_order(50, 1, 3)).any()
    assert (plan.epoch_order(50, 1, 2) != plan.epoch_order(50, 2, 2)).any()
    assert (plan.epoch_order(5, 1, 2, shuffle=False) == np.arange(5)).all()


def test_flatten_keeps_the_order_of_passes():
    steps = cut(10, 4, 2, 1)[0]
    flat = np.concatenate([one.indices for one in plan.flatten(steps)])
    assert (flat == plan.epoch_order(10, 3, 1)).all()
