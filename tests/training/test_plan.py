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
    batches = plan.epoch_batches(n, batch, 3, 1, drop_last=drop)
    return [plan.epoch_steps(batches, micro, rank=rank, world=world) for rank in range(world)]


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


@given(
    st.lists(st.integers(0, 4), max_size=60),
    st.integers(1, 9),
    worlds,
    st.booleans(),
)
def test_a_step_of_grouped_samples_is_of_one_group(members, batch, world, drop):
    groups = np.array(members, np.int64)
    made = [
        plan.epoch_batches(len(groups), batch, 3, epoch, drop_last=drop, groups=groups)
        for epoch in (0, 0, 1)
    ]
    assert [b.tolist() for b in made[0]] == [b.tolist() for b in made[1]]
    assert len(made[0]) == len(made[2])  # as many steps in every epoch
    for samples in made[0]:
        assert len(set(groups[samples])) == 1
        assert len(set(samples)) == len(samples) <= batch
        whole = min(batch, int((groups == groups[samples[0]]).sum()))
        assert len(samples) == whole
    seen = {int(i) for samples in made[0] for i in samples}
    small = {g for g in set(members) if members.count(g) < batch}
    assert seen == {i for i, g in enumerate(members) if not (drop and g in small)}
    ranks = [plan.epoch_steps(made[0], 2, rank=rank, world=world) for rank in range(world)]
    for k, together in enumerate(zip(*ranks, strict=True)):
        real = [i for s in together for one in s.passes if not one.filler for i in one.indices]
        assert sorted(real) == sorted(made[0][k])


def test_grouped_steps_are_shuffled_anew_in_each_epoch():
    groups = np.arange(40) % 4
    first, second = (plan.epoch_batches(40, 5, 0, epoch, groups=groups) for epoch in (0, 1))
    assert [b.tolist() for b in first] != [b.tolist() for b in second]
    assert [int(groups[b[0]]) for b in first] != sorted(int(groups[b[0]]) for b in first)
    still = plan.epoch_batches(40, 5, 0, 0, groups=groups, shuffle=False)
    assert [int(groups[b[0]]) for b in still] == [0, 0, 1, 1, 2, 2, 3, 3]
