"""Early recognition: nothing after the observed part is looked at, and the whole is the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import UsageError
from actionspace.events.table import Events
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.fit import train
from actionspace.recognition.observed import observe, parse_shares
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.recognition import tiny
from tests.recognition.conftest import recipe


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("0.1:1.0:0.1", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("0.25:1:0.25", [0.25, 0.5, 0.75, 1.0]),
        ("0.5,0.2", [0.2, 0.5]),
        (0.5, [0.5]),
        ([1.0, 0.5, 0.5], [0.5, 1.0]),
    ],
)
def test_shares(text: str, shares: list[float]):
    assert parse_shares(text) == shares


@pytest.mark.parametrize("text", ["0", "1.2", "a", "0.1:1", "0.1:1:0", "1:0.5:0.1", "", "nan"])
def test_shares_that_are_none(text: str):
    with pytest.raises(UsageError, match=r"observed="):
        parse_shares(text)


@pytest.fixture(scope="module")
def turning(work: Path) -> Events:
    """Clips that begin alike (still) and go on in one of two ways in their second half."""
    root = work / "turning"
    rows, videos = [], []
    for group in range(5):
        for label in ("right", "left"):
            path = root / f"{label}{group}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = tiny.frames([("still", 20), (label, 20)], seed=group)
            write_video(path, shown, fps=tiny.FPS)
            split = ["train", "train", "val", "test", "test"][group]
            videos.append({"video": path.name, "group": f"g{group}", "split": split})
            rows.append({"video": path.name, "label": label})
    return Events.from_frames(pd.DataFrame(rows), pd.DataFrame(videos), root, ("label",))


def test_the_second_half_is_not_seen_before_its_time(turning: Events, tmp_path: Path):
    anchored = ["clips.rows=events", *(f"clips.{s}.clips=4" for s in ("train", "val", "test"))]
    run = train(recipe(*anchored), data=turning, out=tmp_path / "run")
    found = evaluate(run, turning, observed="0.5,1", bootstrap=20)
    half, whole = found["observed"]
    assert whole["top1_accuracy"] == found["top1_accuracy"] == 1.0
    assert half["top1_accuracy"] == 0.5  # the two look alike so far, so they get one label
    assert whole["clips"] == 4 and whole["events"] == 4 and len(half["top1_accuracy_ci"]) == 2
    assert run.metrics["observed"] == found["observed"]
    assert 'id="observed"' in run.report_path.read_text(encoding="utf-8")


def test_of_a_dense_run_with_times_and_moments(long_run: Run):
    found = evaluate(long_run, observed=[0.5], bootstrap=0, clips=2)["observed"]
    assert found[0]["clips"] == 2 and 0 <= found[0]["top1_accuracy"] <= 1


def test_a_part_starts_where_its_event_does(long: Events):
    part = observe(long, 0.25)
    rows, whole = part.rows, long.rows
    assert (rows["start"] == whole["start"]).all()
    np.testing.assert_allclose(rows["end"] - rows["start"], (whole["end"] - whole["start"]) / 4)


def test_what_cannot_be_observed(run: Run, split: Events, tmp_path: Path):
    evaluate(run)
    with pytest.raises(UsageError, match="name the run"):
        evaluate(run.predictions_dir / "test", observed="0.5")
    everywhere = replace(split, videos=split.videos.assign(split=None))
    folds = train(recipe(), data=everywhere, folds=3, out=tmp_path / "folds", report=False)
    with pytest.raises(UsageError, match="learnt from all"):
        evaluate(folds, observed="0.5")
