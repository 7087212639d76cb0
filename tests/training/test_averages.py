"""Means of loss parts: weighed by samples, over processes, resumed exactly."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import ActionspaceError
from actionspace.training.averages import HORIZON, Averages


def parts(loss: float, **more: float) -> dict[str, torch.Tensor]:
    weight = torch.ones((), requires_grad=True)  # as a step returns them: with a graph behind
    return {name: weight * value for name, value in {"loss": loss, **more}.items()}


@given(
    st.lists(
        st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.integers(0, 64)),
        min_size=1,
        max_size=20,
    )
)
def test_the_mean_is_over_samples(passes):
    averages = Averages()
    for loss, other, weight in passes:
        averages.add(parts(loss, b=other), weight)
    total = sum(w for *_, w in passes)
    found = averages.read()
    if not total:
        assert found == {}
        return
    assert list(found) == ["loss", "b"]
    assert found["loss"] == pytest.approx(sum(a * w for a, _, w in passes) / total, abs=1e-4)
    assert found["b"] == pytest.approx(sum(b * w for _, b, w in passes) / total, abs=1e-4)
    assert averages.read() == {}  # nothing since


def test_one_part_and_the_order_of_many():
    alone = Averages()
    alone.add(parts(1.0), 1)
    alone.add(parts(4.0), 2)
    assert alone.read() == {"loss": 3.0}
    many = Averages()
    many.add({"b": torch.tensor(2.0), "loss": torch.tensor(1.0), "a": torch.tensor(3.0)}, 1)
    many.add({"a": torch.tensor(3.0), "loss": torch.tensor(1.0), "b": torch.tensor(2.0)}, 1)
    assert list(many.read().items()) == [("loss", 1.0), ("a", 3.0), ("b", 2.0)]


def test_processes_are_added_up():
    team = [Averages(), Averages()]
    team[0].add(parts(1.0, a=10.0), 3)
    team[1].add(parts(5.0, a=20.0), 1)
    team[0].add(parts(2.0, a=0.0), 2)
    team[1].add(parts(float("nan"), a=0.0), 0)  # a filler counts for nothing
    vectors: list[torch.Tensor] = []

    def collect(vector: torch.Tensor) -> torch.Tensor:
        vectors.append(vector)
        return vector

    for one in team:
        one.read(collect)
    for one in team:
        one.add(parts(0.0, a=0.0), 0)  # so that there is something to read
        found = one.read(lambda _: vectors[0] + vectors[1])
        assert found == {"loss": pytest.approx(12 / 6), "a": pytest.approx(50 / 6)}


def test_moving_average_starts_unbiased_and_follows():
    averages = Averages()
    assert averages.moving == {}
    averages.add(parts(4.0), 1)
    averages.read()
    assert averages.moving == {"loss": pytest.approx(4.0)}
    for _ in range(10 * HORIZON):
        averages.add(parts(1.0), 1)
    averages.read()
    assert averages.moving["loss"] == pytest.approx(1.0, abs=1e-3)
    for _ in range(HORIZON):
        averages.add(parts(0.0), 1)
    averages.read()
    assert averages.moving["loss"] == pytest.approx(math.exp(-1), abs=1e-3)


def test_resumed_in_the_middle_of_a_window_bit_for_bit(tmp_path):
    torch.manual_seed(0)
    values = torch.randn(40, 2)
    whole, half = Averages(), Averages()
    seen = []
    for i, (a, b) in enumerate(values):
        for one in (whole, half):
            one.add({"loss": a, "x": b}, 1 + i % 7)
        if i == 16:
            torch.save(half.state_dict(), tmp_path / "state.pt")
            half = Averages()
            half.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        if i % 10 == 9:
            assert whole.read() == half.read()
            assert whole.moving == half.moving
            seen.append(whole.moving["loss"])
    assert len(set(seen)) == 4


def test_state_of_a_fresh_one():
    averages = Averages()
    averages.load_state_dict(Averages().state_dict())
    averages.add(parts(2.0), 1)
    assert averages.read() == {"loss": 2.0}


def test_low_precision_losses_are_added_in_float32():
    averages = Averages()
    for _ in range(1000):
        averages.add({"loss": torch.tensor(1.0, dtype=torch.bfloat16)}, 1)
        averages.add({"loss": torch.tensor(2.0, dtype=torch.float64)}, 1)
    assert averages.read() == {"loss": 1.5}


def test_what_cannot_be_averaged_is_refused():
    averages = Averages()
    with pytest.raises(ActionspaceError, match=r"'loss', which is minimised.*Did you mean"):
        averages.add({"los": torch.tensor(1.0)}, 1)
    with pytest.raises(ActionspaceError, match=r"'a' has shape \(3,\)"):
        averages.add({"loss": torch.tensor(1.0), "a": torch.zeros(3)}, 1)
    averages.add(parts(1.0, a=1.0), 1)
    with pytest.raises(ActionspaceError, match=r"returned the losses a, b, loss, those before"):
        averages.add(parts(1.0, a=1.0, b=1.0), 1)
    with pytest.raises(ActionspaceError, match="same parts in every step"):
        averages.add(parts(1.0), 1)
