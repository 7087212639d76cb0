"""Every kind of finding, from a manifest that has it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from actionspace.datasets.check import Finding, check_manifest
from actionspace.events.io import read
from actionspace.events.table import Events
from actionspace.video.write import write_video
from tests.datasets.layouts import clip


@dataclass(frozen=True)
class Look:
    """What a pretended inspector says."""

    fps: float = 25.0
    frames: int = 250
    duration: float = 10.0
    verdict: str = "ok"
    reason: str = ""


def look(path: Path) -> Look:
    if "bad" in path.name:
        return Look(verdict="bad", reason="moov atom not found")
    return Look(verdict="partial", reason="half of it") if "half" in path.name else Look()


def check(folder: Path, text: str, **options: object) -> list[Finding]:
    """Check a manifest whose files all exist, each with its own content."""
    path = folder / "clips.csv"
    path.write_text(text, encoding="utf-8")
    events = read(path)
    for video in events.videos["video"]:
        if "missing" not in video and not (folder / video).exists():
            (folder / video).write_bytes(video.encode())
    return check_manifest(events, inspect=look, **options)  # type: ignore[arg-type]


def codes(findings: list[Finding]) -> list[tuple[str, str, int | None]]:
    return [(f.severity, f.code, f.row) for f in findings]


def test_a_good_manifest_has_no_findings(tmp_path: Path) -> None:
    rows = "".join(
        f"{s}{c}.mp4,0,2,{c},{s},{s}{c}\n{s}{c}.mp4,2,4,other,{s},{s}{c}\n"
        for s in ("train", "test")
        for c in ("groom", "rear")
    )
    assert check(tmp_path, "video,start,end,label,split,group\n" + rows) == []


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("a.mp4,1,2,x\nmissing.mp4,1,2,x\n", ("error", "missing-file", 3), "does not exist"),
        ("bad.mp4,1,2,x\n", ("error", "unreadable", 2), "moov"),
        ("half.mp4,1,2,x\n", ("warning", "damaged", 2), "half of it"),
        ("a.mp4,1,2,x\na.mp4,9,8,x\n", ("error", "inverted", 3), "ends before it starts"),
        (
            "a.mp4,11,12,x\n",
            ("error", "outside-video", 2),
            "of a.mp4 from 11 to 12 s lies after its end",
        ),
        ("a.mp4,-1,2,x\n", ("error", "outside-video", 2), "before the video"),
        ("a.mp4,9,12,x\n", ("warning", "outside-video", 2), "beyond its end"),
        ("a.mp4,1,2,x\nb.mp4,,,y\na.mp4,1,2,x\n", ("warning", "duplicate", 4), "row 2"),
        ("a.mp4,1,5,x\na.mp4,2,6,x\n", ("warning", "overlap", 3), "lasts to 5 s"),
        ("a.mp4,1,2,x\na.mp4,3,4,x\na.mp4,7,7,x\n", ("warning", "zero-length", 4), "duration"),
        ("a.mp4,1,2,grooming\nb.mp4,1,2,groming\n", ("warning", "labels-alike", 3), "'grooming'"),
        ("a.mp4,1,2,Wall rear\nb.mp4,1,2,wall_rear\n", ("warning", "labels-alike", 2), "case"),
        ("a.mp4,1,2,raer\nb.mp4,1,2,rear\nc.mp4,,,rear\n", ("warning", "labels-alike", 2), "slip"),
    ],
)
def test_events(tmp_path: Path, text: str, expected: tuple[str, str, int], said: str) -> None:
    findings = check(tmp_path, "video,start,end,label\n" + text)
    assert codes(findings) == [expected]
    line = str(findings[0])
    assert said in line and "clips.csv, row" in line and "\n" not in line
    assert findings[0].as_dict()["code"] == expected[1]


def test_labels_that_differ_on_purpose(tmp_path: Path) -> None:
    names = ("phase1", "phase2", "run", "ran", "sit up", "climb")
    text = "".join(f"{i}.mp4,{name}\n" for i, name in enumerate(names))
    assert check(tmp_path, "video,label\n" + text) == []


def test_known_classes(tmp_path: Path) -> None:
    findings = check(
        tmp_path, "video,label\na.mp4,groom\nb.mp4,sleeep\n", classes={"label": ["groom", "sleep"]}
    )
    assert ("error", "unknown-label", 3) in codes(findings)
    assert any("Did you mean 'sleep'" in str(f) for f in findings)
    assert any(f.code == "empty-class" and "sleep" in f.message for f in findings)


def test_facts_of_the_file_against_the_manifest(tmp_path: Path) -> None:
    text = "video,label,fps,duration,frames\na.mp4,x,30,12,300\nb.mp4,x,25,10.1,250\n"
    assert codes(check(tmp_path, text)) == [
        ("warning", "duration-differs", 2),
        ("warning", "fps-differs", 2),
        ("warning", "frames-differ", 2),
    ]


def test_leaks_between_splits(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the same")
    (tmp_path / "copy of a.mp4").write_bytes(b"the same")
    (tmp_path / "b.mp4").write_bytes(b"not same")
    text = (
        "video,label,split,group\na.mp4,x,train,ada\nb.mp4,x,train,bo\ncopy of a.mp4,x,test,cy\n"
        "d.mp4,x,test,bo\ne.mp4,x,,bo\n"
    )
    assert codes(check(tmp_path, text)) == [
        ("error", "group-overlap", None),  # 1 of 2 test videos
        ("error", "split-leak", 4),
        ("error", "group-leak", 5),
        ("warning", "no-split", 6),
    ]
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    same = check(tmp_path, "video,label,split\na.mp4,x,train\nb.mp4,x,train\n")
    assert codes(same) == [("warning", "same-file", 3)]


def test_classes_missing_from_splits(tmp_path: Path) -> None:
    text = "video,label,split,group\na.mp4,x,train,g\nb.mp4,y,test,h\n"
    found = {f.code: f for f in check(tmp_path, text)}
    assert found["not-in-train"].severity == "warning" and "y" in found["not-in-train"].message
    assert found["not-in-split"].severity == "note"
    assert "lives in one group only" in found["one-group"].message


def test_labelled_spans(tmp_path: Path) -> None:
    text = "video,start,end,label,labelled\na.mp4,1,2,x,0-3\na.mp4,5,6,y,\nb.mp4,1,2,z,0-40\n"
    assert codes(check(tmp_path, text)) == [
        ("warning", "outside-labelled", 3),
        ("warning", "labelled-outside", 4),
    ]


def test_empty_manifests() -> None:
    assert codes(check_manifest(Events.from_frames([]))) == [("error", "empty", None)]
    none = check_manifest(Events.from_frames([], [{"video": "a.mp4"}]), files=False)
    assert codes(none) == [("error", "empty", None)]


def test_features_stand_in_for_a_file(tmp_path: Path) -> None:
    text = "video,start,end,label,duration,features\nmissing.mp4,1,2,x,10,f.npy\n"
    assert codes(check(tmp_path, text)) == [("error", "missing-features", 2)]
    (tmp_path / "f.npy").write_bytes(b"")
    assert check(tmp_path, text) == []


def test_the_packages_own_inspector(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", clip(0, 0), 25.0)
    (tmp_path / "b.mp4").write_bytes(b"no video at all")
    (tmp_path / "m.csv").write_text("video,start,end,label\na.mp4,0,3,x\nb.mp4,,,x\n")
    findings = check_manifest(read(tmp_path / "m.csv"))
    assert codes(findings) == [("error", "unreadable", 3), ("warning", "outside-video", 2)]
    assert check_manifest(read(tmp_path / "m.csv"), files=False) == []
