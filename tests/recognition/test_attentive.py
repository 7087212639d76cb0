"""The attentive head on cached tokens: fitted, chosen, calibrated, kept and read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.errors import (
    ConfigError,
    RunError,
    StoreError,
    UsageError,
    WeightsError,
)
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.store import FeatureStore
from actionspace.features.token_clips import JoinedClips
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_head import AttentiveHead
from actionspace.heads.linear import to_probabilities
from actionspace.heads.logistic import ABSENT
from actionspace.recipes.check import check_recipe
from actionspace.recipes.loader import load_recipe
from actionspace.recognition.attentive import AttentiveFitter
from actionspace.recognition.attentive_options import AttentiveHeadConfig
from actionspace.recognition.encode import Encoding, build_views
from actionspace.recognition.evaluate import evaluate
from actionspace.recognition.export import export
from actionspace.recognition.fit import train
from actionspace.recognition.predict import predict, predictions
from actionspace.recognition.probe import Probe, load_probes
from actionspace.recognition.recipe import HeadConfig
from actionspace.recognition.rows import Rows
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.recognition import tiny
from tests.recognition.steps import ENCODER

SMALL = ["head.attentive.lrs=[1e-2, 1e-4]", "head.attentive.weight_decays=[0.01]"]
SMALL += ["head.attentive.epochs=12", "head.attentive.batch_size=8"]


def recipe(*overrides: str) -> Any:
    fixed = [f"encoder={ENCODER}", "device=cpu", "evaluation.bootstrap=20"]
    return load_recipe("attentive_probe", [*fixed, *SMALL, *overrides])


@pytest.fixture(scope="module")
def trained(work: Path, split: Events) -> Run:
    data = split.to_csv(work / "clips" / "split.csv")
    return train(recipe(), data=data, out=work / "attentive", report=False)


def rows(n: int = 80, classes: int = 3, noise: float = 1.0, seed: int = 0) -> Rows:
    """Clips of 6 tokens, one of which says the class; rows of ten are a group."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(n, 6, 8)).astype(np.float32) * noise
    x[np.arange(n), rng.integers(0, 6, n), y] += 4
    names = np.array([f"g{i // 10}" for i in range(n)], dtype=object)
    return Rows(x, y, np.ones(n), np.arange(n), names, names, {}, {})


def fitter(classes: int = 3, multi_label: bool = False, **options: Any) -> AttentiveFitter:
    how = {"lrs": [1e-2], "weight_decays": [0.01], "epochs": 12, "batch_size": 16} | options
    config = HeadConfig(kind="attentive", attentive=AttentiveHeadConfig.model_validate(how))
    return AttentiveFitter(config, [str(c) for c in range(classes)], multi_label)


def head(**changes: Any) -> AttentiveHead:
    torch.manual_seed(0)
    config = AttentiveConfig(depth=2, num_heads=4)
    return replace(AttentiveHead.of(AttentiveProbe(8, 3, config), config, "abc"), **changes)


def test_a_head_scores_as_the_probe_it_was_taken_from():
    torch.manual_seed(0)
    config = AttentiveConfig(depth=2, num_heads=4)
    probe = AttentiveProbe(8, 3, config).eval()
    x = torch.randn(2, 5, 6, 8)
    found = AttentiveHead.of(probe, config, "abc").scores(x.numpy())
    expected = probe(x.flatten(0, 1)).view(2, 5, 3).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert AttentiveHead.of(probe, config, "abc").size == sum(p.numel() for p in probe.parameters())


def test_wrong_tokens_and_weights_are_refused():
    with pytest.raises(WeightsError, match=r"shape \[2, 7\], but this head takes tokens"):
        head().scores(np.zeros((2, 7)))
    with pytest.raises(WeightsError, match="needs weight"):
        head(bias=np.zeros(4, np.float32))
    pooler = {k: v for k, v in head().pooler.items() if "norm1" not in k}
    with pytest.raises(WeightsError, match="not those of an attentive head"):
        head(pooler=pooler).scores(np.zeros((2, 4, 8)))


def test_train_evaluate_predict_reload(trained: Run, split: Events):
    assert trained.metrics["top1_accuracy"] == 1
    assert len(trained.config["clips"]["train"]) and trained.labels["heads"]["label"]["attentive"]
    table = (trained.path / "metrics.csv").read_text().splitlines()
    assert table[0] == "lr,weight_decay,accuracy,loss,chosen" and len(table) == 3
    kept = read_predictions(trained.predictions_dir / "test")
    assert evaluate(trained.predictions_dir / "test") == trained.metrics
    assert evaluate(trained) == trained.metrics
    test = split.select(split="test")
    again = predictions(trained, test, mode="clip")
    np.testing.assert_array_equal(again.scores["label"], kept.scores["label"])
    assert list(again.events.rows["label"]) == list(test.rows["label"])
    assert predict(trained.path, test.path("left/g5_0.mp4")).rows["label"].tolist() == ["left"]
    assert trained.environment["trainable_parameters"] == load_probes(trained)[0].head.size


def test_a_saved_head_is_read_back(tmp_path: Path):
    run = Run.start(tmp_path / "run")
    told = head(multi_label=True, thresholds=(0.1, 0.2, 0.3))
    Probe("verb", told).save(run, {})
    [found] = load_probes(Run(run.path))
    x = np.random.default_rng(0).normal(size=(4, 6, 8))
    np.testing.assert_array_equal(found.head.scores(x), told.scores(x))
    assert (found.head.multi_label, found.head.thresholds) == (True, (0.1, 0.2, 0.3))
    labels = json.loads((run.path / "labels.json").read_text())
    del labels["heads"]["verb"]["attentive"]["depth"]  # then four blocks are expected
    (run.path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(WeightsError, match="not those"):
        load_probes(Run(run.path))[0].head.scores(x)
    labels["heads"]["verb"]["attentive"]["deep"] = 1
    (run.path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(RunError, match="Train it again"):
        load_probes(Run(run.path))


def test_folds(split: Events, tmp_path: Path):
    run = train(recipe("folds=2"), data=split, out=tmp_path / "run", report=False)
    assert run.metrics["top1_accuracy"] > 0.9 and run.metrics["protocol"]["rows"] == 18
    table = (run.path / "metrics.csv").read_text().splitlines()
    assert len(table) == 1 + 3 * 2 and table[0].startswith("fold,")


def test_untrimmed_videos(trained: Run, tmp_path: Path):
    bouts = [("right", 50), ("still", 40), ("left", 50)]
    video = write_video(tmp_path / "long.mp4", tiny.frames(bouts, 7), tiny.FPS)
    found = predict(trained, video, mode="untrimmed", threshold=0.0, smooth=0.2).rows
    assert found["label"].tolist() == [name for name, _ in bouts]
    np.testing.assert_allclose(found["end"][:2], [2.0, 3.6], atol=0.3)


def test_a_store_of_tokens_takes_the_place_of_the_encoder(
    trained: Run, split: Events, tmp_path: Path
):
    about = create_encoder(ENCODER)
    views = build_views(recipe().clips.test, about.clip, "fast")
    how: dict[str, Any] = {"views": views, "progress": False}
    tokens = extract(split, about, tmp_path / "tokens", tokens="time", **how)
    assert tokens.n_tokens == 3
    run = train(recipe(), data=split, features=tokens.path, out=tmp_path / "run", report=False)
    assert run.metrics == trained.metrics
    assert run.config["clips"]["tokens"] == "time"
    pooled = extract(split, about, tmp_path / "pooled", **how)
    for wrong in (pooled.path, pooled):
        with pytest.raises(StoreError, match=r"one vector per clip.*tokens=time"):
            train(recipe(), data=split, features=wrong, out=tmp_path / "no", report=False)
    joins = recipe("clips.rows=events", "head.attentive.join_clips=true")
    with pytest.raises(UsageError, match=r"dense grid\. Extract with rows=events"):
        train(joins, data=split, features=tokens, out=tmp_path / "no", report=False)
    assert evaluate(run, split, features=tokens)["top1_accuracy"] == 1


def test_clips_of_a_crop_are_one_sequence(work: Path, split: Events, tmp_path: Path):
    views = [f"clips.{part}.clips=2" for part in ("train", "val", "test")]
    three = ["clips.test.geometry=three", "clips.test.size=24", "clips.test.short_side=24"]
    joins = recipe("clips.rows=events", "head.attentive.join_clips=true", *views, *three)
    encoding = Encoding(joins)
    source = encoding.source(split, "test")
    assert isinstance(source, JoinedClips)
    video = source.videos()[0]
    found, single = source.get(video).features, source.store.get(video).features
    assert (found.shape, single.shape) == ((1, 3, 6, 8), (1, 6, 3, 8))
    np.testing.assert_array_equal(found[0, 1, 3:], single[0, 3])  # second crop, second clip
    run = train(joins, data=split, out=tmp_path / "run", report=False)
    kept = read_predictions(run.predictions_dir / "test")
    assert kept.rows["view"].nunique() == 3  # crops; without joining there are six views
    assert run.metrics["top1_accuracy"] > 0.6
    assert evaluate(run, split) == run.metrics
    curve = evaluate(run, split, observed=1.0)["observed"]
    assert curve[0]["top1_accuracy"] == run.metrics["top1_accuracy"]


def test_random_views_join_in_whole_sets(tmp_path: Path, split: Events):
    about = create_encoder(ENCODER)
    views = replace(build_views(recipe().clips.test, about.clip, "fast"), augment=3, clips=2)
    part = split.select(split="test")
    how: dict[str, Any] = {"rows": "events", "tokens": "time", "progress": False}
    store = extract(part, about, tmp_path / "s", views=views, **how)
    with pytest.raises(StoreError, match="3 random views of each event; sequences of 2"):
        JoinedClips(store)
    pooled = FeatureStore(store.path, store.fingerprint | {"tokens": None})
    with pytest.raises(StoreError, match="only tokens can be joined"):
        JoinedClips(pooled)


def test_the_pair_is_chosen_on_other_groups_and_the_head_fitted_again_on_all():
    made = fitter(lrs=[1e-6, 1e-2])
    learn, held = made._hold_out(rows())
    assert held is not None and not set(learn.groups) & set(held.groups)
    assert len(learn.event) + len(held.event) == 80 and 10 <= len(held.event) <= 20
    found = made.fit(rows(), None)
    assert [t["lr"] for t in found.trials if t["chosen"]] == [1e-2]
    before = made._try(learn, held, [1e-2], [0.01])[0]
    after = made._try(rows(), None, [1e-2], [0.01])[0]
    unscaled = found.head.weight / np.linalg.norm(found.head.weight)
    np.testing.assert_allclose(unscaled, after.weight / np.linalg.norm(after.weight), atol=1e-6)
    assert not np.allclose(before.weight, after.weight, atol=1e-3)
    one = replace(rows(), groups=np.array(["g"] * 80, dtype=object))
    alone = made.fit(one, None)
    assert not alone.calibrated and "were not chosen, 0.01 and 0.01" in alone.notes[0]


def test_a_validation_split_chooses_and_without_refit_its_head_stays():
    made = fitter()
    kept = replace(made, config=made.config.model_copy(update={"refit": False}))
    train_rows, held = rows(60), rows(30, seed=1)
    expected = made._try(train_rows, held, [1e-2], [0.01])[0].scores(held.features)
    found, refitted = kept.fit(train_rows, held), made.fit(train_rows, held)
    ratio = expected / found.head.scores(held.features)
    assert ratio.std() < 1e-3 and ratio.mean() >= 1
    assert not np.allclose(found.head.pooler["query_tokens"], refitted.head.pooler["query_tokens"])


def test_scores_are_calibrated_on_held_out_rows():
    """Trained for long on noisy rows it is too sure; the temperature takes that back."""
    made = fitter(epochs=40)
    train_rows, held, fresh = (rows(60, noise=2.0, seed=s) for s in range(3))
    made = replace(made, config=made.config.model_copy(update={"refit": False}))
    raw = made._try(train_rows, None, [1e-2], [0.01])[0]
    found = made.fit(train_rows, held)

    def loss(logits: np.ndarray) -> float:
        right = to_probabilities(logits)[np.arange(60), fresh.targets]
        return float(-np.log(np.maximum(right, 1e-9)).mean())

    before, after = (raw.scores(fresh.features), found.head.scores(fresh.features))
    assert before.std() > 1.5 * after.std() and loss(after) < loss(before)
    assert (before.argmax(1) == after.argmax(1)).all()
    assert 0 < found.threshold < 1


def test_several_labels():
    some = rows(120, noise=0.3)
    table = np.eye(3, dtype=bool)[some.targets]
    table[::4, 0] = True
    some.features[::4, 0, 0] += 4
    several = replace(some, targets=table)
    found = fitter(multi_label=True, epochs=25).fit(several, None)
    assert len(found.class_thresholds) == 3 and found.head.multi_label
    said = found.head.probabilities(some.features) >= np.array(found.class_thresholds)
    assert (said == table).mean() > 0.9


def test_a_class_without_training_rows_is_never_predicted():
    found = fitter(classes=4).fit(rows(), None)
    assert found.head.bias[3] <= ABSENT / 20 and any(
        "No training row of: 3" in n for n in found.notes
    )
    assert found.head.probabilities(rows().features)[:, 3].max() == 0


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["mode=head"], "mode=probe, not mode=head"),
        (["mode=lora"], "mode=probe, not mode=lora"),
        (["head.kind=linear"], "clips.tokens are for head.kind=attentive"),
        (["clips.tokens=4x5"], "neither 'time'"),
        (["head.attentive.join_clips=true"], "needs clips.rows=events"),
        (["head.attentive.lrs=[]"], "lrs"),
        (["head.attentive.num_head=4"], "Did you mean 'num_heads'"),
        (
            [
                "head.attentive.join_clips=true",
                "clips.rows=events",
                "clips.train={augment: 3, clips: 2}",
            ],
            "3 random views, which is no multiple of its 2 clips",
        ),
    ],
)
def test_recipes_that_do_not_fit(overrides: list[str], says: str):
    with pytest.raises(ConfigError, match=says):
        recipe(*overrides)


def test_heads_divide_the_width():
    found = check_recipe(
        {**recipe("head.attentive.num_heads=16").model_dump(), "encoder": "starter"}
    )
    assert [f.message for f in found if f.severity == "error"] == [
        "head.attentive.num_heads 16 does not divide the 319 channels of 'starter'; leave it out "
        "to have as many as fit."
    ]
    assert AttentiveHeadConfig().of_width(319).num_heads == 11
    assert AttentiveHeadConfig().of_width(1024).num_heads == 16
    with pytest.raises(UsageError, match="3"):
        fitter(num_heads=3).fit(rows(), None)


def test_an_export_is_refused_with_the_reason(trained: Run, tmp_path: Path):
    for part in ("head", "model"):
        with pytest.raises(UsageError, match=r"'label' is attentive.*head\.kind=linear"):
            export(trained, tmp_path / "run.pt2", part=part)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_another_store_or_encoder_is_refused(trained: Run, split: Events, tmp_path: Path):
    pooled = extract(
        split.select(split="test"), create_encoder(ENCODER), tmp_path / "p", progress=False
    )
    with pytest.raises(StoreError, match="one vector per clip"):
        evaluate(trained, split, features=pooled)
