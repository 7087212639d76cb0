"""The exact predictor of the made-up sequences, against counting in many of them."""

from __future__ import annotations

import numpy as np
from benchmarks.event_sequences import World


def test_the_filter_is_calibrated() -> None:
    """Of what is given some probability as much comes true, whatever it is told."""
    world, random = World.make(3, classes=4, strength=2.0, cue=0.4), np.random.default_rng(0)
    said: dict[str, list[np.ndarray]] = {"features": [], "labels": []}
    labels = []
    for _ in range(12):
        events, seen = world.draw(240, random)
        starts = [row for _, row in events]
        said["features"].append(world.foretell(seen, starts, [2]))
        said["labels"].append(world.foretell_by_labels(events, len(seen), [2]))
        labels.append([label for label, _ in events])
    truth = np.eye(4)[np.concatenate(labels)]
    right = {}
    for by, parts in said.items():
        told = np.concatenate(parts, axis=1)[0]
        known = ~np.isnan(told).any(1)
        told, true = told[known], truth[known]
        np.testing.assert_allclose(told.sum(1), 1)
        for low, high in ((0.0, 0.2), (0.2, 0.7), (0.7, 1.0)):
            kept = (told >= low) & (told < high)
            spread = np.sqrt((told[kept] * (1 - told[kept])).sum())
            assert kept.sum() > 10
            assert abs(true[kept].sum() - told[kept].sum()) < 3 * spread
        right[by] = (told * true).sum(1).mean()
    assert right["features"] > right["labels"] > 0.25


def test_labels_alone_follow_the_transitions() -> None:
    """Right after an event has begun, what follows is as its transitions and duration say."""
    world = World.make(0, classes=3, longest=2)
    events = [(0, 0), (1, 1), (2, 3)]
    told = world.foretell_by_labels(events, 4, [2])[0]
    # two rows after label 1 began at row 1, an event begins: that of a label of one row, or two
    once, twice = world.lasts[1]
    passed = once * world.transitions[0, 1] * world.lasts[:, 0]
    expected = twice * world.transitions[0, 1] + passed @ world.transitions[1]
    np.testing.assert_allclose(told[2], expected / expected.sum())
    assert np.isnan(told[:2]).all()
