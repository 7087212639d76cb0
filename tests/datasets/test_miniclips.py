from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.datasets.miniclips import cut_miniclips, read_boxes, square, windows_of
from actionspace.datasets.prepare import dataset_events
from actionspace.errors import DataError
from actionspace.video.inspect import inspect
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform
from tests.datasets.layouts import chimpbehave_raw

sides = st.integers(16, 800)
corner = st.floats(-50, 900)


@given(sides, sides, corner, corner, st.floats(0, 900), st.floats(0, 900))
def test_the_square_lies_in_the_frame(
    width: int, height: int, x: float, y: float, w: float, h: float
) -> None:
    left, top, side, again = square((x, y, x + w, y + h), width, height, 224)
    assert side == again
    assert 0 <= left <= left + side <= width and 0 <= top <= top + side <= height
    assert side == min(int(max(w, h, 224)), width, height) or abs(side - max(w, h)) <= 1


def test_the_square_moves_only_as_far_as_it_must() -> None:
    assert square((300, 300, 340, 340), 1000, 800, 224) == (208, 208, 224, 224)
    assert square((0, 0, 40, 40), 1000, 800, 224) == (0, 0, 224, 224)
    assert square((900, 700, 1000, 800), 1000, 800, 224) == (776, 576, 224, 224)
    assert square((100, 100, 500, 200), 1000, 800, 224) == (100, 0, 400, 400)
    assert square((0, 0, 999, 700), 1000, 500, 224)[2] == 500


def test_windows_follow_one_another_and_the_rest_is_left_out() -> None:
    boxes: list[tuple[float, float, float, float] | None] = [(1.0, 2.0, 3.0, 4.0)] * 47
    boxes[0] = (0.0, 5.0, 9.0, 6.0)
    boxes[20:40] = [None] * 20
    assert [(w.first, w.last, w.union) for w in windows_of(boxes, 20)] == [
        (0, 19, (0.0, 2.0, 9.0, 6.0))
    ]


def test_every_frame_of_every_clip_is_written(tmp_path: Path) -> None:
    """Also where the animal is in a corner: there the published tool writes short clips."""
    source = chimpbehave_raw(tmp_path)
    made = cut_miniclips(source, tmp_path / "miniclips")
    assert [p.name for p in made] == [
        f"Raw{i}_10_90_{c}_clip_{a}_{a + 19}.mp4"
        for i, c in enumerate(("sitting", "walking"))
        for a in (0, 20, 40)
    ]
    for path in made:
        info = inspect(path)
        assert (info.frames, info.width, info.height, info.fps) == (20, 224, 224, 25.0)
    last = dict(sweep(made[2], range(20), transform=FrameTransform()))
    whole = dict(
        sweep(source / "videos" / "Raw0_10_90.mp4", range(40, 60), transform=FrameTransform())
    )
    # The square of the last window ends in the frame's lower right corner: x 96, y 16.
    difference = np.abs(last[19].astype(int) - whole[59][16:240, 96:320])
    assert difference.mean() < 3
    before = {p: p.stat().st_mtime_ns for p in made}
    assert cut_miniclips(source, tmp_path / "miniclips") == made
    assert {p: p.stat().st_mtime_ns for p in made} == before


def test_cutting_is_part_of_preparing(tmp_path: Path) -> None:
    source = chimpbehave_raw(tmp_path)
    (source / "CB_train_cv1.txt").write_text("Raw0_10_90_sitting_clip_0_19.mp4 0\n")
    (source / "CB_test_cv1.txt").write_text("Raw1_10_90_walking_clip_20_39.mp4 2\n")
    events = dataset_events("chimpbehave", source, cut=True)
    assert events.videos["video"][0] == "miniclips/Raw0_10_90_sitting_clip_0_19.mp4"
    assert all(events.path(v).is_file() for v in events.videos["video"])


def test_mistakes_are_named(tmp_path: Path) -> None:
    source = chimpbehave_raw(tmp_path)
    boxes = source / "boxes" / "Raw0_10_90_bboxes.json"
    good = json.loads(boxes.read_text())
    boxes.write_text(json.dumps([*good, *good]))
    with pytest.raises(DataError, match="has 67 frames, its boxes speak of frame"):
        cut_miniclips(source, tmp_path / "out")
    boxes.write_text(json.dumps([{"track": 1}]))
    with pytest.raises(DataError, match="frame 0"):
        read_boxes(boxes)
    boxes.unlink()
    with pytest.raises(DataError, match=r"row 2: there is no Raw0_10_90_bboxes\.json"):
        cut_miniclips(source, tmp_path / "out")
    (source / "labels.csv").write_text("video,behaviour\nother.mp4,sitting\n")
    with pytest.raises(DataError, match=r"row 2: there is no video 'other\.mp4'"):
        cut_miniclips(source, tmp_path / "out")
    (source / "labels.csv").write_text("video,behaviour\nother.mp4\n")
    with pytest.raises(DataError, match="row 2: expected"):
        cut_miniclips(source, tmp_path / "out")
