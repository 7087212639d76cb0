"""Bad input through the command line: what is wrong is said, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from actionspace.config import write_yaml
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.cli.test_cli import call
from tests.localization import untrimmed

CLASSES = [*untrimmed.CLASSES, "jump", "yawn"]
"""Nobody jumps; yawns are in the test split only."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a recipe with nothing wrong."""
    folder = tmp_path_factory.mktemp("good")
    untrimmed.make(folder, videos=12)
    plain = untrimmed.recipe(
        training={"epochs": 1, "evaluate_every": 1},
        evaluation={"bootstrap": 0},
        data="events.csv",
        features="features",
    )
    write_yaml(folder / "recipe.yaml", plain)
    return folder


@pytest.fixture
def data(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, which is the current folder."""
    shutil.copytree(good, tmp_path / "data")
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path / "data"


def features(data: Path, video: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    path = data / "features" / f"{video}.npy"
    np.save(path, change(np.load(path)))


def table(data: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(data / "events.csv")).to_csv(data / "events.csv", index=False)


def hole(values: np.ndarray) -> np.ndarray:
    values[5, 2] = np.nan
    return values


def reverse(rows: pd.DataFrame) -> pd.DataFrame:
    rows.loc[0, ["start", "end"]] = rows.loc[0, ["end", "start"]].to_numpy()
    return rows


WRONG: dict[str, tuple[Callable[[Path], Any], tuple[str, ...], str]] = {
    "rows of two makes": (
        lambda data: features(data, "v00", lambda a: a[:, :5]),
        (),
        r"'v00' have 5 numbers in a row, those of 11 of 12 videos 8",
    ),
    "an event that ends before it starts": (
        lambda data: table(data, reverse),
        (),
        r"Event 0 of v00 ends before it starts: swap the two",
    ),
    "no event": (
        lambda data: table(data, lambda rows: rows.assign(status="ignore")),
        (),
        r"no events with a label in 'label'",
    ),
    "a label that is none of the classes": (
        lambda data: None,
        ("classes=[dig,rare]",),
        r"'rear', which is none of the 2 classes.*Did you mean 'rare'",
    ),
    "features without files": (
        lambda data: (data / "features" / "v01.npy").unlink(),
        (),
        r"no features.*the first is 'v01'",
    ),
    "stride": (
        lambda data: None,
        ("files.stride=16",),
        r"stride or fps are wrong.*0\.5 s would fit",
    ),
    "fps": (lambda data: None, ("files.fps=25",), r"stride or fps are wrong.*times 1\.56"),
    "neither": (
        lambda data: None,
        ("files.stride=null",),
        r"say when each row is: stride= and fps=",
    ),
    "a key": (lambda data: None, ("model.embed_dm=8",), r"unknown key.*Did you mean 'embed_dim'"),
    "a section": (lambda data: None, ("modle.embed_dim=8",), r"unknown key.*Did you mean 'model'"),
    "a value": (lambda data: None, ("model.max_length=some",), r"max_length.*'some'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_learnt_from_is_refused(
    name: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, words, message = WRONG[name]
    spoil(data)
    before = sorted(data.rglob("*"))
    assert call("train", "recipe.yaml", *words, "--out", "run") in (1, 2)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: ") and pd.Series(last).str.contains(message).all(), last
    assert sorted(data.rglob("*")) == before  # no half run in the way of the next try


def test_every_training_video_is_damaged(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        features(data, f"v{number:02d}", hole)
    assert call("train", "recipe.yaml", "--out", "run") == 1
    said = capsys.readouterr().err
    assert "row 5 holds NaN or infinity" in said and "Traceback" not in said
    assert call("check", "recipe.yaml") == 1
    assert capsys.readouterr().out.count("[features-damaged]") == 12


def spoil(data: Path) -> None:
    """All at once that is said and lived with."""
    features(data, "v00", lambda a: a[:1])  # one row; its events lie beyond
    features(data, "v01", hole)
    features(data, "v06", lambda a: a[:, :5])
    features(data, "v10", hole)
    long = np.load(data / "features" / "v11.npy")
    long = np.concatenate([long] * 5)[:193]  # a row more than the network takes at once
    np.save(data / "features" / "v11.npy", long)

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        of = {video: list(part.index) for video, part in rows.groupby("video")}
        rows.loc[of["v02"][0], "end"] = rows.loc[of["v02"][0], "start"]  # no extent
        rows.loc[of["v07"][0], ["start", "end"]] = [-9.0, 3.0]
        rows.loc[of["v07"][-1], "end"] = 400.0
        rows.loc[of["v08"][0], "status"] = "ignore"
        rows.loc[of["v04"][0], "label"] = "yawn"
        rows.loc[rows["video"] == "v11", "duration"] = 96.5
        nothing = rows.loc[of["v05"][:1]].assign(start=np.nan, end=np.nan, label=None)
        return pd.concat([rows.drop(of["v05"]), nothing])

    table(data, change)


def test_what_can_be_lived_with_is_said(
    data: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(data)
    words = ("train", "recipe.yaml", f"classes=[{','.join(CLASSES)}]", "--out", "run")
    assert call(*words) == 0
    said = capsys.readouterr()
    run = Run(data / "run")
    notes = "\n".join([said.err, caplog.text, *run.environment["notes"]])
    for message in (
        "Left out: v01 (", "row 5 holds NaN", "Left out: v06 ('v06' has 5 numbers in a row",
        "1 events without extent (start = end) are not learnt",
        "Events that begin before or end after their video: 2, the first is",
        "In 1 videos there is time of which nobody knows what happens",
        "No training event of: yawn. They cannot be found in test, where they count as missed.",
        "Classes without a training event: jump, yawn. They are never predicted.",
        "1 test videos could not be read (v10); their events count as missed.",
    ):  # fmt: skip
        assert message in notes, message
    assert "Traceback" not in notes
    assert {"v01", "v06"} <= set(run.environment["skipped"])
    assert run.metrics["protocol"]["skipped"] == ["v10"]
    assert run.metrics["protocol"]["videos"] == 4  # also that without an event, and the unread one
    per_class = {row["class"]: row for row in run.metrics["per_class"]}
    assert per_class["yawn"]["support"] == 1 and per_class["yawn"]["predicted"] == 0
    found = read_predictions(run.predictions_dir / "test")
    assert sorted(found.labels["untrimmed"]) == ["v04", "v05", "v11"]
    assert {"v05", "v11"} <= set(found.events.rows["video"])
    assert found.events.rows["label"].isin(untrimmed.CLASSES).all()
    assert call("evaluate", "run") == 0
    assert call("predict", "run", "events.csv", "--out", "all", "--set", "features=features") == 0
    told = capsys.readouterr().out
    assert told.count("skipped") == 3 and "v11: " in told
