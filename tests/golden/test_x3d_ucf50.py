"""UCF50 as the published run saw it: classes, ids, every clip, and its random split by hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from actionspace.datasets import ucf50
from actionspace.datasets.check import check_manifest
from actionspace.datasets.prepare import dataset_events
from tests.golden.x3d import folders


def listing() -> dict[str, Any]:
    for folder in folders():
        if (folder / "ucf50.json").is_file():
            found: dict[str, Any] = json.loads((folder / "ucf50.json").read_text(encoding="utf-8"))
            return found
    return {}


UCF50 = listing()
pytestmark = pytest.mark.skipif(not UCF50, reason="no golden/x3d ucf50.json here")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every clip of UCF50 as an empty file under its name."""
    root = tmp_path_factory.mktemp("ucf50")
    for name, entry in UCF50["per_class"].items():
        (root / "UCF50" / name).mkdir(parents=True)
        for clip in entry["clips"]:
            (root / "UCF50" / name / f"v_{entry['prefix'][0]}_{clip}.avi").touch()
    return root


def names(events: Any, split: str) -> list[str]:
    return [Path(v).name for v in events.videos["video"][events.videos["split"] == split]]


def digest(of: list[str]) -> str:
    return hashlib.sha256("\n".join(of).encode()).hexdigest()


def test_classes_and_counts(source: Path) -> None:
    assert list(ucf50.CLASSES) == UCF50["classes"]
    assert {n: e["n"] for n, e in UCF50["per_class"].items()} == ucf50.COUNTS
    assert [e["label"] for e in UCF50["per_class"].values()] == list(range(50))
    assert len(ucf50.find_clips(source)) == UCF50["total"] == 6681


def test_the_published_split_clip_by_clip_and_in_its_order(source: Path) -> None:
    clips = [Path(c.path).name for c in ucf50.find_clips(source)]
    parts = ucf50.random_split(clips)
    for name, size in zip(("train", "val", "test"), UCF50["seed_split"]["sizes"], strict=True):
        expected = UCF50["seed_split"][name]
        assert len(parts[name]) == size == expected["n"]
        assert parts[name][:10] == expected["first10"] and parts[name][-3:] == expected["last3"]
        assert digest(parts[name]) == expected["sha256_of_names_joined_by_newline"]


def test_the_published_split_as_a_manifest_says_that_it_leaks(
    source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = dataset_events("ucf50", source, split="published")
    parts = ucf50.random_split([Path(c.path).name for c in ucf50.find_clips(source)])
    for split, members in parts.items():
        assert sorted(names(events, split)) == sorted(members)
    assert "99.4 % of the test clips" in caplog.text
    group = dict(zip(events.videos["video"], events.videos["group"], strict=True))
    trained = {group[v] for v in events.select(split="train").videos["video"]}
    tested = {group[v] for v in events.select(split="test").videos["video"]}
    assert (len(tested & trained), len(tested)) == (713, 716)  # as counted in the reference
    found = [str(f) for f in check_manifest(events, files=False) if f.code == "group-overlap"]
    assert len(found) == 2 and "997 of 1003 test videos (99.4%)" in found[1]
    other = dataset_events("ucf50", source, split="published", order="sorted")
    assert names(other, "test") != names(events, "test")


def test_groups_by_number_as_in_ucf101(source: Path) -> None:
    events = dataset_events("ucf50", source, split="numbers")
    sizes = [len(names(events, s)) for s in ("train", "val", "test")]
    assert sizes == UCF50["group_split_example"]["sizes"]
    assert len(events.select(split="test").classes()) == 50


def test_the_default_keeps_every_recording_whole(source: Path) -> None:
    events = dataset_events("ucf50", source)
    assert events.videos.groupby("group")["split"].nunique().max() == 1
    share = events.videos["split"].value_counts(normalize=True)
    assert [share[s] for s in ("train", "val", "test")] == pytest.approx(
        [0.7, 0.15, 0.15], abs=0.01
    )
    for split in ("train", "val", "test"):
        assert len(events.select(split=split).classes()) == 50
    assert events.equals(dataset_events("ucf50", source, seed=42))
