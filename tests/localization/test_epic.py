"""Verbs and nouns of two runs become actions, a file for the server, and the server's figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actionspace import api
from actionspace.config import write_yaml
from actionspace.events import io
from actionspace.events.table import Events
from actionspace.localization.epic import pair
from actionspace.localization.network.keys import published_state
from actionspace.localization.network.model import ActionFormer
from actionspace.metrics.epic_submission import read_submission
from actionspace.training.predictions import Predictions, write_predictions
from tests.cli.test_cli import call
from tests.datasets.layouts import epic100_annotations
from tests.localization import untrimmed

ROWS = ["video", "start", "end", "view", "anchored"]


def detected(rows: list[tuple[float, float, str, float]], head: str) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["start", "end", head, "score"])


def test_what_overlaps_is_an_action() -> None:
    verbs = detected([(0, 4, "take", 0.9), (10, 12, "put", 0.5)], "verb")
    nouns = detected([(0, 4, "cup", 0.8), (1, 5, "tap", 0.3), (11.9, 20, "cup", 0.9)], "noun")
    found = pair(verbs, nouns)
    assert found[["verb", "noun"]].to_numpy().tolist() == [["take", "cup"], ["take", "tap"]]
    np.testing.assert_allclose(found["score"], [0.72, 0.9 * 0.3 * 3 / 5])
    np.testing.assert_allclose(found[["start", "end"]], [[0, 4], [0.25, 4.25]])
    assert len(pair(verbs, nouns, most=1)) == 1 and len(pair(verbs, nouns, overlap=0.9)) == 1
    assert pair(verbs[:0], nouns).empty


@given(st.integers(0, 2**31), st.integers(0, 12), st.integers(0, 12))
def test_actions_lie_between_what_they_are_made_of(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 9, n + m)
    spans = np.stack([start, start + rng.uniform(0.1, 5, n + m)], axis=1)
    rows = [(*span, str(i), rng.uniform()) for i, span in enumerate(spans.tolist())]
    found = pair(detected(rows[:n], "verb"), detected(rows[n:], "noun"), overlap=0.3)
    assert (np.diff(found["score"]) <= 0).all() and (found["score"] <= 1).all()
    for row in found.to_dict("records"):
        parts = spans[[int(row["verb"]), int(row["noun"])]]
        for column, name in enumerate(("start", "end")):
            low, high = sorted(parts[:, column])
            assert low - 1e-9 <= row[name] <= high + 1e-9


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official annotation, its manifest, and features of its videos."""
    folder = tmp_path_factory.mktemp("epic")
    epic100_annotations(folder, 1.6)
    api.prepare("epic100-detection", folder, out=folder / "epic.csv")
    events = io.read(folder / "epic.csv")
    (folder / "features").mkdir()
    for video, rows in events.by_video():
        length = int(rows["end"].max() * 30 / untrimmed.STRIDE) + 8
        values = np.random.default_rng(length).normal(size=(length, untrimmed.DIM))
        np.save(folder / "features" / f"{video['video']}.npy", values.astype(np.float32))
    return folder


def folder_of(events: Events, head: str, out: Path) -> Path:
    """Predictions that are the annotation, of one head."""
    rows = events.rows[["id", "video", "start", "end", head]].assign(score=1.0)
    said = Events.from_frames(rows, events.videos, events.root, (head,))
    heads = {head: {"classes": events.classes(head), "multi_label": True}}
    labels = {"task": "localization", "heads": heads, "skipped": {}}
    scores = {head: np.ones(len(rows), np.float32)}
    return write_predictions(Predictions(said, scores, labels, pd.DataFrame(columns=ROWS)), out)


def test_right_verbs_and_nouns_reach_all_there_is(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = io.read(source / "epic.csv").select(split="test")
    folders = [folder_of(events, head, tmp_path / head) for head in ("verb", "noun")]
    answer, words = tmp_path / "answer.zip", ["--annotations", source, "--set", "split=test"]
    to = ["--challenge", "action_detection", "--out", answer]
    assert call("submit", *folders, source / "epic.csv", *words, *to) == 0
    content = read_submission(answer)
    assert content["challenge"] == "action_detection"
    assert set(content["results"]) == {Path(v).stem for v in events.videos["video"]}
    assert call("evaluate", answer, f"data={source / 'epic.csv'}", "--json") == 0
    said = capsys.readouterr()
    figures = json.loads(said.out[said.out.index("{") :])
    for task in ("verb", "noun", "action"):
        assert figures[f"{task}_map"] == pytest.approx(1)
        assert figures["protocol"][task]["videos"] == len(events.videos)
    assert call("submit", folders[0], source / "epic.csv", *words, *to) == 2
    assert "a run with column=verb and one with column=noun" in capsys.readouterr().err
    assert call("submit", *folders, source / "epic.csv", *words[:2], *to) == 1
    assert "say which split is to be answered" in capsys.readouterr().err
    untrimmed.make(tmp_path / "other", videos=2)
    assert call("evaluate", answer, f"data={tmp_path / 'other' / 'events.csv'}") == 1
    assert "0 of the 97 verbs" in capsys.readouterr().err


def test_two_runs_answer_the_challenge(source: Path, tmp_path: Path) -> None:
    """From checkpoints of the original's layout to figures."""
    runs = []
    for head, count in (("verb", 97), ("noun", 300)):
        recipe = untrimmed.recipe(column=head, files={"fps": 30.0}, evaluation={"bootstrap": 0})
        write_yaml(tmp_path / f"{head}.yaml", recipe)
        torch.manual_seed(count)
        network = ActionFormer(recipe.model, untrimmed.DIM, count)
        checkpoint = tmp_path / f"{head}.pth.tar"
        torch.save({"state_dict_ema": published_state(network.state_dict())}, checkpoint)
        runs.append(tmp_path / f"run_{head}")
        words = ["--recipe", tmp_path / f"{head}.yaml", "--out", runs[-1]]
        assert call("convert", checkpoint, f"data={source / 'epic.csv'}", *words) == 0
    answer = tmp_path / "answer.zip"
    words = ["--annotations", source, "--challenge", "action_detection", "--out", answer]
    own = ["--set", "split=test", "--set", f"features={source / 'features'}", "--set", "most=50"]
    assert call("submit", *runs, source / "epic.csv", *words, *own) == 0
    assert all(0 < len(found) <= 50 for found in read_submission(answer)["results"].values())
    figures = api.evaluate(answer, data=source / "epic.csv")
    assert {"verb_map@0.10", "noun_map@0.50", "action_map"} <= set(figures)
    assert 0 <= figures["action_map"] < 0.5
