"""Untrimmed videos with made-up features, to compare what finds events: one data set, three ways.

- ``clean``: segments of 1 to 20 s (log-uniform), annotated where they are.
- ``jittered``: the same videos; each annotated start and end is off by Gaussian noise (0.5 s).
- ``instants``: other features of the same make, with moments in place of segments.

A row of features every 0.4 s has 16 values. A segment of a class lifts them in a direction of that
class, more or less and with soft edges, and has a cue at its start and one at its end, a bump of
0.4 s. A moment is a bump. All directions are drawn at random. What makes it hard is noise (white,
and slow), segments of different classes that overlap, and distractors: stretches half way between
two classes, cues that begin nothing, bumps half as high.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.events.table import Events

DIM, STRIDE, FPS, ROWS = 16, 8, 20.0, 250
STEP = STRIDE / FPS  # seconds from row to row
SECONDS = ROWS * STEP
CLASSES = ("dig", "groom", "rear")
SPLITS = {"train": 40, "val": 10, "test": 20}
JITTER = 0.5  # seconds, standard deviation of annotated ends
LENGTHS = (1.0, 20.0)  # seconds
SHORTEST = 0.4  # seconds, of a jittered segment
SOFT, CUE = 0.3, 0.4  # seconds: of a segment's edges, and the width of a bump
LIFT, BUMP = 2.6, 4.4  # lengths of what a segment adds to a row, and a cue or a moment
WHITE, SLOW = 1.0, 0.7  # standard deviations of the noise
TIMES = (np.arange(ROWS) + 0.5) * STEP
VARIANTS = ("clean", "jittered", "instants")

Spans = list[tuple[float, float, int]]
"""Start and end in seconds, and the class."""


def make(folder: Path, seed: int) -> dict[str, Events]:
    """Write ``segments/`` and ``instants/`` with a file of features ``[250, 16]`` per video, and a
    manifest for each variant; return these. Of the jittered one all splits are jittered.
    """
    random = np.random.default_rng(seed)
    directions = random.standard_normal((4, len(CLASSES), DIM))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    tables: dict[str, list[dict[str, Any]]] = {"segments": [], "instants": []}
    videos = [
        {"video": f"{split}_{i:02d}", "split": split, "fps": FPS, "duration": SECONDS}
        for split, count in SPLITS.items()
        for i in range(count)
    ]
    for kind, table in tables.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for video in videos:
            spans = _segments(random) if kind == "segments" else _instants(random)
            features = _noise(random) + _signal(spans, directions, kind, random)
            np.save(folder / kind / f"{video['video']}.npy", features.astype(np.float32))
            table += [
                {"video": video["video"], "start": a, "end": b, "label": CLASSES[c]}
                for a, b, c in spans
            ]
    clean, instants = (Events.from_frames(table, videos, folder) for table in tables.values())
    made = dict(zip(VARIANTS, (clean, _jittered(clean, random), instants), strict=True))
    for name, events in made.items():
        events.to_csv(folder / f"{name}.csv")
    return made


def widened(events: Events, seconds: float) -> Events:
    """Return moments as segments that reach so far to each side."""
    rows = events.rows
    start = (rows["start"] - seconds).clip(lower=0)
    end = (rows["end"] + seconds).clip(upper=SECONDS)
    return replace(events, rows=rows.assign(start=start, end=end))


def _segments(random: np.random.Generator) -> Spans:
    """One after the other; one in five begins before the last one, of another class, has ended."""
    spans: Spans = []
    at = random.uniform(1, 6)
    while True:
        length = float(np.exp(random.uniform(*np.log(LENGTHS))))
        label = int(random.integers(len(CLASSES)))
        if spans and random.random() < 0.2:
            at = spans[-1][0] + random.uniform(0.3, 0.9) * (spans[-1][1] - spans[-1][0])
            label = (spans[-1][2] + int(random.integers(1, len(CLASSES)))) % len(CLASSES)
        if at + length > SECONDS - 1:
            return spans
        spans.append((at, at + length, label))
        at += length + random.uniform(0.5, 6)


def _instants(random: np.random.Generator) -> Spans:
    moments = np.cumsum(random.uniform(1, 6, 100))
    return [
        (float(t), float(t), int(random.integers(len(CLASSES))))
        for t in moments[moments < SECONDS - 1]
    ]


def _noise(random: np.random.Generator) -> np.ndarray:
    slow = random.standard_normal((ROWS, DIM))
    for i in range(1, ROWS):  # correlated over some ten rows
        slow[i] = 0.9 * slow[i - 1] + np.sqrt(1 - 0.9**2) * slow[i]
    return WHITE * random.standard_normal((ROWS, DIM)) + SLOW * slow


def _signal(
    spans: Spans, directions: np.ndarray, kind: str, random: np.random.Generator
) -> np.ndarray:
    inside, begins, ends, moment = directions
    out = np.zeros((ROWS, DIM))
    for (start, end, label), strength in zip(spans, _strengths(random), strict=False):
        if kind == "instants":
            out += BUMP * strength * _bump(start, moment[label])
        else:
            out += LIFT * strength * _stretch(start, end, inside[label])
            out += BUMP * strength * (_bump(start, begins[label]) + _bump(end, ends[label]))
    for at, strength in zip(random.uniform(0, SECONDS, 6), _strengths(random), strict=False):
        first, second = random.permutation(len(CLASSES))[:2]
        if kind == "instants":
            out += 0.5 * BUMP * strength * _bump(at, moment[first])
            out += 0.5 * BUMP * strength * _bump(at + 10, moment[first] + moment[second])
        else:
            half = (inside[first] + inside[second]) / 2
            out += LIFT * strength * _stretch(at, at + random.uniform(*LENGTHS) / 2, half)
            out += BUMP * strength * _bump(random.uniform(0, SECONDS), begins[first])
    return out


def _strengths(random: np.random.Generator) -> Any:
    return cycle(random.uniform(0.7, 1.3, 100))


def _bump(at: float, direction: np.ndarray) -> np.ndarray:
    return np.exp(-((TIMES - at) ** 2) / (2 * CUE**2))[:, None] * direction


def _stretch(start: float, end: float, direction: np.ndarray) -> np.ndarray:
    edges = 1 / ((1 + np.exp((start - TIMES) / SOFT)) * (1 + np.exp((TIMES - end) / SOFT)))
    return edges[:, None] * direction


def _jittered(events: Events, random: np.random.Generator) -> Events:
    rows = events.rows
    start, end = (
        (rows[name] + JITTER * random.standard_normal(len(rows))).clip(0, SECONDS)
        for name in ("start", "end")
    )
    middle, half = (start + end) / 2, ((end - start) / 2).clip(lower=SHORTEST / 2)
    first = (middle - half).clip(lower=0, upper=SECONDS - SHORTEST)
    return replace(events, rows=rows.assign(start=first, end=first + 2 * half))
