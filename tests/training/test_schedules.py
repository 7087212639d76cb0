"""Learning rates over time, for whatever options."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.config import parse
from actionspace.errors import ConfigError
from actionspace.training.schedules import ScheduleConfig, lr_at

LR = 3e-4
SLACK = 1 + 1e-12

shares = st.floats(0, 1)
WARMUPS = st.fixed_dictionaries(
    {
        "per": st.sampled_from(["step", "epoch"]),
        "warmup": st.sampled_from(["before", "towards", "multiply"]),
        "warmup_epochs": st.sampled_from([0, 0.3, 1, 2, 2.5, 7, 30]),
        "warmup_start": shares,
        "warmup_inclusive": st.booleans(),
        "count_from": st.sampled_from([0, 1]),
    }
)
DECAYS = st.one_of(
    st.fixed_dictionaries(
        {
            "name": st.just("cosine"),
            "final": shares,
            "horizon": st.none() | st.floats(0.5, 40),
        }
    ),
    st.fixed_dictionaries(
        {
            "name": st.just("step"),
            "milestones": st.lists(st.floats(0.1, 20), min_size=1, max_size=3),
            "gamma": st.floats(0.01, 1),
        }
    ),
    st.just({"name": "constant"}),
)
LENGTHS = st.tuples(st.integers(1, 9), st.integers(1, 20))  # steps per epoch, epochs


def _table(config: ScheduleConfig, steps: int, epochs: int, lr: float = LR) -> list[list[float]]:
    return [
        [
            lr_at(config, lr, epoch=epoch, step=step, steps_per_epoch=steps, epochs=epochs)
            for step in range(steps)
        ]
        for epoch in range(epochs)
    ]


def _flat(table: list[list[float]]) -> list[float]:
    return [rate for epoch in table for rate in epoch]


@given(WARMUPS, DECAYS, LENGTHS)
def test_bounded_and_in_proportion(warmup: Any, decay: Any, lengths: tuple[int, int]) -> None:
    config = ScheduleConfig(**warmup, **decay)
    rates = _flat(_table(config, *lengths))
    assert all(0 <= rate <= LR * SLACK for rate in rates)
    tenth = _flat(_table(config, *lengths, lr=LR / 10))
    assert tenth == pytest.approx([rate / 10 for rate in rates], rel=1e-12, abs=1e-18)


@given(WARMUPS, DECAYS, LENGTHS)
def test_falls_after_the_warmup(warmup: Any, decay: Any, lengths: tuple[int, int]) -> None:
    config = ScheduleConfig(**warmup, **decay)
    rates = _flat(_table(config, *lengths)[math.ceil(config.warmup_epochs) + 1 :])
    assert all(b <= a * SLACK for a, b in itertools.pairwise(rates))


@given(WARMUPS, DECAYS, LENGTHS)
def test_per_epoch_is_constant_within(warmup: Any, decay: Any, lengths: tuple[int, int]) -> None:
    config = ScheduleConfig(**{**warmup, "per": "epoch"}, **decay)
    for epoch, rates in enumerate(_table(config, *lengths)):
        if config.warmup != "multiply" or epoch > config.warmup_epochs:
            assert len(set(rates)) == 1


@given(
    st.sampled_from(["before", "towards"]),
    st.sampled_from([1, 2, 2.5, 4]),
    shares,
    shares,
    st.sampled_from([0, 1]),
    st.integers(1, 30),
    st.integers(5, 20),
)
def test_no_jump_where_warmup_and_cosine_meet(
    warmup: Any, long: float, start: float, final: float, count: Any, steps: int, epochs: int
) -> None:
    config = ScheduleConfig(
        warmup=warmup, warmup_epochs=long, warmup_start=start, final=final, count_from=count
    )
    rates = _flat(_table(config, steps, epochs))
    rise = LR / (long * steps)
    fall = LR * math.pi / 2 / ((epochs - long) * steps)  # steepest part of half a cosine
    jumps = [abs(b - a) for a, b in itertools.pairwise(rates)]
    assert max(jumps, default=0.0) <= (rise + fall) * SLACK


def test_pyslowfast() -> None:
    """X3D (300 epochs, 35 of warm-up from 0.01) and the EPIC-KITCHENS SlowFast (steps)."""
    steps = 7
    x3d = ScheduleConfig(warmup="towards", warmup_epochs=35, warmup_start=0.1)
    epic = ScheduleConfig(
        name="step", milestones=(20, 25), warmup="towards", warmup_epochs=1, warmup_start=0.1
    )

    def cosine(time: float) -> float:
        return 0.1 * (math.cos(math.pi * time / 300) + 1) * 0.5

    rates = _flat(_table(x3d, steps, 300, lr=0.1))
    for i, rate in enumerate(rates):
        time = i / steps
        if time < 35:
            assert rate == pytest.approx(0.01 + time * (cosine(35) - 0.01) / 35, rel=1e-12)
        else:
            assert rate == pytest.approx(cosine(time), rel=1e-12)
    by_epoch = [rates[0] for rates in _table(epic, steps, 30, lr=0.01)]
    assert by_epoch == pytest.approx([0.001] + [0.01] * 19 + [0.001] * 5 + [0.0001] * 5)


def test_before_counts_the_decay_from_its_own_start() -> None:
    config = ScheduleConfig(
        name="step", milestones=(2,), warmup_epochs=1, warmup_start=0.5, gamma=0.5
    )
    assert _table(config, 2, 4, lr=8.0) == [[4.0, 6.0], [8.0, 8.0], [8.0, 8.0], [4.0, 4.0]]


def test_inclusive_warmup_repeats_the_full_rate() -> None:
    config = ScheduleConfig(name="constant", warmup_epochs=1, warmup_inclusive=True)
    assert _table(config, 3, 2, lr=8.0) == [[0.0, 4.0, 8.0], [8.0, 8.0, 8.0]]


@pytest.mark.parametrize("per", ["step", "epoch"])
def test_counted_from_one_the_last_has_the_final_rate(per: Any) -> None:
    ends = [
        _table(ScheduleConfig(per=per, final=0.25, count_from=count), 4, 5, lr=8.0)[-1][-1]
        for count in (0, 1)
    ]
    assert ends[1] == 2.0 < ends[0]


def test_stays_at_the_horizon() -> None:
    rates = _table(ScheduleConfig(final=0.25, horizon=2), 3, 4, lr=8.0)
    assert rates[0][0] == 8.0
    assert rates[1][2] > 2.0
    assert rates[2] + rates[3] == [2.0] * 6


def test_multiplied_warmup_within_an_epoch_holds_until_the_next_only_per_epoch() -> None:
    options: dict[str, Any] = {"name": "constant", "warmup": "multiply", "warmup_epochs": 0.5}
    by_step = _table(ScheduleConfig(per="step", **options), 5, 2)
    by_epoch = _table(ScheduleConfig(per="epoch", **options), 5, 2)
    assert by_step[0] == pytest.approx([0, 0.4 * LR, 0.8 * LR, LR, LR])
    assert by_epoch[0] == pytest.approx([0, 0.4 * LR, 0.8 * LR, 0.8 * LR, 0.8 * LR])
    assert by_step[1] == by_epoch[1] == [LR] * 5


@pytest.mark.parametrize(
    "values", [{"name": "step"}, {"name": "cosine", "milestones": [3]}], ids=["without", "idle"]
)
def test_milestones_go_with_step(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="milestones"):
        parse(ScheduleConfig, values)
