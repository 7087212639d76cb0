"""The picture ResNet: frames by themselves, and weights in every layout they come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actionspace.encoders import keys_resnet2d
from actionspace.encoders.create import create_encoder
from actionspace.encoders.reading import read_checkpoint
from actionspace.encoders.resnet2d import Bottleneck, ResNet
from actionspace.errors import WeightsError

TINY: dict[str, Any] = {"width": 4, "depths": (2, 1, 1, 1)}


def _random(net: nn.Module) -> nn.Module:
    """Norms of their own, so that exchanged ones show."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.0)
            nn.init.uniform_(m.running_mean, -0.1, 0.1)
    return net.eval()


def _mlp(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}.0.weight": torch.randn(8, 128), f"{prefix}.2.weight": torch.randn(4, 8)}


def _around(layout: str, plain: dict[str, Tensor]) -> dict[str, Any]:
    """A file of that layout, with what else lies in one."""
    named = keys_resnet2d.from_plain(plain, layout)
    if layout == "torchvision":
        return named | {"fc.weight": torch.randn(5, 128), "fc.bias": torch.randn(5)}
    if layout == "simclr":
        more = {"encoder.fc.weight": torch.randn(5, 128), **_mlp("projection.model")}
        return {"state_dict": named | more, "callbacks": {}, "epoch": 1}
    prefix = {"byol": "encoder", "mocov2": "encoder_q"}[layout]
    named |= _mlp(f"{prefix}.fc") | _mlp("encoder_k.fc") | {"queue": torch.randn(4, 8)}
    wrapped = {f"module.{name}": value for name, value in named.items()}
    return {"model" if layout == "byol" else "state_dict": wrapped, "arch": "resnet50"}


@pytest.mark.parametrize("layout", ["torchvision", "byol", "simclr", "mocov2"])
def test_layouts(layout: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = _random(ResNet(**TINY))
    plain = net.state_dict()
    torch.save(_around(layout, dict(plain)), tmp_path / "w.pth")
    read = read_checkpoint(tmp_path / "w.pth")
    assert read.layout == layout and read.classes == (5 if layout == "torchvision" else 0)
    assert read.backbone.keys() == plain.keys()
    encoder = create_encoder("resnet50", weights=tmp_path / "w.pth", **TINY)
    clips = torch.randint(0, 256, (2, 3, 40, 36, 3), dtype=torch.uint8)
    with torch.no_grad():
        x = encoder.prepare(clips)
        torch.testing.assert_close(encoder.forward_features(x), net(x))


def test_a_file_of_the_published_shapes_is_a_name(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in ResNet().state_dict().items()}
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    torch.save(state, tmp_path / "w.pth")  # one number each
    read = read_checkpoint(tmp_path / "w.pth")
    assert (read.name, read.layout) == ("resnet50", "plain")


def test_other_networks_are_refused(tmp_path: Path) -> None:
    torch.save({"layer1.0.conv1.bias": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"ResNet-50 of pictures \(torchvision, BYOL"):
        read_checkpoint(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no layout 'swav'; known: torchvision, byol"):
        keys_resnet2d.from_plain({}, "swav")


def test_frames_know_nothing_of_each_other() -> None:
    net = _random(ResNet(**TINY))
    clip = torch.randn(2, 3, 5, 33, 40)
    with torch.no_grad():
        whole = net(clip)
        assert whole.shape == (2, net.dim, 5, 2, 2)
        alone = net(clip[:, :, 3:4])
    torch.testing.assert_close(whole[:, :, 3:4], alone)


def test_parts_in_order_of_computation() -> None:
    net = _random(ResNet(**TINY))
    x = torch.randn(2, 3, 32, 32)
    y = x
    for part in net.parts():
        y = part(y)
    assert len(net.parts()) == 8 and torch.equal(y, net(x.unsqueeze(2)).squeeze(2))
    assert len(net.blocks()) == sum(isinstance(m, Bottleneck) for m in net.modules()) == 5
