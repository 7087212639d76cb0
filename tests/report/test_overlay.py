"""Overlay videos: every frame at its time, and the strip says what is so."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.events.plot import DARK, colours
from actionspace.events.table import Events
from actionspace.report.overlay import event_rows, write_overlay, write_overlays
from actionspace.report.strip import MOST_TRACKS, STRETCH, Mark, Row, Strip
from actionspace.training.predictions import Predictions, predicted_events
from actionspace.video.index import frame_index
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform
from actionspace.video.write import write_video

WIDTH, HEIGHT, SECONDS = 320, 64, 4.0


def rgb(colour: str) -> list[int]:
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey video of uneven frames, four seconds long."""
    out = tmp_path_factory.mktemp("overlay")
    steps = np.random.default_rng(0).integers(3, 12, 60).astype(float)
    ends = np.cumsum(steps * SECONDS / steps.sum())
    times = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    write_video(out / "a.mp4", [picture] * 60, 60 / SECONDS, times=times)
    return out


def events(folder: Path, rows: list[tuple[float, float, str, float | None]]) -> Events:
    columns = ("start", "end", "label", "score")
    return Events.from_frames(
        [{"video": "a.mp4", **dict(zip(columns, row, strict=True))} for row in rows], root=folder
    )


def strip_of(path: Path) -> np.ndarray:
    """The strip of all frames, ``[N, h, W, 3]``."""
    frames = sweep(path, range(len(frame_index(path))), transform=FrameTransform())
    return np.stack([frame[HEIGHT:] for _, frame in frames]).astype(int)


def share_of(strip: np.ndarray, column: int, colour: str) -> float:
    """How much of a column has a colour, give or take what encoding does to it."""
    return float((np.abs(strip[:, column] - rgb(colour)).max(axis=-1) < 40).mean())


def test_frames_keep_their_times_and_bars_their_columns(folder: Path) -> None:
    palette = colours(["groom", "rear"])
    predicted = events(folder, [(0.0, 1.0, "groom", 0.9), (2.0, 3.0, "rear", 0.5)])
    true = events(folder, [(0.0, 2.0, "groom", None), (2.0, 4.0, "rear", None)])
    path = write_overlay("a.mp4", predicted, true, folder / "o.mp4")
    source, index = frame_index(folder / "a.mp4"), frame_index(path)
    assert len(index) == len(source) == 60
    np.testing.assert_allclose(index.times, source.times, atol=1e-4)
    assert index.duration == pytest.approx(SECONDS, abs=1e-4)
    last = strip_of(path)[-1]
    # Nothing is under these columns but the bars: 0.5 s, 1.5 s, 2.5 s and 3.5 s.
    one, both = 0.1, 0.25  # of the strip's height: a bar, and two
    assert share_of(last, 40, palette["groom"]) > both
    assert one < share_of(last, 120, palette["groom"]) < both
    assert share_of(last, 200, palette["rear"]) > both
    assert one < share_of(last, 280, palette["rear"]) < both
    assert share_of(last, 280, palette["groom"]) == 0


def test_the_cursor_and_the_names_follow_the_time(folder: Path) -> None:
    predicted = events(folder, [(0.0, 2.0, "groom", 0.9)])
    strip = Strip(event_rows("a.mp4", predicted, None, SECONDS), SECONDS, WIDTH)
    bars = slice(strip.letter * 2, strip.letter * 2 + 4)
    for time in (0.5, 1.0, 3.5):
        white = (strip.draw(time)[bars] == 255).all(axis=(0, 2))
        assert np.flatnonzero(white).mean() == pytest.approx(time * WIDTH / SECONDS, abs=1.5)
    blue = np.array(rgb(colours(["groom"])["groom"]))
    named = [(strip.draw(t)[: strip.letter] == blue).all(axis=-1).sum() for t in (1.9, 2.0)]
    assert named[0] > 20 and named[1] == 0


def test_a_long_video_shows_the_time_around_the_present() -> None:
    marks = [Mark(100.0, 110.0, "x", "#ff0000", 0.5), Mark(7000.0, 7010.0, "x", "#00ff00", 0.5)]
    strip = Strip([Row("predicted", marks)], 10_800, 640)
    assert strip.window(5000) == (5000 - STRETCH / 2, 5000 + STRETCH / 2)
    bar = strip.draw(110.0)[strip.letter * 2]
    red = np.flatnonzero((bar == rgb("#ff0000")).all(axis=-1))
    assert red.min() == pytest.approx(320 - 640 * 10 / STRETCH, abs=1)
    assert not (bar == rgb("#00ff00")).all(axis=-1).any()
    whole = strip.draw(0.0)[strip.height - strip.letter]
    green = np.flatnonzero((whole == rgb("#00ff00")).all(axis=-1))
    assert green.mean() == pytest.approx(640 * 7005 / 10_800, abs=2)
    outside = strip.draw(0.0)[strip.letter * 2, : 640 // 2 - 4]
    assert (outside == rgb(DARK.paper)).all(), "before the video there is nothing"


times = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(times, times, st.floats(0, 1)), max_size=40), times)
def test_marks_of_a_track_never_overlap_and_the_best_comes_first(
    spans: list[tuple[float, float, float]], time: float
) -> None:
    row = Row("p", [Mark(min(a, b), max(a, b), "x", "#123456", s) for a, b, s in spans])
    assert len(row.tracks) <= MOST_TRACKS
    for track in row.tracks:
        assert all(a.end <= b.start for a, b in pairwise(track))
    if spans:
        best = max(row.marks, key=lambda m: m.score or 0.0)
        assert any(m.score == best.score for m in row.tracks[0])
    shown = [m for track in row.tracks for m in track if m.start <= time < m.end]
    if all(m.start < m.end for m in row.marks):
        assert row.at(time) == shown


@pytest.mark.parametrize("width", [96, 320, 1920, 3840])
def test_names_and_bars_have_room_at_every_width(width: int) -> None:
    names = ["a_very_long_name_of_a_behaviour" * 3, "b"]
    marks = [Mark(0, 9, name, "#0072B2", 0.5) for name in names] + [Mark(3, 3, "p", "#E69F00")]
    strip = Strip([Row("predicted", marks), Row("true", [])], 10.0, width)
    for time in (0.0, 3.1, 9.99):
        assert strip.draw(time).shape == (strip.height, width, 3)
    assert strip.height % 2 == 0


def test_events_of_all_kinds_become_rows(tmp_path: Path) -> None:
    rows = [
        {"video": "a.mp4", "label": "x|y", "score": 0.4},
        {"video": "a.mp4", "start": 1, "end": 2, "label": "x", "status": "ignore"},
        {"video": "b.mp4", "start": 1, "end": 2, "label": "z"},
    ]
    (row,) = event_rows("a.mp4", Events.from_frames(rows, root=tmp_path), None, 5.0)
    assert [(m.start, m.end, m.label, m.score) for m in row.marks] == [
        (0.0, 5.0, "x", 0.4),
        (0.0, 5.0, "y", 0.4),
    ]


def test_predictions_of_several_heads_are_shown_beside_the_videos(folder: Path) -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {"id": ["0", "1"], "video": "a.mp4", "start": [0.0, 1.0], "end": [1.0, 3.0],
         "verb": ["take", None], "noun": [None, "cup"], "verb_score": [0.7, None],
         "noun_score": [None, 0.6]}
    )  # fmt: skip
    videos = pd.DataFrame({"video": ["a.mp4", "sub/gone.mp4"]})
    heads = {"verb": {"classes": ["put", "take"]}, "noun": {"classes": ["cup", "none"]}}
    heads["noun"]["background"] = {"kind": "trained", "label": "none"}  # type: ignore[assignment]
    true = [{"video": "a.mp4", "start": 0, "end": 4, "verb": "take", "noun": "none"}]
    truth = Events.from_frames(true, heads=("verb", "noun")).rows
    found = Predictions(
        predicted_events(rows, videos, folder, ("verb", "noun")),
        {},
        {"heads": heads, "skipped": {"sub/gone.mp4": "not there"}},
        rows,
        truth=truth,
    )
    (path,) = write_overlays(found, folder / "out")
    assert path == folder / "out" / "a.overlay.mp4"
    last, palette = strip_of(path)[-1], colours(["put", "take", "cup"])
    assert share_of(last, 40, palette["take"]) > 0.05
    assert share_of(last, 160, palette["cup"]) > 0.03
    assert share_of(last, 40, palette["cup"]) == 0
    nothing = colours(["put", "take", "cup", "none"])["none"]
    assert share_of(last, 160, nothing) == 0, "nothing happening is not shown"
