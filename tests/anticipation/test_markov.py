"""Baselines on the labels alone: counts by hand, and the exact answer where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from actionspace.anticipation.markov import LEAN, Baselines, context_of
from actionspace.anticipation.timeline import Asked, Timeline


def line(labels: list[int], each: float = 2.0) -> Timeline:
    starts = np.arange(len(labels)) * each
    return Timeline(starts, starts + each, np.array(labels)[:, None])


def as_asked(one: Timeline) -> Asked:
    size = len(one.starts)
    names = np.array([str(i) for i in range(size)], object)
    sequence = np.zeros(size, np.int64)
    return Asked(names, names, one.starts, one.ends, one.labels, sequence, (one,))


def test_contexts_are_what_has_begun() -> None:
    one = line([0, 1, 2, 0])
    asked = as_asked(one)
    near = context_of((one,), asked.sequence, one.starts, one.labels[:, 0], 1.0, 0)
    assert near.last.tolist() == [-1, 0, 1, 2]
    assert near.before.tolist() == [-1, -1, 0, 1]
    assert near.since[1:].tolist() == [1.0, 1.0, 1.0]
    far = context_of((one,), asked.sequence, one.starts, one.labels[:, 0], 3.0, 0)
    assert far.last.tolist() == [-1, -1, 0, 1]  # the event in between is not known


def test_probabilities_are_counts_that_lean_on_less_detail() -> None:
    train = (line([0, 1, 0, 1, 0, 2]),)
    asked = as_asked(line([0, 1]))
    found = Baselines(train, 3, 0).probabilities(asked, 1.0)
    prior = np.array([4, 3, 2]) / 9  # each once more than it occurs
    assert found["prior"][1] == pytest.approx(prior)
    after_0 = (np.array([0, 2, 1]) + LEAN * prior) / (3 + LEAN)
    assert found["markov"][1] == pytest.approx(after_0)
    first = np.array([0, 0, 0])  # 0 as the first event was followed by 1 once
    first = first + np.array([0, 1, 0])
    assert found["markov2"][1] == pytest.approx((first + LEAN * after_0) / (1 + LEAN))
    for values in found.values():
        assert values.sum(1) == pytest.approx(np.ones(2))


def test_the_order_of_two_labels_is_learnt_by_the_second_order_alone() -> None:
    # 0 1 2 and 2 1 0: after 1 comes what was not before
    train = (line([0, 1, 2, 1] * 40),)
    asked = as_asked(line([0, 1, 2, 1, 0]))
    found = Baselines(train, 3, 0).probabilities(asked, 0.5)
    assert found["markov"][2].max() < 0.6
    assert found["markov2"][2].argmax() == 2 and found["markov2"][2].max() > 0.9


def test_elapsed_time_tells_what_is_next() -> None:
    """0 lasts 10 s, 1 and 2 last 1 s. Before each of 1 and 2 it is 0 that is known 1.5 s ahead, for
    8.5 s and for 9.5 s: only who looks at the clock can tell which of the two begins."""
    labels = [0, 1, 2] * 400
    lasts = np.array([10.0, 1.0, 1.0])[labels]
    starts = np.concatenate([[0.0], np.cumsum(lasts)[:-1]])
    base = Baselines((Timeline(starts, starts + lasts, np.array(labels)[:, None]),), 3, 0)
    asked = as_asked(Timeline(starts[:9], starts[:9] + 1, np.array(labels[:9])[:, None]))
    found, true = base.probabilities(asked, 1.5), np.array(labels[1:9])
    right = {name: (values[1:].argmax(1) == true).mean() for name, values in found.items()}
    assert right["semi_markov"] > 0.95
    assert right["markov"] < 0.8
