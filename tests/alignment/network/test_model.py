"""The whole network: parts of a ResNet, what trains in which mode, heads, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.create import create_network
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.encoders.resnet2d import ResNet
from actionspace.errors import UsageError, WeightsError
from actionspace.training.freeze import train_mode
from tests.alignment.network.test_parts import TINY

CONV = [{"channels": 4, "kernel": 1, "time_padding": 0}]


def network(classes: int = 0, **fields: Any) -> AlignmentNetwork:
    """A tiny network; its ResNet has norms of its own."""
    torch.manual_seed(0)
    config = NetworkConfig(**{"frames_per_batch": 4, "conv": CONV} | TINY | fields)
    resnet = ResNet(width=4, depths=(1, 1, 1, 1))
    for m in resnet.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_var, 0.5, 1.0)
    dim = 16 * 2 ** (config.layer - 1) if config.embedder == "conv" else resnet.dim
    return AlignmentNetwork(config, dim, parts=resnet.parts(), classes=classes)


def clips(videos: int = 2, frames: int = 10) -> torch.Tensor:
    return torch.randn(videos, frames, 3, 40, 36)


@pytest.mark.parametrize("layer", [2, 3, 4])
def test_where_the_backbone_ends_changes_nothing_but_names(layer: int) -> None:
    whole, net = network(layer=4).eval(), network(layer=layer).eval()
    assert len(net.backbone) == 4 + layer
    x = clips()
    torch.testing.assert_close(net(x), whole(x))


@pytest.mark.parametrize("embedder", ["transformer", "conv", "vanilla"])
def test_blocks_of_frames_do_not_show(embedder: str) -> None:
    net, x = network(embedder=embedder).eval(), clips()
    small = net(x)
    net.config.frames_per_batch = 100
    torch.testing.assert_close(net(x), small)


@pytest.mark.parametrize("embedder,blocks", [("transformer", 3), ("vanilla", 1)])
def test_norms_see_a_block(embedder: str, blocks: int) -> None:
    net = network(embedder=embedder, train_base="bn").train()
    net(clips())
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {int(m.num_batches_tracked) for m in norms if m.num_batches_tracked is not None} == {
        blocks
    }


def _learns(net: AlignmentNetwork) -> tuple[set[str], bool]:
    """The kinds of the backbone's weights that get gradients, and whether statistics change."""
    before = {n: b.clone() for n, b in net.backbone.named_buffers()}
    net(clips()).square().sum().backward()
    found = {
        "norm" if isinstance(m, nn.BatchNorm2d) else "convolution"
        for m in net.backbone.modules()
        for p in m.parameters(recurse=False)
        if p.grad is not None and bool(p.grad.any())
    }
    changed = any(not torch.equal(b, before[n]) for n, b in net.backbone.named_buffers())
    return found, changed


@pytest.mark.parametrize("by_trainer", [True, False])
@pytest.mark.parametrize("embedder", ["transformer", "conv"])
@pytest.mark.parametrize(
    "base,weights,changes",
    [
        ("frozen", set(), False),
        ("bn", {"norm"}, True),
        ("all", {"norm", "convolution"}, True),
    ],
)
def test_what_of_the_backbone_learns(
    base: str, weights: set[str], changes: bool, embedder: str, by_trainer: bool
) -> None:
    net = network(train_base=base, embedder=embedder, l2_normalize=False)
    if by_trainer:
        train_mode(net)
    else:
        net.train()
    assert _learns(net) == (weights, changes)
    assert _learns(net.eval())[1] is False


@pytest.mark.parametrize("base", ["bn", "all"])
def test_the_original_transformer_has_a_still_backbone(base: str) -> None:
    net = network(train_base=base, compat="carl", l2_normalize=False).train()
    assert _learns(net) == (set(), False)
    assert any(p.requires_grad for p in net.backbone.parameters())  # as in its optimiser
    # The other embedders' is not still there, either.
    net = network(train_base=base, compat="carl", embedder="conv", l2_normalize=False).train()
    assert _learns(net)[1]


@pytest.mark.parametrize("embedder", ["transformer", "conv", "vanilla"])
@pytest.mark.parametrize("base", ["frozen", "bn", "all"])
@pytest.mark.parametrize("compat", ["none", "carl"])
def test_what_asks_for_a_gradient_has_one(embedder: str, base: str, compat: str) -> None:
    """Data parallel training waits for each of them."""
    net = network(embedder=embedder, train_base=base, compat=compat, l2_normalize=False).train()
    net.freeze_idle()
    out = net(clips(), project=True)
    (out * torch.randn(out.shape)).sum().backward()
    asked = {name for name, p in net.named_parameters() if p.requires_grad}
    assert asked == {name for name, p in net.named_parameters() if p.grad is not None}
    assert any(name.startswith("res_finetune") for name in asked) == (embedder != "conv")


def test_stages_behind_the_backbone_always_learn() -> None:
    net = network().train()
    net(clips()).square().mean().backward()
    assert all(p.grad is not None for p in net.res_finetune.parameters())
    assert all(p.grad is None for p in net.backbone.parameters())
    assert not net.backbone.training and net.res_finetune.training


def test_heads() -> None:
    net, x = network(classes=3).eval(), clips()
    with torch.no_grad():
        out, projected, logits = net(x), net(x, project=True), net(x, classify=True)
        assert out.shape == projected.shape == (2, 10, 5) and logits.shape == (2, 10, 3)
        for one in (out, projected):
            torch.testing.assert_close(one.norm(dim=-1), torch.ones(2, 10))
        torch.testing.assert_close(logits, net.classifier(out))
        net.config.l2_normalize = False
        raw = net(x)
        torch.testing.assert_close(nn.functional.normalize(raw, dim=-1), out)
        assert not torch.allclose(raw, out)
    plain = network(projection=False).eval()
    assert not hasattr(plain, "ssl_projection")
    assert torch.equal(plain(x, project=True), plain(x))


def _features(**fields: Any) -> AlignmentNetwork:
    torch.manual_seed(0)
    return create_network(NetworkConfig(input="features", **TINY | fields), dim=4).eval()


def test_features_instead_of_frames() -> None:
    net = _features()
    assert {name.split(".")[0] for name in net.state_dict()} == {"embed", "ssl_projection"}
    for frames in (1, 10, 37):
        assert net(torch.randn(2, frames, 4)).shape == (2, frames, 5)
    assert net(torch.zeros(1, 5, 4)).isfinite().all()  # constant ones


def test_features_are_what_the_frames_give() -> None:
    """Cached features of a frozen backbone train the same head."""
    net = network(layer=4).eval()
    head = create_network(NetworkConfig(input="features", **TINY), dim=net.dim).eval()
    head.load_state_dict(
        {n: v for n, v in net.state_dict().items() if not n.startswith("backbone.")}
    )
    x = clips()
    torch.testing.assert_close(head(net.frame_features(x)), net(x))


def test_the_temporal_head_exports() -> None:
    net, x = _features(), torch.randn(1, 12, 4)
    program = torch.export.export(net, (x, torch.ones(1, 12)))
    again, mask = torch.randn(1, 12, 4), (torch.arange(12) < 8).float()[None]
    torch.testing.assert_close(program.module()(again, mask), net(again, mask))


def test_half_precision() -> None:
    net, x = _features(), torch.randn(2, 12, 4)
    mask = torch.zeros(2, 12)
    mask[0, :5] = 1
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = net(x, mask).float()
        assert float((rough - net(x, mask)).abs().max()) < 0.1


def test_bad_input() -> None:
    with pytest.raises(UsageError, match=r"given \[2, 7\]; expected \[videos, frames, 4\]"):
        _features()(torch.zeros(2, 7))
    with pytest.raises(UsageError, match=r"given \[2, 7, 9\]; .*4\] \(features\)"):
        _features()(torch.zeros(2, 7, 9))
    with pytest.raises(UsageError, match=r"expected \[videos, frames, 3, H, W\] \(frames\)"):
        network()(torch.zeros(2, 7, 9))
    with pytest.raises(UsageError, match="7 frames are not a whole number of groups of 2"):
        network(embedder="vanilla", contexts=2)(clips(frames=7))
    with pytest.raises(UsageError, match="no classifier; create it with classes=N"):
        _features()(torch.zeros(1, 2, 4), classify=True)


def test_creating_needs_what_the_input_needs(tmp_path: Path) -> None:
    features = NetworkConfig(input="features")
    with pytest.raises(UsageError, match="needs dim"):
        create_network(features)
    with pytest.raises(UsageError, match="are of a ResNet, which input 'features' does not have"):
        create_network(features, dim=4, weights="resnet50_in1k")
    with pytest.raises(UsageError, match=r"No published weights are called 'resnet50_in1K'.*mean"):
        create_network(NetworkConfig(), weights="resnet50_in1K")


def test_the_resnet_starts_from_a_file(tmp_path: Path) -> None:
    state = {n: torch.full((), 0.5).expand(v.shape) for n, v in ResNet().state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    net = create_network(NetworkConfig(layers=1), weights=tmp_path / "w.pth")
    for part in (net.backbone, net.res_finetune):
        assert all(bool((p == 0.5).all()) for p in part.parameters())
    assert not any(bool((p == 0.5).all()) for p in net.embed.embedding_layer.parameters())
    other = {f"stages.0.0.{n}": torch.zeros(1) for n in ("conv_a.weight", "norm_a.weight")}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="needs a resnet50 of pictures"):
        create_network(NetworkConfig(layers=1), weights=tmp_path / "other.pth")
