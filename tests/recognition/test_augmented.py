"""Training on clips that are augmented on the device: what is learnt, and from which targets."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.errors import ConfigError
from actionspace.events.table import Events
from actionspace.recognition.fit import train
from actionspace.recognition.head_model import HeadLoss
from actionspace.recognition.recipe import HeadConfig
from actionspace.training.run import Run
from tests.recognition.conftest import recipe

QUICK = (
    "mode=head",
    "clips.rows=events",
    "clips.train={augment: 4, geometry: center, short_side: 40, flip: false, speed: [0.8, 1.2]}",
    "head.dropout=0",
    "head.class_weight=none",
    "training.epochs=3",
    "training.batch_size=6",
    "training.optimizer={lr: 0.1, weight_decay: 0}",
    "training.evaluate_every=40",
    "training.tensorboard=false",
)
EVERYTHING = (
    "augment.crop={p: 0.5, area: [0.6, 1]}",
    "augment.flip={p: 0.5, never: [left, right]}",
    "augment.jitter={brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.1}",
    "augment.randaugment={ops: 1, magnitude: 2}",
    "augment.erase.p=0.2",
    "augment.mix={mixup: 0.2, cutmix: 0.2, p: 0.5}",
)


def head(*overrides: str) -> Any:
    return recipe(*QUICK, *overrides)


def learn(split: Events, out: Any, *overrides: str) -> tuple[np.ndarray, dict[str, float]]:
    """Train, and return the weights and what validation said."""
    run = train(head(*overrides), data=split, out=out)
    arrays = run.weights()
    return np.concatenate([arrays[k].ravel() for k in sorted(arrays)]), last(run)


def last(run: Run) -> dict[str, float]:
    with (run.path / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("val/loss")]
    return {name: float(value) for name, value in rows[-1].items() if value}


def test_a_training_is_the_same_each_time_and_hangs_on_augmentation(split, tmp_path):
    first, _ = learn(split, tmp_path / "a", *EVERYTHING)
    again, _ = learn(split, tmp_path / "b", *EVERYTHING, "training.workers=0")
    plain, _ = learn(split, tmp_path / "c")
    assert (first == again).all()
    assert not np.allclose(first, plain, atol=1e-3)


def test_left_and_right_are_told_apart_where_they_are_not_mirrored(split, tmp_path):
    long = "training.epochs=25", "training.optimizer.lr=1"
    _, kept = learn(split, tmp_path / "a", *long, "augment.flip={p: 0.5, never: [left, right]}")
    _, confused = learn(split, tmp_path / "b", *long, "augment.flip.p=0.5")
    assert kept["val/loss"] < 0.5 * confused["val/loss"]


def test_an_unknown_class_is_named_before_training(split, tmp_path):
    with pytest.raises(ConfigError, match=r"'lefft'.*left"):
        learn(split, tmp_path / "a", "augment.flip={p: 0.5, never: [lefft]}")


@pytest.mark.parametrize("options", [("mode=probe",), ("inputs=features",)])
def test_features_cannot_be_augmented(options):
    with pytest.raises(ConfigError, match="augment changes clips"):
        head(*options, "augment.flip.p=0.5")
    with pytest.raises(ConfigError, match="smaller first"):
        head("clips.train.speed=[2, 1]")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_targets(several, class_weight, smoothing):
    g = torch.Generator().manual_seed(0)
    classes, n = 4, 6
    truth = torch.rand(n, classes, generator=g) < 0.5 if several else torch.arange(n) % classes
    config = HeadConfig(class_weight=class_weight, label_smoothing=smoothing)
    loss = HeadLoss(truth.numpy(), classes, config)
    z = torch.randn(n, classes, generator=g)
    hot = truth.float() if several else torch.eye(classes)[truth]
    torch.testing.assert_close(loss(z, hot), loss(z, truth))
    if class_weight == "none":  # linear in the targets
        mixed = 0.3 * hot + 0.7 * hot.flip(0)
        wanted = 0.3 * loss(z, truth) + 0.7 * loss(z, truth.flip(0))
        torch.testing.assert_close(loss(z, mixed), wanted)
