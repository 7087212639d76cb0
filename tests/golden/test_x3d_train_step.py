"""Optimisation steps of the original UCF50 training, whose frozen BatchNorms drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.golden.test_x3d_models import create
from tests.golden.x3d import fill, folders, tensor

CASES = [folder for folder in folders() if (folder / "train_step_seed.safetensors").is_file()][:1]
pytestmark = pytest.mark.skipif(not CASES, reason="no golden/x3d training step here")


@dataclass
class Trained:
    model: Any
    logits: Any
    gradients: dict[str, Any]
    losses: list[float]
    content: dict[str, Any]
    before: dict[str, Any]
    stored: dict[str, Any]

    def state(self) -> dict[str, Any]:
        """The model's state under the names of the file."""
        return self.model.encoder.backbone.state_dict() | {
            f"blocks.5.proj.{name}": value
            for name, value in self.model.head.linear.state_dict().items()
        }

    def changed(self) -> set[str]:
        """What differs from before the steps."""
        import torch

        state = self.state().items()
        return {name for name, value in state if not torch.equal(value, self.before[name])}

    def evaluate(self) -> Any:
        import torch

        self.model.eval()
        with torch.no_grad():
            return self.model(clip("eval"))


def clip(name: object) -> Any:
    """Clips as an encoder without mean and standard deviation takes them, [B, T, H, W, 3]."""
    return tensor(f"train/golden/{name}", (2, 3, 4, 64, 64), -2, 2).permute(0, 2, 3, 4, 1)


def train(folder: Path, *, drift: bool) -> Trained:
    """Repeat the original's steps with the network of mode=head, as ``batch_norm_drift`` says."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.keys import split_head
    from actionspace.encoders.keys_x3d import to_plain
    from actionspace.encoders.spec import ClipSpec
    from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
    from actionspace.recognition.head_task import HeadTask
    from actionspace.recognition.recipe import HeadConfig

    content = json.loads((folder / "manifest_train_step_seed.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "train_step_seed.safetensors")
    net, head = create("create_x3d", content["kwargs"])
    names = net.state_dict() | {f"blocks.5.proj.{n}": v for n, v in head.proj.state_dict().items()}
    before = fill(names) | {
        n.removeprefix("before/"): v for n, v in stored.items() if n.startswith("before/")
    }
    backbone, linear = split_head(to_plain(before))
    fit_state(net, backbone, what="the case")
    plain = ClipSpec(frames=4, stride=1, size=64, short_side=64, mean=(0, 0, 0), std=(1, 1, 1))
    config, classes = HeadConfig(dropout=0, class_weight="none"), head.proj.out_features
    model = HeadModel(
        LinearLayer(net.dim, classes, config, seed=0),
        HeadLoss(np.arange(classes), classes, config),
        Encoder(net, name="case", dim=net.dim, clip=plain),
        precision="float32",
        batch_norm_drift=drift,
    )
    fit_state(model.head.linear, linear, what="the case")
    task = HeadTask(model, train=None, val=None)  # type: ignore[arg-type]
    sgd = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    losses, gradients = [], {}
    seen: list[Any] = []
    model.register_forward_hook(lambda _, __, logits: seen.append(logits.detach()))
    for step, labels in enumerate(content["labels"]):
        task.set_training(model)
        loss = task.step(model, (clip(step), torch.tensor(labels)))["loss"]
        sgd.zero_grad()
        loss.backward()
        if step == 0:
            gradients = {n: p.grad.clone() for n, p in model.head.linear.named_parameters()}
        sgd.step()
        losses.append(loss.item())
    return Trained(model, seen[0], gradients, losses, content, before, stored)


@pytest.mark.parametrize("folder", CASES, ids=["x3d-train_step_seed"])
def test_as_published(folder: Path, record_property: Callable[[str, object], None]) -> None:
    """Losses, first gradients, every drifted entry and the logits after it are the original's."""
    import torch

    trained = train(folder, drift=True)
    stored = trained.stored
    state, errors = trained.state(), []
    expected = {n.removeprefix("after/"): v for n, v in stored.items() if n.startswith("after/")}
    assert trained.changed() == set(expected)
    assert len(expected) == trained.content["changed_keys"]
    pairs = [(state[name], value) for name, value in expected.items()]
    pairs += [
        (trained.gradients[name.rpartition(".")[2]], value)
        for name, value in stored.items()
        if name.startswith("grad0/")
    ]
    pairs.append((trained.logits, stored["out0/logits"]))
    pairs.append((torch.tensor(trained.losses), torch.tensor(trained.content["losses"])))
    pairs.append((trained.evaluate(), stored["after_eval/logits"]))
    for got, value in pairs:
        bound = max(float(value.abs().max()), 1e-12)
        torch.testing.assert_close(got, value, rtol=1e-4, atol=1e-4 * bound)
        errors.append(float((got - value).abs().max()) / bound)
    record_property("max_relative_error", max(errors))
    print(f"x3d-train_step_seed: max error {max(errors):.2e} of the largest value")


@pytest.mark.parametrize("folder", CASES, ids=["x3d-train_step_seed"])
def test_frozen(folder: Path) -> None:
    """As it should be: the same steps change the classifier and nothing else."""
    trained = train(folder, drift=False)
    assert trained.changed() == {"blocks.5.proj.weight", "blocks.5.proj.bias"}
    published = trained.stored["after_eval/logits"]
    assert float((trained.evaluate() - published).abs().max()) > 0.01
