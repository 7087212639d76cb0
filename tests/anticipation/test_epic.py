"""EPIC-KITCHENS-100: the challenge's figures by their definition, and the zip for its server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import actionspace as A
from actionspace.anticipation.epic import submit
from actionspace.anticipation.fit import train
from actionspace.anticipation.measure import challenge_section, figures, truth_of
from actionspace.anticipation.options import EvaluationConfig
from actionspace.anticipation.predict import predictions
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.cli import main
from actionspace.datasets.prepare import dataset_events
from actionspace.errors import DataError, UsageError
from actionspace.events.table import Events
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.metrics.epic_submission import check_submission, read_submission
from actionspace.training.predictions import Predictions, read_predictions, write_predictions
from actionspace.training.run import Run
from tests.datasets.layouts import epic100_annotations

VERBS, NOUNS = [f"v{k}" for k in range(9)], [f"n {k}" for k in range(8)]  # v8 and n 7: not trained


def table(random: np.random.Generator, count: int = 80) -> Events:
    rows = []
    for k in range(count):
        verb, noun = VERBS[random.integers(9)], NOUNS[random.integers(8)]
        marks = [m for m in ("unseen", "tail_verb", "tail_noun") if random.random() < 0.4]
        times = {"video": "a.mp4", "start": float(k), "end": k + 1.0}
        names = {"verb": verb, "noun": noun, "action": f"{verb} {noun}"}
        rows.append({**times, **names, "modifiers": "|".join(marks)})
    return Events.from_frames(rows, None, Path(), ("verb", "noun", "action"))


def recall(hits: Sequence[bool], labels: Sequence[str], rows: Sequence[bool]) -> float:
    """The mean over classes that occur of the share of their segments that were hit."""
    kept = [(hit, label) for hit, label, row in zip(hits, labels, rows, strict=True) if row]
    each = [
        [hit for hit, other in kept if other == label] for label in {label for _, label in kept}
    ]
    return float(np.mean([np.mean(hit) for hit in each]))


def first_five(scores: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    return [[names[i] for i in np.argsort(-row)[:5]] for row in scores]


@pytest.mark.parametrize("own", [False, True], ids=["of verbs and nouns", "a column of its own"])
def test_the_entry_of_the_metrics_by_its_definition(own: bool) -> None:
    random = np.random.default_rng(int(own))
    events = table(random)
    known = {"verb": VERBS[:8], "noun": NOUNS[:7]}
    pairs = [f"{v} {n}" for v in known["verb"] for n in known["noun"]]
    scores = {c: random.dirichlet(np.ones(len(n)), len(events)) for c, n in known.items()}
    products = scores["verb"][:, :, None] * scores["noun"][:, None, :]
    first = {c: first_five(values, known[c]) for c, values in scores.items()}
    first["action"] = first_five(products.reshape(len(events), -1), pairs)
    if own:
        known["action"] = [pairs[i] for i in random.permutation(len(pairs))[:40]]
        scores["action"] = random.dirichlet(np.ones(40), len(events))
        first["action"] = first_five(scores["action"], known["action"])
    truth = truth_of(events, known, EvaluationConfig())
    found = challenge_section(scores, truth)["epic100"]
    rows = events.rows
    marks = [(text or "").split("|") for text in rows["modifiers"]]
    parts = {"": [True] * len(rows), "unseen_": ["unseen" in mark for mark in marks]}
    for what in ("verb", "noun", "action"):
        hits = [label in five for label, five in zip(rows[what], first[what], strict=True)]
        tail = {"verb": {"tail_verb"}, "noun": {"tail_noun"}, "action": {"tail_verb", "tail_noun"}}
        parts["tail_"] = [bool(tail[what] & set(mark)) for mark in marks]
        for part, kept in parts.items():
            expected = recall(hits, list(rows[what]), kept)
            assert found[f"{part}{what}_mean_top5_recall"] == pytest.approx(expected)
            assert 0 < expected < 1
    assert (found["segments"], found["left_out"]) == (80, 0)
    flat = figures(scores, truth)
    for what in ("verb", "noun", "action"):
        name = f"{what}_mean_top5_recall"
        assert flat[name] == pytest.approx(found[name])
    plain = Events.from_frames(rows.assign(modifiers=None), events.videos, Path(), events.heads)
    assert challenge_section(scores, truth_of(plain, known, EvaluationConfig())) == {}


# --- from annotation files to the zip -----------------------------------------------------------

RECIPE: dict[str, Any] = {
    "task": "anticipation",
    "columns": ["verb", "noun", "action"],
    "window": {"seconds": 2.0},
    "horizon": {"report": 1.0, "evaluate": [1.0], "train": [1.0, 1.0]},
    "network": {"name": "lstm", "width": 16},
    "training": {"epochs": 2, "workers": 0, "tensorboard": False},
    "evaluation": {"bootstrap": 0},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("epic")
    epic100_annotations(folder, 1.6)
    store = FeatureStore.create(folder / "features", {"dim": 4})
    times = 0.25 * np.stack([np.arange(26), np.arange(1, 27)], 1)
    random = np.random.default_rng(0)
    flow = FeatureStore.create(folder / "flow", {"dim": 3})
    for challenge in (False, True):
        events = dataset_events("epic100", folder, challenge=challenge)
        events.to_csv(folder / ("challenge.csv" if challenge else "epic.csv"))
        for video in events.videos["video"]:
            values = random.standard_normal((26, 4)).astype(np.float32)
            store.put(video, f"{len(store):032x}", VideoFeatures(values, times))
            store.save_index()
            values = random.standard_normal((26, 3)).astype(np.float32)
            flow.put(video, f"{len(flow):032x}", VideoFeatures(values, times))
            flow.save_index()
    return folder


def trained(source: Path, features: str) -> Run:
    return train(
        AnticipationRecipe(**RECIPE),
        data=dataset_events("epic100", source),
        features=str(source / features),
        out=source / f"run_{features}",
        report=False,
    )


@pytest.fixture(scope="module")
def run(source: Path) -> Run:
    return trained(source, "features")


def challenge(source: Path) -> Events:
    return dataset_events("epic100", source, challenge=True)


def test_the_verbs_zip(source: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = run.metrics["epic100"]
    assert (found["segments"], found["left_out"]) == (16, 0)
    assert {f"unseen_{what}_mean_top5_recall" for what in ("verb", "noun", "action")} <= set(found)
    folder = predictions(
        run,
        challenge(source),
        at="events",
        features=str(source / "features"),
        out=source / "told",
    )
    assert folder.truth is None and len(folder.events.rows) == 4
    out = source / "answer.zip"
    call = [
        "submit",
        str(source / "told"),
        str(source / "challenge.csv"),
        "--annotations",
        str(source),
    ]
    with pytest.raises(SystemExit, match="0"):
        main([*call, "--out", str(out), "--challenge", "action_anticipation", "--set", "sls_pt=3"])
    assert capsys.readouterr().out.split() == [str(out)]
    content = read_submission(out)
    segments = challenge(source).rows["id"]
    check_submission(content, segments)
    assert (content["challenge"], content["sls_pt"]) == ("action_anticipation", 3)
    said = folder.scores["verb"][0]
    official = content["results"][segments.iloc[0]]["verb"]
    for name, score in zip(folder.classes("verb"), said, strict=True):
        assert official[name.removeprefix("verb")] == pytest.approx(np.log(score), abs=1e-5)
    unknown = set(official) - {name.removeprefix("verb") for name in folder.classes("verb")}
    assert max(official[k] for k in unknown) < np.log(said.min()) - 19
    with pytest.raises(SystemExit, match="2"):  # the challenge's name has to be said
        main([*call, "--out", str(source / "no.zip")])
    assert "another task" in capsys.readouterr().err


def test_a_run_foretells_the_segments_itself(source: Path, run: Run) -> None:
    """One second before each, whatever the recipe reports."""
    store = str(source / "features")
    out = submit([run.path], challenge(source), source, source / "a.zip", features=store)
    told = predictions(run, challenge(source), at="events", features=store)
    results = read_submission(out)["results"]
    for number, segment in enumerate(told.events.rows["id"]):
        best = told.classes("noun")[told.scores["noun"][number].argmax()]
        nouns = results[segment]["noun"]
        assert max(nouns, key=nouns.get) == best.removeprefix("noun:")


def test_two_modalities_become_one_answer(source: Path, run: Run, tmp_path: Path) -> None:
    """Figures and zip are of the mean of what both say, head by head."""
    runs = {"features": run, "flow": trained(source, "flow")}
    folders = [r.predictions_dir / "test" for r in runs.values()]
    both = [read_predictions(folder) for folder in folders]
    fused = A.fuse(folders, tmp_path / "fused", weights=[0.6, 0.4])
    for head in ("verb", "noun", "action"):
        mean = 0.6 * both[0].scores[head] + 0.4 * both[1].scores[head]
        np.testing.assert_allclose(fused.scores[head], mean, atol=1e-6)
    metrics = A.evaluate(tmp_path / "fused")
    truth = dataset_events("epic100", source).select(split="test")
    known = {head: fused.classes(head) for head in fused.scores}
    expected = challenge_section(fused.scores, truth_of(truth, known, EvaluationConfig()))
    assert metrics["epic100"] == pytest.approx(expected["epic100"], nan_ok=True)
    asked = challenge(source)
    told = [tmp_path / name for name in runs]
    for (name, one), out in zip(runs.items(), told, strict=True):
        predictions(one, asked, at="events", features=str(source / name), out=out)
    A.fuse(told, tmp_path / "answer")
    content = read_submission(submit([tmp_path / "answer"], asked, source, tmp_path / "a.zip"))
    check_submission(content, asked.rows["id"])


def made_up(events: Events, actions: int) -> Predictions:
    """Every verb and noun alike, and actions each of which is likelier than the one after it."""
    classes = {
        "verb": [f"verb{k}" for k in range(97)],
        "noun": [f"noun:{k}" for k in range(300)],
        "action": [f"verb{k % 97} noun:{299 - k}" for k in range(actions)],
    }
    weights = {c: np.ones(len(n)) for c, n in classes.items()} | {
        "action": 0.9 ** np.arange(actions)
    }
    scores = {c: np.tile(w / w.sum(), (len(events), 1)) for c, w in weights.items()}
    labels = {
        "task": "anticipation",
        "heads": {c: {"classes": names} for c, names in classes.items()},
        "horizon": 1.0,
        "anchor": "start",
        "input": "features",
    }
    return Predictions(events, scores, labels, pd.DataFrame())


@pytest.mark.parametrize(("actions", "own"), [(120, True), (99, False)])
def test_actions_are_the_networks_own_if_there_are_enough(
    source: Path, tmp_path: Path, actions: int, own: bool
) -> None:
    events = challenge(source)
    write_predictions(made_up(events, actions), tmp_path / "told")
    content = read_submission(submit([tmp_path / "told"], events, source, tmp_path / "a.zip"))
    check_submission(content, events.rows["id"])
    ranked = content["results"][events.rows["id"].iloc[0]]["action"]
    first = sorted(ranked, key=ranked.get, reverse=True)[:3]
    assert (first == ["0,299", "1,298", "2,297"]) == own


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor": "end"}, "before the end of each action"),
        ({"horizon": 0.75}, r"until 0\.75 s before the start .* allows 1 s"),
        ({"input": "both"}, "given labels of past actions"),
        ({"input": "labels"}, "given labels of past actions"),
    ],
)
def test_who_has_seen_more_is_refused(
    source: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    told = made_up(challenge(source), 2)
    write_predictions(replace(told, labels=told.labels | changes), tmp_path / "told")
    with pytest.raises(DataError, match=message):
        submit([tmp_path / "told"], challenge(source), source, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_what_is_lacking_is_named(source: Path, tmp_path: Path) -> None:
    events = challenge(source)
    told = made_up(events, 2)
    alone = {"heads": {"verb": told.labels["heads"]["verb"]}}
    bare = events.rows.drop(columns=["noun", "action"])
    verbs = Events.from_frames(bare, events.videos, events.root, ("verb",))
    one = replace(told, events=verbs, scores={"verb": told.scores["verb"]})
    one = replace(one, labels=told.labels | alone)
    write_predictions(one, tmp_path / "verbs")
    with pytest.raises(UsageError, match="has the head 'noun'; there is: verb"):
        submit([tmp_path / "verbs"], events, source, tmp_path / "a.zip")
    fewer = events.select(mask=events.rows["id"] != "P33_101_1")
    write_predictions(made_up(fewer, 2), tmp_path / "few")
    with pytest.raises(DataError, match=r"1 of 4 segments have no verb scores.*P33_101_1"):
        submit([tmp_path / "few"], events, source, tmp_path / "a.zip")
    with pytest.raises(UsageError, match="challenge=action_recognition is another task"):
        submit([tmp_path / "few"], events, source, tmp_path / "a", challenge="action_recognition")
