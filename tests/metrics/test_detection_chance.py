"""Segments at random: what they are, and that they reach what they should."""

from __future__ import annotations

import numpy as np
import pytest

from actionspace.events.table import Events
from actionspace.metrics.detection_chance import chance
from actionspace.metrics.detection_events import evaluate_events
from actionspace.metrics.detection_matching import Instances

NONE = np.zeros(0)


def truth(videos: int, share: float, seconds: float = 100.0) -> tuple[Instances, np.ndarray]:
    """One event of one class in each video, which lasts a share of it."""
    start = np.random.default_rng(0).uniform(0, seconds * (1 - share), videos)
    spans = np.stack([start, start + share * seconds], axis=1)
    labels = np.zeros(videos, np.int64)
    return Instances(np.arange(videos), spans, labels, NONE), np.full(videos, seconds)


def test_events_that_fill_their_videos_are_found_by_anybody() -> None:
    assert chance(*truth(5, 1.0), [0.5])["recall1x@0.50"] == 1
    rare, often = (chance(*truth(5, share), [0.5])["map"] for share in (0.02, 0.6))
    assert rare < 0.1 < often < 1


def test_the_recall_is_the_probability_that_the_best_one_overlaps() -> None:
    """Two segments of length s within 1 overlap by IoU 0.5 if they start within s / 3."""
    known, lasting = truth(400, 0.5)
    found = chance(known, lasting, [0.5], recalls=(1,))
    reach, room = 0.5 / 3, 0.5
    expected = (2 * reach * room - reach**2) / room**2
    assert found["recall1x@0.50"] == pytest.approx(expected, abs=0.05)


def test_lengths_and_classes_are_those_of_what_is_given() -> None:
    known, lasting = truth(20, 0.3)
    short, _ = truth(20, 0.01)
    assert chance(known, lasting, [0.5], like=short)["map"] == 0
    other = Instances(known.video, known.spans, known.labels + 1, NONE)
    assert chance(known, lasting, [0.5], like=other)["map"] == 0


def test_unknown_durations_and_time_that_does_not_count() -> None:
    known, lasting = truth(6, 0.4)
    assert 0 < chance(known, np.full(6, np.nan), [0.3])["map"] <= 1
    every = {video: np.array([[-np.inf, np.inf]]) for video in range(6)}
    assert (
        chance(known, lasting, [0.3], uncounted=every)["map"]
        > 1.2 * (chance(known, lasting, [0.3])["map"])
    )
    assert chance(known, lasting, [0.3]) == chance(known, lasting, [0.3])


def test_an_evaluation_knows_its_chance() -> None:
    rows = [
        {"video": v, "start": s, "end": s + 5, "label": "ab"[int(s) % 2]}
        for v in "xy"
        for s in (3.0, 20.0, 40.0)
    ]
    videos = [{"video": v, "duration": 60.0} for v in "xyz"]
    perfect = Events.from_frames([row | {"score": 1.0} for row in rows], videos)
    found = evaluate_events(Events.from_frames(rows, videos), perfect, [0.3, 0.5])
    by_chance = found.chance()
    assert set(by_chance) == set(found.result.metrics())
    assert 0 < by_chance["map"] < 0.3 and found.metrics()["map"] == 1
