"""``read(write(x)) == x`` for every format that can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.events.io import FORMATS, read, sniff, write
from actionspace.events.labels import join_labels
from actionspace.events.table import Events
from tests.events import strategies as own

few = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    derandomize=True,
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name).resolve()


def assert_equal(found: Events, expected: Events) -> None:
    assert found.heads == expected.heads
    assert found.equals(expected), (
        f"{found.rows}\n{expected.rows}\n{found.videos}\n{expected.videos}"
    )


def there_and_back(events: Events, path: Path, form: str) -> Events:
    written = write(events, path, form)
    assert sniff(written) == form or form in ("csv", "parquet")
    return read(written, root=events.root)


@few
@given(st.data())
def test_manifest(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(own.tables(root))
        for name in ("m.csv", "m.tsv", "m.parquet", "pair", "pair_parquet"):
            form = "parquet" if "parquet" in name else "csv"
            # A manifest in a subfolder leads out of it, so root= is given when reading.
            written = write(events, root / name, form)
            assert_equal(read(written, root=root), events)


@few
@given(st.data())
def test_manifest_keeps_ids_heads_and_the_order_of_rows_and_videos(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(own.tables(root))
        rows = events.rows.sample(frac=1, random_state=data.draw(st.integers(0, 9)))
        rows = rows.assign(verb=data.draw(own.words), noun=None)
        videos = events.videos.sample(frac=1, random_state=data.draw(st.integers(0, 9)))
        mixed = Events.from_frames(rows, videos, root, ("label", "verb", "noun"))
        for name in ("a.csv", "b.parquet", "c"):
            assert_equal(read(write(mixed, root / name), root=root), mixed)


@few
@given(st.data())
def test_activitynet(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(own.tables(root))
        assert_equal(there_and_back(events, root / "a.json", "activitynet"), events)


@few
@given(st.data())
def test_actionformer(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(own.tables(root, several=False, whole=False, unlabelled=False, least=1))
        assert_equal(there_and_back(events, root / "a.json", "actionformer"), events)


@few
@given(st.data())
def test_via(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(own.tables(root))
        assert_equal(there_and_back(events, root / "a.json", "via"), events)


def apart(events: Events) -> Events:
    """Leave out events that overlap another of the same subject, label and modifiers."""
    rows = events.rows.sort_values(["start", "end"], kind="stable")
    until: dict[tuple[object, ...], float] = {}
    keep = []
    for row in rows.itertuples():
        key = (row.video, row.subject, row.label, row.modifiers)
        if row.start >= until.get(key, -1.0):
            until[key] = row.end
            keep.append(row.Index)
    return Events.from_frames(events.rows.loc[sorted(keep)], events.videos, events.root)


@few
@given(st.data())
def test_boris(data: st.DataObject) -> None:
    with folder() as root:
        drawn = data.draw(own.tables(root, several=False, whole=False, unlabelled=False))
        events = own.renumbered(apart(drawn), ["start", "end"])
        assert_equal(there_and_back(events, root / "a.boris", "boris"), events)


@few
@given(st.data(), st.sampled_from(["a.csv", "a.tsv"]))
def test_boris_export(data: st.DataObject, name: str) -> None:
    with folder() as root:
        drawn = own.tables(root, several=False, whole=False, unlabelled=False, least=1)
        events = own.renumbered(data.draw(drawn))
        assert_equal(there_and_back(events, root / name, "boris-csv"), events)


@few
@given(st.data())
def test_elan(data: st.DataObject) -> None:
    with folder() as root:
        drawn = data.draw(own.tables(root, times=own.milliseconds, whole=False))
        videos = drawn.videos.sort_values("video", key=lambda s: s.map(lambda v: Path(f"{v}.eaf")))
        events = own.renumbered(Events.from_frames(drawn.rows, videos, root), ["start"])
        assert_equal(there_and_back(events, root / "eaf", "elan"), events)


@st.composite
def clips(draw: st.DrawFn, root: Path, several: bool = True) -> Events:
    labels = st.lists(own.words, min_size=1, max_size=3 if several else 1, unique=True)
    order = labels.map(sorted).map(join_labels)
    rows = [{"video": name, "label": draw(order)} for name in own.names(draw, 5)]
    return Events.from_frames(rows, None, root)


@few
@given(st.data(), st.sampled_from(["clips.txt", "clips.json"]))
def test_list(data: st.DataObject, name: str) -> None:
    with folder() as root:
        events = data.draw(clips(root))
        assert_equal(there_and_back(events, root / name, "list"), events)


@few
@given(st.data())
def test_lists_by_split(data: st.DataObject) -> None:
    with folder() as root:
        events = data.draw(clips(root))
        splits = [data.draw(st.sampled_from(["train", "test"])) for _ in range(len(events))]
        events = Events.from_frames(events.rows, events.videos.assign(split=splits), root)
        write(events, root / "lists", "list")
        for split in set(splits):
            part = own.renumbered(events.select(split=split))
            assert_equal(read(root / "lists" / f"{split}.txt", root=root), part)


@few
@given(st.data())
def test_class_folders(data: st.DataObject) -> None:
    with folder() as root:
        classes = st.sampled_from(["grooming", "rear up", "Üben"])
        splits = st.sampled_from(["train", "val", "test"])
        rows = {
            f"{data.draw(splits)}/{data.draw(classes)}/{i}.mp4": i
            for i in range(data.draw(st.integers(1, 6)))
        }
        for name, i in rows.items():
            (root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            (root / "in" / name).write_bytes(bytes([i]))
        events = read(root / "in")
        assert sorted(rows) == sorted(events.videos["video"])
        assert_equal(read(write(events, root / "out", "folder")), events)
        assert all((root / "out" / name).read_bytes() == bytes([i]) for name, i in rows.items())


def test_every_format_that_writes_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    read_only = {"football", "kinetics"}
    for name in set(FORMATS) - read_only:
        assert f'"{name}"' in source


def test_what_a_format_cannot_carry_is_refused_or_left_out_when_asked(tmp_path: Path) -> None:
    events = Events.from_frames(
        [{"video": "a.mp4", "label": "x", "score": 0.5}],
        [{"video": "a.mp4", "group": "g"}],
        tmp_path,
    )
    with pytest.raises(DataError, match="'score'"):
        write(events, tmp_path / "a.txt")
    kept = read(write(events, tmp_path / "a.txt", lossy=True))
    assert kept.rows["label"].tolist() == ["x"]
    assert kept.rows["score"].isna().all()


def test_times_are_needed_where_the_format_has_no_whole_videos(tmp_path: Path) -> None:
    events = Events.from_frames([{"video": "a.mp4", "label": "x"}], None, tmp_path)
    with pytest.raises(DataError, match="duration"):
        write(events, tmp_path / "a.boris")
    known = Events.from_frames(events.rows, [{"video": "a.mp4", "duration": 4}], tmp_path)
    rows = read(write(known, tmp_path / "a.boris")).rows
    assert (rows["start"][0], rows["end"][0]) == (0, 4)


def test_several_labels_become_one_event_each_for_boris(tmp_path: Path) -> None:
    events = Events.from_frames(
        [{"video": "a.mp4", "start": 1, "end": 2, "label": r"x|y\|z"}], None, tmp_path
    )
    labels = read(write(events, tmp_path / "a.boris")).rows["label"].tolist()
    assert labels == ["x", r"y\|z"]


def test_overlaps_of_one_behaviour_are_refused_by_boris(tmp_path: Path) -> None:
    rows = [{"video": "a.mp4", "start": s, "end": s + 2, "label": "x"} for s in (0, 1)]
    with pytest.raises(DataError, match="overlap"):
        write(Events.from_frames(rows, None, tmp_path), tmp_path / "a.boris")
