"""Classes told in words: runs whose head is made of texts, on clips of rats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import actionspace as A
from actionspace.encoders.text import TextEncoder
from actionspace.encoders.text_create import create_text_encoder
from actionspace.errors import ActionspaceError, ConfigError, DataError, UsageError
from actionspace.events.table import Events
from actionspace.features.store import FeatureStore
from actionspace.heads.linear import LinearHead, to_probabilities
from actionspace.recognition.descriptions import check_described, prompts, text_head, told
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.predict import predictions
from actionspace.recognition.probe import Probe
from tests.encoders.text_tiny import make_model

RATS = Path(A.__file__).parent / "demo" / "data"
TOLD = {
    "rearing": ["a rat is rearing", "a rat climbing in the face of the photo"],
    "grooming": ["a rat washing its face, grooming"],
    "face_washing": ["the left of a rat"],
}
TEMPLATES = ["a video of {}.", "a photo of {}."]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder, "siglip2", seed=3)
    return folder


@pytest.fixture(scope="module")
def text(model: Path) -> TextEncoder:
    return create_text_encoder(str(model))


@pytest.fixture(scope="module")
def rats() -> Events:
    """Two clips of each of three behaviours, without splits."""
    every = A.read_events(RATS / "clips.csv")
    rows = every.rows[every.rows["label"].isin(TOLD)].groupby("label").head(2)
    some = every.select(videos=list(rows["video"]))
    return replace(some, videos=some.videos.assign(split=None))


@pytest.fixture(scope="module")
def store(model: Path, rats: Events, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    out = tmp_path_factory.mktemp("store") / "s"
    how: dict[str, Any] = {"encoder_options": {"pool": "joint"}, "dtype": "float32"}
    return A.extract(rats, encoder=str(model), out=out, device="cpu", progress=False, **how)


def run_of(model: Path, out: Path, **fields: Any) -> Any:
    words = {"descriptions": TOLD, "templates": TEMPLATES} | fields.pop("zero_shot", {})
    few = {"bootstrap": 20}
    return A.train(
        "zero_shot",
        encoder=str(model),
        out=out,
        device="cpu",
        zero_shot=words,
        evaluation=few,
        clips={"dtype": "float32"},
        **fields,
    )


@pytest.fixture(scope="module")
def run(model: Path, rats: Events, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_of(model, tmp_path_factory.mktemp("runs") / "run", data=rats)


def by_hand(text: TextEncoder, features: np.ndarray) -> np.ndarray:
    """Logits ``[N, C]`` as in the paper, class by class and prompt by prompt."""
    rows = []
    for texts in TOLD.values():
        each = [text.encode([t.replace("{}", words)])[0] for words in texts for t in TEMPLATES]
        mean = np.mean(each, axis=0)
        rows.append(mean / np.linalg.norm(mean))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return text.scale * unit @ np.stack(rows).T + (text.bias or 0)


def test_a_run_says_what_its_texts_say(
    run: Any, text: TextEncoder, store: FeatureStore, rats: Events
) -> None:
    found = predictions(run, rats, features=store)
    assert list(found.labels["heads"]["label"]["classes"]) == list(TOLD)
    expected = {}
    for video in rats.videos["video"]:
        logits = by_hand(text, store.get(video).features)
        expected[video] = to_probabilities(logits).mean(axis=0)
    rows = found.events.rows["video"]
    error = max(
        float(np.abs(found.scores["label"][i] - expected[v]).max()) for i, v in enumerate(rows)
    )
    print(error)
    assert len(rows) == 6 and error < 2e-6
    assert np.ptp(found.scores["label"], axis=0).max() > 1e-4  # clips differ


def test_a_run_like_any_other(run: Any, rats: Events) -> None:
    assert run.metrics["protocol"]["rows"] == 6  # all of it: nothing was learnt from any
    assert run.metrics["top1_accuracy"] == evaluate(run, rats, bootstrap=0)["top1_accuracy"]
    assert run.config["zero_shot"]["descriptions"] == TOLD
    assert run.environment["trainable_parameters"] == 0
    report = run.report_path.read_text(encoding="utf-8")
    assert all(words in report for texts in TOLD.values() for words in texts)
    [probe] = [Probe.load(run)]
    assert probe.head.unit and probe.background.kind == "none"
    assert "background" in probe.background.note


def test_from_a_store_and_from_a_file(
    model: Path, rats: Events, store: FeatureStore, run: Any, tmp_path: Path
) -> None:
    lines = [f'{name},"{words}"' for name, texts in TOLD.items() for words in texts]
    (tmp_path / "classes.csv").write_text("\n".join(["label,description", *lines]), "utf-8")
    words = {"descriptions": str(tmp_path / "classes.csv")}
    split = replace(rats, videos=rats.videos.assign(split=["test"] + ["train"] * 5))
    other = run_of(
        model, tmp_path / "run", data=split, features=store, zero_shot=words, weights=str(model)
    )
    np.testing.assert_array_equal(other.weights()["label.weight"], run.weights()["label.weight"])
    assert other.metrics["protocol"]["rows"] == 1
    assert evaluate(other, rats, features=store, bootstrap=0)["protocol"]["rows"] == 6


def test_without_a_manifest_and_over_time(model: Path, rats: Events, tmp_path: Path) -> None:
    words = {"descriptions": TOLD | {"background": "nothing of a rat in the video"}}
    run = run_of(model, tmp_path / "run", zero_shot=words)
    assert not run.metrics
    assert Probe.load(run).background.kind == "trained"
    video = rats.path(rats.videos["video"].iloc[0])
    assert len(predictions(run, [video], mode="untrimmed").events.videos) == 1


def test_an_exported_head_agrees(run: Any, text: TextEncoder, tmp_path: Path) -> None:
    from actionspace.recognition.export import export

    made = export(run, tmp_path / "head.pt2", part="head")
    print(made.parity)
    assert made.parity.logits < 1e-5
    assert "unit" not in made.about["heads"]["label"]


def test_several_labels(text: TextEncoder, model: Path, tmp_path: Path) -> None:
    head = text_head(text, TOLD, ["{}"], multi_label=True)
    x = np.random.default_rng(0).normal(size=(4, head.dim)).astype(np.float32)
    np.testing.assert_allclose(head.scores(7 * x), head.scores(x), rtol=1e-5)
    assert (head.scores(np.zeros((1, head.dim))) == text.bias).all()
    make_model(tmp_path, "clip")
    with pytest.raises(UsageError, match="cannot give several labels"):
        text_head(create_text_encoder(str(tmp_path)), TOLD, ["{}"], multi_label=True)


def test_a_head_of_cosines_is_kept(tmp_path: Path) -> None:
    head = LinearHead(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), ("a", "b"), unit=True)
    head.save(tmp_path / "head.safetensors")
    again = LinearHead.load(tmp_path / "head.safetensors")
    np.testing.assert_allclose(again.scores([[3.0, 4.0], [0, 0]]), [[0.6, 0.8], [0, 0]], atol=1e-7)


def test_templates() -> None:
    assert prompts(["a rat", "b"], ["{}", "on {}."]) == ["a rat", "on a rat.", "b", "on b."]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"zero_shot": {"descriptions": None}}, ConfigError, "descriptions is empty"),
        ({"zero_shot": {"descriptions": {"rearing": "a"}}}, ConfigError, "takes two"),
        ({"zero_shot": {"descriptions": TOLD | {"x": " "}}}, ConfigError, "of 'x' is empty"),
        ({"zero_shot": {"templates": ["no place"]}}, ConfigError, "each template has one place"),
        ({"zero_shot": {"descriptions": "none.csv"}}, DataError, "none.csv cannot be read"),
        ({"folds": 3}, UsageError, "nothing to fold"),
        ({"head": {"column": ["verb", "noun"]}}, UsageError, "a run for each"),
        ({"encoder": "starter"}, UsageError, "'starter' knows no text"),
        ({"encoder_options": {"pool": "mean"}}, UsageError, "pool=joint"),
    ],
)
def test_what_is_wrong_is_said(
    model: Path, tmp_path: Path, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run_of(Path(fields.pop("encoder", model)), tmp_path / "run", **fields)
    assert not (tmp_path / "run").exists()


def test_descriptions_and_classes(tmp_path: Path, model: Path, rats: Events) -> None:
    with pytest.raises(DataError, match=r"without a description: rearing.*Did you mean 'rearign'"):
        check_described({"rearign": ["x"], "grooming": ["y"]}, ["rearing", "grooming"])
    assert check_described(TOLD, ["rearing"]) == ["grooming", "face_washing"]
    fewer = {name: TOLD[name] for name in ("rearing", "grooming")}
    with pytest.raises(ActionspaceError, match="without a description: face_washing"):
        run_of(model, tmp_path / "run", data=rats, zero_shot={"descriptions": fewer})
    for name, cells, words in (
        ("a", {"lable": ["x"], "description": ["y"]}, "no column 'label'. Did you mean 'lable'"),
        ("b", {"label": ["x", ""], "description": ["y", "z"]}, "b.csv, line 3"),
    ):
        pd.DataFrame(cells).to_csv(tmp_path / f"{name}.csv", index=False)
        with pytest.raises(DataError, match=words):
            told(str(tmp_path / f"{name}.csv"))
