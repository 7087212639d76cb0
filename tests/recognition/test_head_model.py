"""The network of mode=head: its loss adds up, its encoder stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer, balance
from actionspace.recognition.head_task import HeadTask
from actionspace.recognition.recipe import HeadConfig

CLASSES = 4
SINGLE = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 0])  # none of class 3
SEVERAL = np.random.default_rng(0).random((10, CLASSES)) < 0.3


@pytest.mark.parametrize("targets", [SINGLE, SEVERAL], ids=["one label", "several"])
@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parts_of_a_step_add_up(targets: np.ndarray, class_weight: Any, smoothing: float):
    config = HeadConfig(class_weight=class_weight, label_smoothing=smoothing)
    loss = HeadLoss(targets, CLASSES, config)
    logits, truth = torch.randn(10, CLASSES), torch.from_numpy(targets)
    parts = [(0, 3), (3, 4), (4, 10)]
    added = sum((b - a) * loss(logits[a:b], truth[a:b]) for a, b in parts) / 10
    torch.testing.assert_close(added, loss(logits, truth))


def test_the_loss_is_the_plain_one():
    logits = torch.randn(10, CLASSES)
    plain = HeadConfig(class_weight="none")
    torch.testing.assert_close(
        HeadLoss(SINGLE, CLASSES, plain)(logits, torch.from_numpy(SINGLE)),
        functional.cross_entropy(logits, torch.from_numpy(SINGLE)),
    )
    torch.testing.assert_close(
        HeadLoss(SEVERAL, CLASSES, plain)(logits, torch.from_numpy(SEVERAL)),
        functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(SEVERAL.astype(np.float32))
        ),
    )
    smooth = HeadConfig(class_weight="none", label_smoothing=0.2)
    torch.testing.assert_close(
        HeadLoss(SINGLE, CLASSES, smooth)(logits, torch.from_numpy(SINGLE)),
        functional.cross_entropy(logits, torch.from_numpy(SINGLE), label_smoothing=0.2),
    )


def test_balanced_classes_weigh_the_same():
    weight = balance(SINGLE, CLASSES).numpy()
    totals = np.bincount(SINGLE, weights=weight[SINGLE], minlength=CLASSES)
    np.testing.assert_allclose(totals, [10 / 3, 10 / 3, 10 / 3, 0], rtol=1e-6)
    absent, present = balance(SEVERAL, CLASSES).numpy()
    for c in range(CLASSES):
        found = SEVERAL[:, c]
        assert found.sum() * present[c] == pytest.approx((~found).sum() * absent[c], rel=1e-6)
        assert found.sum() * present[c] == pytest.approx(5, rel=1e-6)


def test_the_layer_is_a_function_of_the_seed():
    layers = [LinearLayer(1000, 20, HeadConfig(), seed=seed) for seed in (0, 0, 1)]
    first, again, other = (layer.linear.weight for layer in layers)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.std().item() == pytest.approx(0.01, rel=0.02)
    assert not layers[0].linear.bias.any()
    head = layers[0].as_head([str(i) for i in range(20)], False)
    x = torch.randn(5, 1000)
    np.testing.assert_allclose(head.scores(x), layers[0].eval()(x).detach(), atol=1e-5)


class Backbone(nn.Module):
    """A layer that drops paths, one that drops out, one that keeps statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 6)
        self.path, self.dropout, self.norm = DropPath(0.5), nn.Dropout(0.5), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x.mean(dim=(2, 3, 4)))
        return y + self.path(self.dropout(self.norm(y)))


def model(stochastic_depth: bool = False, precision: str = "float32") -> HeadModel:
    torch.manual_seed(0)
    spec = ClipSpec(frames=2, stride=1, size=8, short_side=8)
    encoder = Encoder(Backbone(), name="test", dim=6, clip=spec)
    config = HeadConfig(dropout=0, class_weight="none")
    return HeadModel(
        LinearLayer(6, CLASSES, config, seed=0),
        HeadLoss(SINGLE, CLASSES, config),
        encoder,
        precision=precision,
        stochastic_depth=stochastic_depth,
    )


def clips(n: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 2, 8, 8, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("stochastic_depth", [False, True])
def test_only_the_head_is_trained(stochastic_depth: bool):
    net = model(stochastic_depth)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.set_training()
    task = HeadTask(net, train=None, val=None)  # type: ignore[arg-type]
    losses = task.step(net, (clips(), torch.arange(8) % CLASSES))
    losses["loss"].backward()
    assert {n for n, p in net.named_parameters() if p.grad is not None} == {
        "head.linear.weight",
        "head.linear.bias",
    }
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert {"loss", "top1_accuracy", "top5_accuracy"} == set(losses)
    assert losses["top5_accuracy"] == 1  # of four classes
    same = torch.equal(net(clips()), net(clips()))
    assert same is not stochastic_depth
    net.eval()
    assert torch.equal(net(clips()), net(clips()))


def test_the_encoder_has_its_own_precision():
    exact = model().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(exact._encode(clips()), model().eval()._encode(clips()))
    rough = model(precision="bfloat16").eval()
    assert rough._encode(clips()).dtype == torch.float32
    assert not torch.equal(rough._encode(clips()), exact._encode(clips()))
