from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from actionspace.errors import UsageError
from actionspace.events.budget import time_budget, transitions
from actionspace.events.plot import PALETTE, colours, ethogram
from actionspace.events.table import Events


@pytest.fixture
def day() -> Events:
    rows = [
        ("a.mp4", 2, 6, "groom", "Ada"),
        ("a.mp4", 6, 8, "rear", "Ada"),
        ("a.mp4", 8, 10, "groom", "Ada"),
        ("a.mp4", 9, 12, "groom", "Ada"),
        ("a.mp4", 7, 7, "call", "Ada"),
        ("a.mp4", 0, 30, "rest", "Bo"),
    ]
    names = ("video", "start", "end", "label", "subject")
    table = [dict(zip(names, row, strict=True)) for row in rows]
    table.append({"video": "b.mp4", "label": "rest|groom"})
    table.append({"video": "a.mp4", "start": 0, "end": 9, "label": "rest", "status": "ignore"})
    videos = [{"video": "a.mp4", "duration": 30}, {"video": "b.mp4", "duration": 10}]
    return Events.from_frames(table, videos)


def test_time_budget(day: Events) -> None:
    table = time_budget(day).set_index(["video", "subject", "label"])
    groom = table.loc[("a.mp4", "Ada", "groom")]
    assert (groom["bouts"], groom["points"]) == (3, 0)
    assert groom["total_duration"] == 9
    assert groom["mean_duration"] == 3
    assert groom["latency"] == 2
    assert groom["rate_per_minute"] == 6
    assert groom["share"] == pytest.approx(8 / 30)  # 2-6 and 8-12: the overlap counts once
    call = table.loc[("a.mp4", "Ada", "call")]
    assert (call["bouts"], call["points"], call["share"]) == (0, 1, 0)
    assert math.isnan(call["mean_duration"])
    assert table.loc[("a.mp4", "Bo", "rest")]["share"] == 1
    whole = time_budget(day, by_subject=False).set_index(["video", "label"])
    assert whole.loc[("b.mp4", "groom")]["total_duration"] == 10
    assert whole.loc[("a.mp4", "rest")]["bouts"] == 1


def test_observed_time_is_what_was_labelled() -> None:
    events = Events.from_frames(
        [{"video": "a.mp4", "start": 12, "end": 15, "label": "x"}],
        [{"video": "a.mp4", "duration": 100, "labelled": "10-20"}],
    )
    row = time_budget(events).iloc[0]
    assert (row["share"], row["latency"], row["rate_per_minute"]) == (0.3, 2, 6)
    assert len(time_budget(Events.from_frames([], [{"video": "a.mp4"}]))) == 0


def test_transitions_stay_within_a_subject(day: Events) -> None:
    counts = transitions(day.select(videos=["a.mp4"]))
    assert counts.loc["groom", "rear"] == 1
    assert counts.loc["rear", "call"] == 1 and counts.loc["call", "groom"] == 1
    assert counts.loc["groom", "groom"] == 1
    assert counts.to_numpy().sum() == 4
    assert counts.index.name == "from" and counts.columns.name == "to"
    assert transitions(Events.from_frames([])).empty


def test_ethogram_is_written_and_repeats_itself(day: Events, tmp_path: Path) -> None:
    figure = ethogram(day, truth=day, path=tmp_path / "a.png", title="Night 1")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 9 * 160
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a.mp4", "b.mp4"]
    lanes = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert lanes == ["call", "groom", "rear", "rest"]
    for name in ("a.svg", "b.svg"):
        day.plot(tmp_path / name, lanes="subject", dark=True)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    by_subject = ethogram(day, lanes="subject", videos=["a.mp4"])
    assert [t.get_text() for t in by_subject.axes[0].get_yticklabels()] == ["Ada", "Bo"]


def test_dark_is_dark(day: Events, tmp_path: Path) -> None:
    for dark, low, high in ((False, 200, 256), (True, 0, 60)):
        ethogram(day, path=tmp_path / "x.png", dark=dark)
        with Image.open(tmp_path / "x.png") as image:
            assert low <= image.convert("L").getpixel((2, 2)) < high  # type: ignore[operator]


def test_colours_are_told_apart() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    many = colours([str(i) for i in range(24)])
    assert many["0"].lower() == PALETTE[0].lower()
    assert len(set(many.values())) == 24


def test_nothing_to_draw(day: Events) -> None:
    with pytest.raises(UsageError, match="no events"):
        ethogram(Events.from_frames([]))
    with pytest.raises(UsageError, match="'class' or 'subject'"):
        ethogram(day, lanes="cage")
