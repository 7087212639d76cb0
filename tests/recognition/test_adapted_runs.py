"""Training the encoder with its head: what is learnt, what stays, what predicts afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from actionspace.encoders.create import create_encoder
from actionspace.errors import Interrupted, RunError, UsageError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.recognition.convert import weights_from_run
from actionspace.recognition.evaluate import encoding_of, evaluate, recipe_of
from actionspace.recognition.fit import train
from actionspace.recognition.predict import predictions
from actionspace.training.predictions import read_predictions
from actionspace.training.run import Run
from tests.recognition import adaptable
from tests.recognition.conftest import recipe
from tests.recognition.test_head_mode import Stop

MODES = {
    "head": ("mode=head",),
    "lora": ("mode=lora", "lora.rank=4", "lora.targets=all", "lora.dropout=0.1"),
    "layers": ("mode=layers", "layers=1"),
    "full": ("mode=full",),
}
QUICK = (
    f"encoder={adaptable.ENCODER}",
    "clips.rows=events",
    "clips.dtype=float32",
    "clips.test.clips=2",
    "clips.val.clips=2",
    "head.dropout=0",
    "head.calibrate=false",
    "training.epochs=24",
    "training.batch_size=6",
    "training.optimizer={lr: 0.03, weight_decay: 0}",
    "training.evaluate_every=12",
    "training.tensorboard=false",
)


def config(mode: str, *overrides: str) -> Any:
    return recipe(*QUICK, *MODES[mode], *overrides)


@pytest.fixture(scope="module")
def split(clips: Events) -> Events:
    """Three groups to learn from, one to validate, two to test."""
    names = {f"g{i}": "train" for i in range(3)} | {"g3": "val", "g4": "test", "g5": "test"}
    return replace(clips, videos=clips.videos.assign(split=clips.videos["group"].map(names)))


@pytest.fixture(scope="module")
def runs(split: Events, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    split.to_csv(split.root / "split.csv")
    folder = tmp_path_factory.mktemp("adapted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTIONSPACE_CACHE", str(folder / "cache"))
        return {
            mode: train(
                config(mode), data=split.root / "split.csv", out=folder / mode, report=False
            )
            for mode in MODES
        }


@pytest.fixture
def copied(runs: dict[str, Run], tmp_path: Path) -> Callable[[str], Run]:
    def copy(mode: str) -> Run:
        return Run(Path(shutil.copytree(runs[mode].path, tmp_path / mode)))

    return copy


def weights_of(run: Run) -> dict[str, torch.Tensor]:
    """The encoder's weights as the run would predict with them."""
    encoder = encoding_of(run, recipe_of(run)).encoder
    return {name: t.clone() for name, t in encoder.backbone.state_dict().items()}


def losses(run: Run) -> np.ndarray:
    return pd.read_csv(run.path / "metrics.csv")["val/loss"].dropna().to_numpy()


@pytest.mark.parametrize("mode", ["lora", "layers", "full"])
def test_each_mode_learns_more_than_the_head_alone(runs: dict[str, Run], mode: str):
    run = runs[mode]
    assert run.metrics["top1_accuracy"] > 0.6  # of three classes
    assert losses(run)[-1] < 0.8 * losses(runs["head"])[-1]
    assert run.labels["encoder"]["adapted"] == mode
    about = {m: r.environment for m, r in runs.items()}
    counts = about[mode]["trainable_parameters"], about[mode]["total_parameters"]
    head, total = 3 * 8 + 3, about["head"]["total_parameters"]
    # LoRA: rank 4 beside six 8 x 8 layers (two of them 8 x 16) in each of 4 blocks.
    added = 4 * 4 * (4 * 16 + 2 * 24)
    last = sum(p.numel() for p in adaptable.Block().parameters()) + 8 * 8 + 8 + 16
    expected = {
        "lora": (head + added, total + added),
        "layers": (head + last, total),
        "full": (total, total),
    }
    assert counts == expected[mode]


@pytest.mark.parametrize("mode", ["head", "lora", "layers", "full"])
def test_what_is_frozen_stays_bit_for_bit(runs: dict[str, Run], mode: str):
    """The statistics of batch norms as well."""
    before = create_encoder(adaptable.ENCODER).backbone.state_dict()
    after = weights_of(runs[mode])
    changed = {name for name, t in after.items() if not torch.equal(t, before[name])}
    if mode == "head":
        assert changed == set()
    elif mode == "lora":
        adapted = ("qkv.weight", "attn.proj.weight", "fc1.weight", "fc2.weight")
        expected = {n for n in after if n.startswith("layers") and n.endswith(adapted)}
        assert changed == expected and len(changed) == 16
    elif mode == "layers":
        last = ("layers.1.blocks.1.", "layers.1.downsample.", "norm.")
        assert changed == {name for name in after if name.startswith(last)}
        assert any("running_mean" in name for name in changed)
    else:
        assert changed == set(after)


@pytest.mark.parametrize("mode", ["lora", "layers", "full"])
def test_the_validation_while_training_is_the_evaluation_afterwards(
    copied: Callable[[str], Run], mode: str
):
    run = copied(mode)
    best = pd.read_csv(run.path / "metrics.csv").dropna(subset="val/loss")
    best = best.loc[best["val/top1_accuracy"].idxmax()]
    found = evaluate(run, split="val", bootstrap=0)
    assert found["top1_accuracy"] == pytest.approx(best["val/top1_accuracy"])


@pytest.mark.parametrize("mode", ["lora", "layers", "full"])
def test_a_run_predicts_with_its_encoder_wherever_it_lies(
    runs: dict[str, Run],
    copied: Callable[[str], Run],
    split: Events,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mode: str,
):
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path / "empty"))
    found = predictions(copied(mode), split, split="test")
    kept = read_predictions(runs[mode].predictions_dir / "test")
    np.testing.assert_allclose(found.raw["label"], kept.raw["label"], atol=1e-6)
    assert found.labels["encoder"]["weights_hash"] == runs[mode].labels["encoder"]["weights_hash"]


def test_first_weights_are_needed_beside_adapters_alone(
    copied: Callable[[str], Run], split: Events
):
    for mode in ("lora", "full"):
        run = copied(mode)
        text = (run.path / "config.yaml").read_text()
        (run.path / "config.yaml").write_text(text.replace("weights: null", "weights: gone.pth"))
        assert run.config["weights"] == "gone.pth"
    assert len(predictions(run, split, split="test").events) == 6
    with pytest.raises(RunError, match=r"trained with the weights gone\.pth, which are not here"):
        predictions(run.path.with_name("lora"), split)


def test_encoders_of_different_runs_have_different_names(runs: dict[str, Run]):
    names = {run.labels["encoder"]["weights_hash"] for run in runs.values()}
    assert len(names) == 4


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_a_run_as_a_weight_file(runs: dict[str, Run], tmp_path: Path, mode: str):
    path = weights_from_run(runs[mode], tmp_path / "merged.safetensors")
    merged = create_encoder(adaptable.ENCODER, weights=path)
    own = weights_of(runs[mode])
    for name, t in merged.backbone.state_dict().items():
        assert torch.equal(t, own[name]), name


def test_what_is_missing_or_foreign_is_refused(
    copied: Callable[[str], Run], runs: dict[str, Run], split: Events, tmp_path: Path
):
    run = copied("lora")
    other = load_file(run.path / "adapter" / "adapter_model.safetensors")
    from safetensors.torch import save_file

    notes = {"base_weights_hash": create_encoder(adaptable.ENCODER).weights_hash}
    path = run.path / "adapter" / "adapter_model.safetensors"
    save_file({name: t + 0.01 for name, t in other.items()}, path, notes)
    with pytest.raises(RunError, match="the run was trained with"):
        predictions(run, split, split="test")
    shutil.rmtree(run.path / "adapter")
    with pytest.raises(RunError, match=r"mode=lora, and adapter/.* is missing"):
        evaluate(run, split="test")
    whole = copied("full")
    with pytest.raises(UsageError, match=r"holds the weights of its encoder .*leave out weights"):
        predictions(whole, split, weights="other.pth")
    (whole.path / "encoder.safetensors").unlink()
    with pytest.raises(RunError, match=r"mode=full, and encoder\.safetensors is missing"):
        predictions(whole, split)
    store = extract(split, create_encoder(adaptable.ENCODER), tmp_path / "s", progress=False)
    with pytest.raises(RunError, match="needs the features of its own encoder"):
        predictions(runs["lora"], split, features=store)
    with pytest.raises(UsageError, match=r"mode=lora .* features= was given\. Leave"):
        train(config("lora"), data=split, features=store, out=tmp_path / "x")


def test_resume_ends_where_an_unbroken_training_ends(
    split: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    views = "clips.train={augment: 4, geometry: center, short_side: 40}"
    cfg = config(
        "lora", views, "training.epochs=4", "training.evaluate_every=2", "head.dropout=0.5"
    )
    whole = train(cfg, data=split, out=tmp_path / "whole", report=False)
    with monkeypatch.context() as patch:
        Stop(patch, 4)
        with pytest.raises(Interrupted, match=r"after step 4 of 8"):
            train(cfg, data=split, out=tmp_path / "run", report=False)
    run = train(cfg, data=split, out=tmp_path / "run", resume=True, report=False)
    ends = weights_of(run)
    for name, t in weights_of(whole).items():
        assert torch.equal(t, ends[name]), name
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(array, run.weights()[name])
    assert run.metrics == whole.metrics


def test_each_fold_has_an_encoder_of_its_own(clips: Events, tmp_path: Path):
    cfg = config("lora", "folds=2", "training.epochs=2", "head.calibrate=true")
    run = train(cfg, data=clips, out=tmp_path / "run", report=False)
    found = [
        load_file(path / "adapter" / "adapter_model.safetensors")
        for path in (run.path, run.path / "folds" / "0", run.path / "folds" / "1")
    ]
    first, *others = (torch.cat([t.flatten() for t in state.values()]) for state in found)
    assert not any(torch.equal(first, other) for other in others)
    assert run.metrics["protocol"]["rows"] == 18 and len(run.metrics["folds"]) == 2
    assert evaluate(run)["top1_accuracy"] == run.metrics["top1_accuracy"]


def test_a_training_starts_anew_without_what_lay_there(copied: Callable[[str], Run], split: Events):
    run = copied("full")
    train(
        config("head", "training.epochs=1"),
        data=split,
        out=run.path,
        overwrite=True,
        report=False,
    )
    assert not (run.path / "encoder.safetensors").exists()
