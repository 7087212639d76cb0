from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.events.columns import format_spans, parse_crop, parse_spans, video_name
from actionspace.events.labels import join_labels, label_order, split_labels
from actionspace.events.table import Events, concat
from tests.events.strategies import words


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), max_size=5))
def test_labels_survive_joining(names: list[str]) -> None:
    assert split_labels(join_labels(names)) == names


def test_a_literal_bar_is_escaped() -> None:
    assert split_labels(r"eat\|drink | rest") == ["eat|drink", "rest"]
    assert join_labels(["eat|drink", "rest"]) == r"eat\|drink|rest"
    assert split_labels(None) == split_labels("") == split_labels(" | ") == []
    with pytest.raises(DataError, match="space"):
        join_labels([" rest"])


def test_ids_sort_as_numbers_and_names_as_text() -> None:
    assert label_order(["10", "9", "10"]) == ["9", "10"]
    assert label_order(["b", "a", "10"]) == ["10", "a", "b"]


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=8, unique=True).map(sorted))
def test_spans_survive(cuts: list[float]) -> None:
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    assert parse_spans(format_spans(spans)) == spans


def test_wrong_spans_and_crops_say_what_is_expected() -> None:
    assert parse_spans(None) is None and parse_crop(None) is None
    assert parse_crop("1, 2,30,40") == (1, 2, 30, 40)
    for text in ("5-3", "a-b", "1-2,3-4", ""):
        with pytest.raises(DataError, match=r"0-10;20-30.5"):
            parse_spans(text)
    for text in ("1,2,3", "1,2,0,4", "x"):
        with pytest.raises(DataError, match="width"):
            parse_crop(text)


def test_video_names_are_portable() -> None:
    assert video_name(r".\cage 1\a.mp4") == "cage 1/a.mp4"
    assert video_name("a/./b//c/../d.mp4") == "a/b/d.mp4"
    assert video_name("../a.mp4") == "../a.mp4"
    assert video_name("/data/a.mp4") == "/data/a.mp4"


def test_columns_get_their_types_and_defaults() -> None:
    events = Events.from_frames(
        [
            {"video": r"a\b.mp4", "start": "1,5", "end": "0:02", "label": " x |y"},
            {"video": "c.mp4", "label": "z", "score": 0.5},
        ]
    )
    row = events.rows.iloc[0]
    assert (row["video"], row["start"], row["end"], row["label"]) == ("a/b.mp4", 1.5, 2.0, "x|y")
    assert row["subject"] is None and row["status"] == "event" and np.isnan(row["score"])
    assert events.rows["id"].tolist() == ["0", "1"]
    assert events.videos["video"].tolist() == ["a/b.mp4", "c.mp4"]
    assert str(events.videos["frames"].dtype) == "Int64"
    assert events.classes() == ["x", "y", "z"]
    assert events.labels() == [["x", "y"], ["z"]]


def test_an_empty_table_has_the_same_types() -> None:
    full = Events.from_frames([{"video": "a.mp4", "start": 0, "end": 1, "label": "x"}])
    empty = Events.from_frames([])
    assert len(empty) == 0
    assert dict(empty.rows.dtypes) == dict(full.rows.dtypes)
    assert dict(empty.videos.dtypes) == dict(full.videos.dtypes)


def test_a_row_without_times_or_label_is_only_a_video() -> None:
    unlabelled = {"video": "b.mp4", "start": 1, "end": 2, "label": None}
    events = Events.from_frames([{"video": "a.mp4", "label": None}, unlabelled])
    assert events.rows["video"].tolist() == ["b.mp4"]
    assert [v["video"] for v, _ in events.by_video()] == ["a.mp4", "b.mp4"]
    assert events.rows["id"].tolist() == ["0"]


@pytest.mark.parametrize(
    ("row", "words_expected"),
    [
        ({"video": "a", "lable": "x"}, "Did you mean 'label'"),
        ({"vidoe": "a", "label": "x"}, "no column 'video'"),
        ({"video": "", "label": "x"}, "'video' is empty"),
        ({"video": "a", "start": "soon", "end": 2, "label": "x"}, "'start' is 'soon'"),
        ({"video": "a", "start": 1, "label": "x"}, "only a 'start'"),
        ({"video": "a", "start": 1, "end": float("inf"), "label": "x"}, "infinite"),
        ({"video": "a", "label": "x", "status": "skip"}, "'event' or 'ignore'"),
        ({"video": "a"}, "no label column"),
    ],
)
def test_wrong_rows_are_named(row: dict[str, object], words_expected: str) -> None:
    with pytest.raises(DataError, match=words_expected):
        Events.from_frames([row])


def test_wrong_videos_are_named() -> None:
    rows = [{"video": "a.mp4", "label": "x"}]
    with pytest.raises(DataError, match="has a row already"):
        Events.from_frames(rows, [{"video": "a.mp4"}, {"video": "./a.mp4"}])
    with pytest.raises(DataError, match=r"'frames' is 2.5"):
        Events.from_frames(rows, [{"video": "a.mp4", "frames": 2.5}])
    with pytest.raises(DataError, match="'crop'"):
        Events.from_frames(rows, [{"video": "a.mp4", "crop": "left"}])
    with pytest.raises(DataError, match="taken by an earlier event"):
        Events.from_frames([{"id": 1, **rows[0]}, {"id": 1, **rows[0]}])
    with pytest.raises(DataError, match="cannot be a head"):
        Events.from_frames(rows, heads=["label", "split"])


def events_of_three(root: str | Path = ".") -> Events:
    rows = [
        {"video": "a.mp4", "start": 0, "end": 1, "label": "x"},
        {"video": "b.mp4", "start": 0, "end": 1, "label": "y", "status": "ignore"},
        {"video": "a.mp4", "start": 1, "end": 2, "label": "z"},
    ]
    videos = [
        {"video": v, "split": s}
        for v, s in (("a.mp4", "train"), ("b.mp4", "test"), ("c.mp4", None))
    ]
    return Events.from_frames(rows, videos, root)


def test_selecting() -> None:
    events = events_of_three()
    assert events.classes() == ["x", "z"]  # y is to be ignored
    assert events.select(split="test").videos["video"].tolist() == ["b.mp4"]
    assert len(events.select(videos=["a.mp4", "c.mp4"])) == 2
    fewer = events.select(mask=events.rows["label"] != "y")
    assert fewer.videos["video"].tolist() == ["a.mp4", "c.mp4"]  # b lost its only event
    assert events.for_video("a.mp4")["label"].tolist() == ["x", "z"]
    assert len(events) == 3
    with pytest.raises(DataError, match="Did you mean 'train'"):
        events.select(split="trian")
    with pytest.raises(DataError, match=r"Did you mean 'b\.mp4'"):
        events.select(videos=["b.mp5"])
    with pytest.raises(DataError, match="no head 'verb'"):
        events.classes("verb")


def test_joining() -> None:
    events = events_of_three()
    joined = concat([events.select(split="train"), events.select(split="test")])
    assert joined.rows["label"].tolist() == ["x", "z", "y"]
    twice = concat([events, events])
    assert len(twice) == 6 and twice.rows["id"].is_unique and len(twice.videos) == 3
    other = Events.from_frames(events.rows, events.videos.assign(split="val"))
    with pytest.raises(DataError, match="described differently"):
        concat([events, other])
    with pytest.raises(DataError, match="root"):
        concat([events, events_of_three("/elsewhere")])


def test_labelled_spans_of_a_video() -> None:
    events = Events.from_frames(
        [{"video": "a.mp4", "label": "x"}], [{"video": "a.mp4", "labelled": "0-2.5;4-5"}]
    )
    assert events.labelled_spans("a.mp4") == [(0.0, 2.5), (4.0, 5.0)]
    assert events_of_three().labelled_spans("a.mp4") is None


def test_a_name_without_suffix_finds_its_file(tmp_path: Path) -> None:
    (tmp_path / "v_1.webm").write_bytes(b"")
    events = Events.from_frames([{"video": "v_1", "label": "x"}], None, tmp_path)
    assert events.path("v_1") == tmp_path / "v_1.webm"
    assert events.path("v_2") == tmp_path / "v_2"


@settings(max_examples=20, deadline=None)
@given(words, words)
def test_from_frames_is_the_identity_on_its_own_tables(a: str, b: str) -> None:
    events = Events.from_frames(
        [{"video": "a.mp4", "label": join_labels([a, b]), "subject": a, "verb": b}],
        None,
        ".",
        ["label", "verb"],
    )
    again = Events.from_frames(events.rows, events.videos, events.root, events.heads)
    assert again.equals(events)
    assert isinstance(events.rows, pd.DataFrame)
