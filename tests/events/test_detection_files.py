"""Other people's predictions, in the layouts they come in."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import DataError
from actionspace.events.detection_files import read_detections, with_videos_of
from actionspace.events.table import Events

EXPECTED = [["v_a", 1.0, 2.5, "dig", 0.9], ["v_b", 0.0, 4.0, "groom", 0.5]]
LISTS = dict(
    zip(
        ("video-id", "t-start", "t-end", "label", "score"), zip(*EXPECTED, strict=True), strict=True
    )
)
NAMES = {0: "dig", 1: "groom"}


def rows(events: Events) -> list[list[Any]]:
    return events.rows[["video", "start", "end", "label", "score"]].to_numpy().tolist()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def results() -> dict[str, Any]:
    by_video = {
        video: [{"label": label, "score": score, "segment": [start, end]}]
        for video, start, end, label, score in EXPECTED
    }
    return {"version": "VERSION 1.3", "results": by_video, "external_data": {}}


def test_activitynet_results(tmp_path: Path) -> None:
    content = results()
    content["results"]["v_empty"] = []
    events = read_detections(write(tmp_path / "result.json", content))
    assert rows(events) == EXPECTED
    assert events.videos["video"].tolist() == ["v_a", "v_b", "v_empty"]


def test_columns_as_actionformer_writes_them(tmp_path: Path) -> None:
    assert rows(read_detections(write(tmp_path / "eval_results.json", LISTS))) == EXPECTED


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("names", [list(LISTS), ["video", "start", "end", "label", "score"]])
def test_tables(tmp_path: Path, suffix: str, names: list[str]) -> None:
    table, path = pd.DataFrame(EXPECTED, columns=names), tmp_path / f"mine{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    assert rows(read_detections(path)) == EXPECTED


def test_class_numbers_get_names(tmp_path: Path) -> None:
    numbers = dict(LISTS, label=[0, 1])
    path = write(tmp_path / "eval_results.json", numbers)
    assert rows(read_detections(path, classes=NAMES)) == EXPECTED
    assert read_detections(path).rows["label"].tolist() == ["0", "1"]
    with pytest.raises(DataError, match="class 1 has no name"):
        read_detections(path, classes={0: "dig"})


def test_a_pickle_is_not_opened_but_its_conversion_works(tmp_path: Path) -> None:
    official = {
        name: list(values) if name == "video-id" else np.array(values)
        for name, values in dict(LISTS, label=(0, 1)).items()
    }
    path = tmp_path / "eval_results.pkl"
    path.write_bytes(pickle.dumps(official))
    with pytest.raises(DataError, match="a pickle, which can run code") as error:
        read_detections(path)
    command = next(line for line in str(error.value).splitlines() if "python -c" in line)
    code = command.split('-c "')[1].rstrip().removesuffix('"')
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert rows(read_detections(tmp_path / "eval_results.json", classes=NAMES)) == EXPECTED


def test_names_of_videos_are_those_of_the_annotations(tmp_path: Path) -> None:
    videos = ["val/A.mp4", "val/v_b.avi", "one/c.mp4", "two/c.mp4", "d"]
    truth = Events.from_frames([{"video": v, "label": None} for v in videos])
    path = write(tmp_path / "result.json", results())
    assert read_detections(path, truth).rows["video"].tolist() == ["val/A.mp4", "val/v_b.avi"]
    stay = Events.from_frames([{"video": v, "label": "x"} for v in ("c", "other", "d")])
    assert with_videos_of(stay, truth).rows["video"].tolist() == ["c", "other", "d"]
    twice = Events.from_frames([{"video": v, "label": "x"} for v in ("a", "v_a")])
    with pytest.raises(DataError, match="a, v_a mean one video"):
        with_videos_of(twice, truth)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", {"video-id": ["a"], "label": ["x", "y"]}, "lists of one length"),
        ("x.json", {"some": 1, "thing": 2}, "found some, thing"),
        ("x.json", {"video-id": ["a"], "label": ["x"], "score": [1]}, "no column 'start'"),
        ("x.json", {"results": {"a": [{"label": "x", "segment": [0, 1]}]}}, "1 of 1 rows have no"),
        ("x.json", {"challenge": "action_detection", "results": {}}, "verbs and nouns"),
        ("x.csv", "video,start,end,label\na,0,1,x\n", r"no column 'score' \(nor confidence"),
        ("x.csv", "video,start,end,label,score\na,0,1,x,high\n", "expected a number"),
        ("x.txt", "a 0 1 x", "JSON, CSV, TSV or Parquet"),
    ],
)
def test_files_that_make_no_sense(tmp_path: Path, name: str, content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_detections(write(tmp_path / name, content))
    with pytest.raises(DataError, match="does not exist"):
        read_detections(tmp_path / "none.json")
