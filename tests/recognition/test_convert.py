"""A checkpoint of the original code with its classifier becomes a run that predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.errors import UsageError, WeightsError
from actionspace.events.table import Events
from actionspace.recognition.convert import run_from_checkpoint
from actionspace.recognition.predict import predictions
from actionspace.training.run import Run
from tests.recognition.conftest import recipe

SMALL = "encoder_options={embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: [2, 2, 2]}"
CLIPS = "{frames: 4, stride: 2, size: 32, short_side: 32, geometry: center}"
SETTING = [
    "encoder=swin3d_t",
    SMALL,
    "clips.rows=events",
    *[f"clips.{name}={CLIPS}" for name in ("train", "val", "test")],
]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The original's layout: ``backbone.*`` and ``cls_head.fc_cls.*`` in a torch file."""
    config = recipe(*SETTING)
    encoder = create_encoder("swin3d_t", seed=3, **config.encoder_options)
    state = {f"backbone.{k}": v for k, v in encoder.backbone.state_dict().items()}
    torch.manual_seed(0)
    state["cls_head.fc_cls.weight"] = torch.randn(3, encoder.dim)
    state["cls_head.fc_cls.bias"] = torch.randn(3)
    torch.save({"state_dict": state, "meta": {}}, tmp_path / "epoch_30.pth")
    return tmp_path / "epoch_30.pth"


def test_a_checkpoint_predicts(checkpoint: Path, clips: Events, tmp_path: Path):
    names = ["still", "right", "left"]
    made = run_from_checkpoint(checkpoint, recipe(*SETTING), tmp_path / "run", classes=names)
    found = predictions(Run.open(made.path), clips)
    assert found.classes() == names and len(found.events) == 18
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    np.testing.assert_array_equal(
        made.weights()["label.weight"], state["cls_head.fc_cls.weight"].numpy()
    )
    assert made.environment["trainable_parameters"] == state["cls_head.fc_cls.weight"].numel() + 3
    numbered = run_from_checkpoint(checkpoint, recipe(*SETTING), tmp_path / "ids")
    assert numbered.labels["heads"]["label"]["classes"] == ["0", "1", "2"]


def test_what_cannot_be_converted(checkpoint: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="3 classes apart; 2 names"):
        run_from_checkpoint(checkpoint, recipe(*SETTING), tmp_path / "run", classes=["a", "b"])
    with pytest.raises(WeightsError, match="does not fit"):
        run_from_checkpoint(checkpoint, recipe("encoder=swin3d_t"), tmp_path / "run")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    bare = {k: v for k, v in state.items() if not k.startswith("cls_head")}
    torch.save({"state_dict": bare}, tmp_path / "bare.pth")
    with pytest.raises(WeightsError, match="without a classifier"):
        run_from_checkpoint(tmp_path / "bare.pth", recipe(*SETTING), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name,layout",
    [("slowfast_r50", "pytorchvideo"), ("x3d_s", "pyslowfast"), ("slow_r50", "pyslowfast")],
)
def test_checkpoints_of_the_kinetics_zoos_predict(
    name: str, layout: str, clips: Events, tmp_path: Path
):
    """The classifier's logits are those of its linear layer on the mean features."""
    from actionspace.encoders import keys_resnet, keys_x3d

    small = {"width": 16, "depths": [1, 1, 1, 1]}
    if name == "x3d_s":
        small = {"widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    shortcut = {"shortcut_bn_on_stride": True} if name == "x3d_s" else {}
    encoder = create_encoder(f"untrained:{name}", seed=3, **small | shortcut)
    torch.manual_seed(0)
    head = {"head.weight": torch.randn(3, encoder.dim), "head.bias": torch.randn(3)}
    plain = dict(encoder.backbone.state_dict()) | head
    family = keys_x3d if name == "x3d_s" else keys_resnet
    path = tmp_path / "zoo.pyth"
    torch.save({"model_state": family.from_plain(plain, layout)}, path)  # type: ignore[arg-type]
    options = ", ".join(f"{key}: {value}" for key, value in small.items())
    setting = [f"encoder={name}", f"encoder_options={{{options}}}", *SETTING[2:]]
    made = run_from_checkpoint(path, recipe(*setting), tmp_path / "run")
    found = predictions(Run.open(made.path), clips)
    assert len(found.events) == 18 and found.classes() == ["0", "1", "2"]
    np.testing.assert_array_equal(made.weights()["label.weight"], head["head.weight"].numpy())


def test_several_classifiers_make_a_run_of_their_columns(clips: Events, tmp_path: Path):
    from actionspace.encoders.keys_resnet import from_plain

    small = {"width": 16, "depths": [1, 1, 1, 1]}
    plain = dict(create_encoder("untrained:slowfast_r50", **small).backbone.state_dict())
    for part, classes in (("verb", 97), ("noun", 300)):
        plain[f"head.{part}.weight"] = torch.randn(classes, 576)
        plain[f"head.{part}.bias"] = torch.zeros(classes)
    torch.save({"model_state": from_plain(plain, "pyslowfast")}, tmp_path / "epic.pyth")
    with pytest.raises(WeightsError, match=r"several classifiers \(noun, verb\)"):
        run_from_checkpoint(tmp_path / "epic.pyth", recipe(*SETTING), tmp_path / "run")
    options = "encoder_options={width: 16, depths: [1, 1, 1, 1]}"
    both = recipe("encoder=slowfast_r50", options, *SETTING[2:], "head.column=[verb,noun]")
    with pytest.raises(UsageError, match="can only be numbered"):
        run_from_checkpoint(tmp_path / "epic.pyth", both, tmp_path / "run", classes=["a", "b"])
    made = run_from_checkpoint(tmp_path / "epic.pyth", both, tmp_path / "run")
    found = predictions(made, clips.select(videos=list(clips.videos["video"][:2])))
    assert {head: values.shape for head, values in found.scores.items()} == {
        "verb": (2, 97),
        "noun": (2, 300),
    }
    np.testing.assert_array_equal(made.weights()["noun.weight"], plain["head.noun.weight"].numpy())
    of_full = both.model_copy(update={"mode": "full"})
    trained = run_from_checkpoint(tmp_path / "epic.pyth", of_full, tmp_path / "full")
    again = predictions(trained, clips.select(videos=list(clips.videos["video"][:2])))
    np.testing.assert_array_equal(again.scores["verb"], found.scores["verb"])
