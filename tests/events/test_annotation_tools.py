"""What BORIS, ELAN and VIA write, in the shapes in which they write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actionspace.errors import DataError
from actionspace.events.io import read, sniff, write
from actionspace.events.table import Events


def boris(folder: Path, **observations: dict[str, Any]) -> Path:
    project = {
        "time_format": "hh:mm:ss",
        "project_format_version": "7.0",
        "behaviors_conf": {
            "0": {"type": "State event", "code": "rest"},
            "1": {"type": "Point event", "code": "call"},
            "2": {"type": "State event with coding map", "code": "eat|drink"},
        },
        "observations": observations,
    }
    path = folder / "project.boris"
    path.write_text(json.dumps(project))
    return path


def observation(
    *events: list[Any], files: tuple[str, ...] = ("a.mp4",), **more: Any
) -> dict[str, Any]:
    return {
        "file": {"1": list(files), "2": ["other camera.mp4"]},
        "type": "MEDIA",
        "time offset": 0.0,
        "events": list(events),
        "media_info": {"length": dict.fromkeys(files, 100.0), "fps": dict.fromkeys(files, 25.0)},
        **more,
    }


def rows(events: Events) -> list[tuple[Any, ...]]:
    table = events.rows[["video", "start", "end", "label", "subject", "modifiers"]]
    return list(table.itertuples(index=False, name=None))


def test_boris_pairs_states_by_subject_and_modifiers(tmp_path: Path) -> None:
    path = boris(
        tmp_path,
        one=observation(
            [1.0, "Ada", "rest", "", ""],
            [2.0, "Bo", "rest", "", "looks tired"],
            [2.5, "", "call", "loud|far", ""],
            [3.0, "Ada", "rest", "", ""],
            [4.0, "Bo", "rest", "", ""],
            [5.0, "Ada", "eat|drink", "leaf", "", 125],
            [6.0, "Ada", "eat|drink", "fruit", ""],
            [7.0, "Ada", "eat|drink", "leaf", ""],
            [9.0, "Ada", "eat|drink", "fruit", ""],
        ),
    )
    events = read(path)
    assert rows(events) == [
        ("a.mp4", 1.0, 3.0, "rest", "Ada", None),
        ("a.mp4", 2.0, 4.0, "rest", "Bo", None),
        ("a.mp4", 2.5, 2.5, "call", None, "loud|far"),
        ("a.mp4", 5.0, 7.0, r"eat\|drink", "Ada", "leaf"),
        ("a.mp4", 6.0, 9.0, r"eat\|drink", "Ada", "fruit"),
    ]
    assert (events.videos["duration"][0], events.videos["fps"][0]) == (100, 25)


def test_boris_files_that_play_one_after_another(tmp_path: Path) -> None:
    marks = [[90.0, "", "rest", "", ""], [130.0, "", "rest", "", ""], [150.0, "", "call", "", ""]]
    path = boris(tmp_path, one=observation(*marks, files=("a.mp4", "b.mp4")))
    assert rows(read(path)) == [
        ("a.mp4", 90.0, 100.0, "rest", None, None),
        ("b.mp4", 0.0, 30.0, "rest", None, None),
        ("b.mp4", 50.0, 50.0, "call", None, None),
    ]
    unknown = observation(*marks, files=("a.mp4", "b.mp4"), media_info={})
    with pytest.raises(DataError, match="how long each is"):
        read(boris(tmp_path, one=unknown))


def test_boris_time_offset_is_taken_off(tmp_path: Path) -> None:
    marks = observation([12.0, "", "call", "", ""], **{"time offset": 10.0})
    assert rows(read(boris(tmp_path, one=marks)))[0][1] == 2.0


def test_boris_two_observers_of_one_video(tmp_path: Path) -> None:
    one = observation([1.0, "", "call", "", ""])
    events = read(boris(tmp_path, ann=one, bob=one))
    assert events.rows["annotator"].tolist() == ["ann", "bob"]
    assert len(events.videos) == 1


def test_boris_unpaired_states(tmp_path: Path) -> None:
    path = boris(tmp_path, one=observation([1.0, "Ada", "rest", "", ""]))
    with pytest.raises(DataError, match=r"'one'.*'rest' of Ada starts at 1 s and never stops"):
        read(path)
    assert rows(read(path, unpaired="end"))[0][2] == 100.0


def test_boris_odd_projects(tmp_path: Path) -> None:
    live = {"type": "LIVE", "file": [], "events": [[1.0, "", "call", "", ""]]}
    with pytest.warns(UserWarning), pytest.raises(DataError, match="no observation has a video"):
        read(boris(tmp_path, live=live))
    with pytest.warns(UserWarning, match="1 observations have no video"):
        assert len(read(boris(tmp_path, live=live, one=observation()))) == 0
    with pytest.raises(DataError, match="'sing' is not in the project's ethogram"):
        read(boris(tmp_path, one=observation([1.0, "", "sing", "", ""])))
    with pytest.raises(DataError, match="is not an event"):
        read(boris(tmp_path, one=observation(["soon", "", "call", "", ""])))
    (tmp_path / "x.boris").write_text("{}")
    with pytest.raises(DataError, match="not a BORIS project"):
        read(tmp_path / "x.boris")


def test_paths_of_another_machine_are_found_under_the_root(tmp_path: Path) -> None:
    (tmp_path / "day 1").mkdir()
    (tmp_path / "day 1" / "a.mp4").write_bytes(b"")
    files = ("T:\\study\\day 1\\a.mp4", "/home/ann/b.mp4")
    path = boris(tmp_path, one=observation(files=files))
    assert read(path).videos["video"].tolist() == ["day 1/a.mp4", "b.mp4"]


TABULAR = (
    "Observation id\tObservation date\tDescription\tObservation duration\tObservation type\t"
    "Source\tTime offset (s)\tMedia duration (s)\tFPS\tSubject\tBehavior\tBehavioral category\t"
    "Modifier #1\t"
    "Behavior type\tTime\tMedia file name\tImage index\tImage file path\tComment\n"
)


def tabular(*lines: str) -> str:
    start = "one\t2024-01-01\t\t100\tMedia file(s)\tplayer #1:a.mp4;b.mp4|player #2:c.mp4\t0\t"
    return TABULAR + "".join(f"{start}60.0;40.0|99\t25;25|25\t{line}\n" for line in lines)


def test_boris_tabular_export(tmp_path: Path) -> None:
    path = tmp_path / "export.tsv"
    path.write_text(
        tabular(
            "Ada\trest\t\tlong\tSTART\t50\ta.mp4\t1250\tNA\t",
            "No focal subject\tcall\t\t\tPOINT\t00:00:55.500\ta.mp4\tNA\tNA\t",
            "Ada\trest\t\tlong\tSTOP\t70\tb.mp4\t1750\tNA\t",
        )
    )
    assert sniff(path) == "boris-csv"
    assert rows(read(path)) == [
        ("a.mp4", 50.0, 60.0, "rest", "Ada", "long"),
        ("b.mp4", 0.0, 10.0, "rest", "Ada", "long"),
        ("a.mp4", 55.5, 55.5, "call", None, None),
    ]
    path.write_text(tabular("Ada\trest\t\t\tSTART\tlate\ta.mp4\t\t\t"))
    with pytest.raises(DataError, match="row 2: 'time' is 'late'"):
        read(path)


def test_boris_old_tabular_export_with_a_preamble(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text(
        "Observation id,night 1,,,,,,,\n,,,,,,,,\nMedia file(s),,,,,,,,\nPlayer #1,a.mp4,,,,,,,\n"
        "Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,"
        "Status\n"
        "3.300,a.mp4,60.0,25.0,Ada,rest,,,START\n7.750,a.mp4,60.0,25.0,Ada,rest,,,STOP\n"
    )
    events = read(path)
    assert rows(events) == [("a.mp4", 3.3, 7.75, "rest", "Ada", None)]
    assert events.videos["duration"][0] == 60.0


def test_boris_aggregated_export(tmp_path: Path) -> None:
    path = tmp_path / "aggregated.csv"
    path.write_text(
        "Observation id,Observation date,Description,Media file,Total length,FPS,Subject,Behavior,"
        "Behavioral category,Modifiers,Behavior type,Start (s),Stop (s),Duration (s),Comment start,"
        "Comment stop\n"
        "n1,2024,,a.mp4,60.0,25.0,No focal subject,rest,,,STATE,1.8,8.125,6.325,,\n"
        "n1,2024,,a.mp4,60.0,25.0,Ada,call,,loud,POINT,9,9,NA,,\n"
    )
    assert rows(read(path)) == [
        ("a.mp4", 1.8, 8.125, "rest", None, None),
        ("a.mp4", 9.0, 9.0, "call", "Ada", "loud"),
    ]
    path.write_text("Subject,Behavior,Start (s)\n")
    with pytest.raises(DataError, match="needs the column 'stop"):
        read(path)


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/my%20film.mp4" MIME_TYPE="video/mp4"
      RELATIVE_MEDIA_URL="../films/my%20film.mp4"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1500"/>
    <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2750"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/>
  </TIME_ORDER>
  <TIER TIER_ID="gesture" PARTICIPANT="Ada" ANNOTATOR="me" LINGUISTIC_TYPE_REF="default-lt">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>point|show</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="hand" PARENT_REF="gesture" LINGUISTIC_TYPE_REF="sym">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>left</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="gaze" LINGUISTIC_TYPE_REF="default-lt">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="END">
      <ANNOTATION_VALUE>away</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""


def test_elan_document_of_somebody_else(tmp_path: Path) -> None:
    for folder in ("coded", "films"):
        (tmp_path / folder).mkdir()
    (tmp_path / "films" / "my film.mp4").write_bytes(b"")
    path = tmp_path / "coded" / "film.eaf"
    path.write_text(ELAN.replace('"END"', '"ts2"'))
    events = read(path, root=tmp_path)
    assert rows(events) == [
        ("films/my film.mp4", 1.5, 2.75, r"point\|show", "Ada", "left"),
        ("films/my film.mp4", 1.5, 2.75, "away", "gaze", None),
    ]
    assert events.rows["annotator"].tolist() == ["me", None]
    with pytest.raises(DataError, match="outside"):
        read(path)
    path.write_text(ELAN.replace('"END"', '"ts3"'))
    with pytest.raises(DataError, match="tier 'gaze' has no time"):
        read(path, root=tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_elan_with_a_doctype_is_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    evil = ELAN.replace(
        "<ANNOTATION_DOCUMENT",
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>\n<ANNOTATION_DOCUMENT',
        1,
    ).replace("point|show", "&e;")
    path = tmp_path / "evil.eaf"
    path.write_bytes(evil.replace("UTF-8", encoding).encode(encoding))
    with pytest.raises(DataError, match="DOCTYPE"):
        read(path)


def test_elan_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.eaf").write_text("<html/>")
    with pytest.raises(DataError, match="<html>"):
        read(tmp_path / "a.eaf")
    (tmp_path / "a.eaf").write_text("hello")
    with pytest.raises(DataError, match="not XML"):
        read(tmp_path / "a.eaf")
    bad = Events.from_frames(
        [{"video": "a.mp4", "start": 0, "end": 1, "label": "a\x07b"}], None, tmp_path
    )
    with pytest.raises(DataError, match="control character"):
        write(bad, tmp_path / "b.eaf")
    with pytest.raises(DataError, match="one video"):
        write(Events.from_frames([], [{"video": "a"}, {"video": "b"}]), tmp_path / "c.eaf")


def test_elan_tiers_never_hold_overlaps(tmp_path: Path) -> None:
    table = [{"video": "a.mp4", "start": s, "end": s + 2, "label": "x"} for s in (0, 1, 2, 3.5, 9)]
    events = Events.from_frames(table, None, tmp_path)
    text = write(events, tmp_path / "a.eaf").read_text()
    assert text.count("<TIER ") == 2
    assert read(tmp_path / "a.eaf").rows["start"].tolist() == [0, 1, 2, 3.5, 9]


def test_via_project_of_somebody_else(tmp_path: Path) -> None:
    project = {
        "project": {"pid": "x", "vid_list": ["1"]},
        "config": {},
        "attribute": {
            "1": {"aname": "Behavior", "anchor_id": "FILE1_Z2_XY0", "type": 3,
                  "options": {"0": "Song", "1": "Chatter"}},
            "2": {"aname": "Phase", "anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}},
            "3": {"aname": "Bird", "anchor_id": "FILE1_Z1_XY1", "type": 3, "options": {"0": "a"}},
        },
        "file": {"7": {"fid": "7", "fname": "top.mp4", "type": 4, "loc": 1, "src": ""}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [1.5, 3], "xy": [], "av": {"1": "1", "2": "end"}},
            "1_b": {"vid": "1", "flg": 0, "z": [2.0], "xy": [2, 1, 1, 5, 5], "av": {"3": "0"}},
        },
        "view": {"1": {"fid_list": ["7"]}},
    }  # fmt: skip
    path = tmp_path / "via.json"
    path.write_text(json.dumps(project))
    events = read(path)
    assert sniff(path) == "via"
    assert rows(events) == [("top.mp4", 1.5, 3.0, "Chatter", None, None)]
    assert events.heads == ("label", "Phase") and events.rows["Phase"].tolist() == ["end"]
    project["view"] = {"1": {"fid_list": ["8"]}}
    path.write_text(json.dumps(project))
    with pytest.raises(DataError, match="belongs to no file"):
        read(path)


def test_lists_with_names_spaces_and_several_labels(tmp_path: Path) -> None:
    path = tmp_path / "val.txt"
    path.write_text("my clips/one 2.mp4 1 0\r\n\r\ntwo.mp4 1\nframes/dir 0\nnone.mp4\n")
    events = read(path)
    assert events.rows["label"].tolist() == ["1|0", "1", "0"]
    assert events.videos["video"].tolist()[-1] == "none.mp4"
    assert events.videos["split"].unique().tolist() == ["val"]
    (tmp_path / "labels.txt").write_text("air drumming\nzumba\n")
    assert read(path).rows["label"].tolist() == ["zumba|air drumming", "zumba", "air drumming"]
    named = tmp_path / "names.txt"
    named.write_text("0 eat\n1 drink\n")
    assert read(path, names=named).classes() == ["drink", "eat"]
    named.write_text("eat\n")
    with pytest.raises(DataError, match="row 1: there is no name for the label id 1"):
        read(path, names=named)
    for line, said in (("a.mp4 grooming\n", "row 1"), ("a.mp4 1\na.mp4 2\n", "row 2: .*row 1")):
        path.write_text(line)
        with pytest.raises(DataError, match=said):
            read(path)


def test_activitynet_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for listed, said in (
        ([{"segment": [0, 1]}], "v1, annotation 0: expected"),
        ([{"label": "x", "segment": [0]}], r"is not \[start, end\]"),
        ([{"label": "x", "segment": ["a", 1]}], "not two numbers"),
        ("none", "not a list"),
    ):
        path.write_text(json.dumps({"database": {"v1": {"annotations": listed}}}))
        with pytest.raises(DataError, match=said):
            read(path)
    path.write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        read(path)
