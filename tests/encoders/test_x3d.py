"""What golden cases cannot show: poolings, freezing, gradients, files of either zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actionspace.encoders import keys_x3d
from actionspace.encoders.architectures_x3d import X3D_L, X3D_XSM, X3DArchitecture, round_width
from actionspace.encoders.create import create_encoder
from actionspace.encoders.published_x3d import X3D_NETWORKS
from actionspace.encoders.x3d import X3D, PositionHead
from actionspace.errors import UsageError, WeightsError
from actionspace.training.freeze import freeze, train_mode

TINY: dict[str, Any] = {
    "stem_dim": 8,
    "widths": (8, 16, 16, 24),
    "depths": (1, 2, 1, 2),
    "head_dim": 32,
    "built_for": (4, 32),
}


def _net(**options: Any) -> X3D:
    """A network whose every layer matters (a new one begins with blocks that do nothing)."""
    torch.manual_seed(0)
    net = X3D(**TINY | options)
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return net.eval()


def _clip(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def clip() -> Tensor:
    return _clip(4, 32, 32)


def test_pooling_agrees_on_the_clips_that_the_model_is_built_for(clip: Tensor) -> None:
    with torch.no_grad():
        once, window = _net()(clip), _net(pool="sliding")(clip)
    assert once.shape == (2, 32, 1, 1, 1)
    torch.testing.assert_close(once, window)


def test_larger_clips_are_pooled_once_or_in_windows_or_per_frame() -> None:
    clip = _clip(6, 64, 40)
    with torch.no_grad():
        assert _net()(clip).shape == (2, 32, 1, 1, 1)
        windows = _net(pool="sliding")(clip)
        frames = _net(pool="space")(clip)
        parts = _net().feature_map(clip)
    assert windows.shape == (2, 32, 3, 2, 2)
    assert frames.shape == (2, 32, 6, 1, 1)
    assert parts.shape == (2, 54, 6, 2, 2)
    net = _net(pool="sliding")
    with torch.no_grad():
        second = net.blocks[-1].pool.post_conv(parts[:, :, 1:5, :1, 1:].mean((2, 3, 4), True))
    torch.testing.assert_close(windows[:, :, 1:2, :1, 1:], second.relu())


def test_smaller_clips_are_refused_by_the_published_pooling_alone() -> None:
    clip = _clip(3, 32, 32)
    with torch.no_grad():
        assert _net()(clip).shape == (2, 32, 1, 1, 1)
        with pytest.raises(UsageError, match=r"map of \(3, 1, 1\).*window \(4, 1, 1\).*global"):
            _net(pool="sliding")(clip)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pool": "max"}, "pool is one of global"), ({"depths": (1, 1)}, "must pair up")],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        X3D(**TINY | options)


def test_gradients_reach_every_parameter(clip: Tensor) -> None:
    net = _net(bn_lin5=True, shortcut_bn_on_stride=True).train()
    net(clip).square().mean().backward()
    for name, p in net.named_parameters():
        assert p.grad is not None and bool(p.grad.abs().sum() > 0), name


def test_new_blocks_begin_as_their_shortcut() -> None:
    torch.manual_seed(0)
    block = X3D(**TINY).blocks[2].res_blocks[1].eval()
    x = torch.rand(1, 16, 2, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x, rtol=0, atol=0)


def test_a_frozen_network_does_not_drift(clip: Tensor) -> None:
    """Not in a bit, over steps that would move every running statistic."""
    model = nn.Sequential(_net(), PositionHead(32, 5))
    freeze(model, keep=["1.proj"])
    before = {name: value.clone() for name, value in model[0].state_dict().items()}
    features = model[0](clip)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for step in range(3):
        train_mode(model)
        assert model[1].dropout.training
        sgd.zero_grad()
        model(5 + _clip(4, 32, 32, seed=step)).square().mean().backward()
        sgd.step()
    for name, value in model[0].state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(model.eval()[0](clip), features)
    model.train()
    model(clip)
    moved = [n for n, v in model[0].state_dict().items() if not torch.equal(v, before[n])]
    statistics = [n for n in before if n.endswith(("running_mean", "running_var", "tracked"))]
    assert sorted(moved) == sorted(statistics)  # so the test can fail


def test_only_the_trained_stage_moves(clip: Tensor) -> None:
    net = _net()
    freeze(net, keep=["blocks.4.", "blocks.5."])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    sgd = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1)
    train_mode(net)
    net(clip).square().mean().backward()
    sgd.step()
    moved = {n[:9] for n, v in net.state_dict().items() if not torch.equal(v, before[n])}
    assert moved == {"blocks.4.", "blocks.5."}


def test_the_classifier_averages_logits_or_probabilities() -> None:
    features = torch.randn(2, 8, 3, 2, 1)
    head = PositionHead(8, 4, dropout=0.5).eval()
    at_each = head.proj(features.flatten(2).transpose(1, 2))
    with torch.no_grad():
        torch.testing.assert_close(head(features), at_each.mean(1))
        head.softmax = True
        torch.testing.assert_close(head(features), at_each.softmax(-1).mean(1))
        head.train().dropout.p = 0.0
        torch.testing.assert_close(head(features), at_each.mean(1))


@pytest.mark.parametrize("options", [{}, {"shortcut_bn_on_stride": True, "bn_lin5": True}])
@pytest.mark.parametrize("layout", ["plain", "pytorchvideo", "pyslowfast"])
def test_layouts_go_round(layout: keys_x3d.Layout, options: dict[str, Any]) -> None:
    state = dict(_net(**options).state_dict())
    state |= {"head.weight": torch.rand(7, 32), "head.bias": torch.rand(7)}
    other = keys_x3d.from_plain(state, layout)
    assert keys_x3d.detect_layout(other) == layout
    back = keys_x3d.to_plain(other)
    assert list(back) == list(state)
    assert all(back[name] is value for name, value in state.items())
    guess = keys_x3d.guess_architecture(back)
    shape = X3DArchitecture(8, (8, 16, 16, 24), (1, 2, 1, 2), head_dim=32, **options)
    assert (guess.architecture, guess.classes) == (shape, 7)
    X3D(**guess.architecture.options()).load_state_dict(_net(**options).state_dict())


def test_names_without_a_place_are_named() -> None:
    state = keys_x3d.from_plain(_net().state_dict(), "pyslowfast")
    with pytest.raises(WeightsError, match=r"'s3\.pathway1_res0\.branch1\.weight' has no place"):
        keys_x3d.to_plain(state | {"s3.pathway1_res0.branch1.weight": torch.rand(1)})
    with pytest.raises(WeightsError, match="not X3D weights in a known layout"):
        keys_x3d.detect_layout({"layers.0.blocks.0.norm1.weight": 0})


@pytest.mark.parametrize("zoo", ["pytorchvideo", "pyslowfast"])
def test_files_of_both_zoos_are_read(zoo: keys_x3d.Layout, tmp_path: Path) -> None:
    """In their container, with the BatchNorm that only one of them has."""
    torch.manual_seed(0)
    net = X3D(shortcut_bn_on_stride=zoo == "pyslowfast")
    head = {"head.weight": torch.rand(400, 2048), "head.bias": torch.rand(400)}
    state = keys_x3d.from_plain(dict(net.state_dict()) | head, zoo)
    torch.save({"model_state": state, "epoch": 300, "cfg": "x"}, tmp_path / "x3d.pyth")
    encoder = create_encoder("x3d_s", weights=tmp_path / "x3d.pyth")
    assert not encoder.training
    clips = torch.randint(0, 256, (1, 4, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        x = encoder.prepare(clips)
        torch.testing.assert_close(encoder(x), net.eval()(x).flatten(1))
    torch.testing.assert_close(x[0, :, 0, 0, 0], (clips[0, 0, 0, 0] / 255 - 0.45) / 0.225)


def test_counts_of_the_published_networks() -> None:
    assert X3D_XSM.parameters(400) == 3_794_274
    assert X3D_L.parameters(400) == 6_153_384
    assert X3DArchitecture(shortcut_bn_on_stride=True).parameters(400) == 3_794_322
    sizes = {net.name: net.clip_multiply_adds / 1e9 for net in X3D_NETWORKS}
    # The paper's, and for L the publishers'.
    assert sizes == pytest.approx(
        {"x3d_xs": 0.6, "x3d_s": 1.96, "x3d_m": 4.73, "x3d_l": 18.37}, 0.01
    )


def test_counts_agree_with_the_module(clip: Tensor) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    net = _net(bn_lin5=True)
    shape = X3DArchitecture(8, (8, 16, 16, 24), (1, 2, 1, 2), head_dim=32, bn_lin5=True)
    assert shape.parameters() == sum(p.numel() for p in net.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(clip[:1, :, :, :30, :])
    assert counter.get_total_flops() == 2 * shape.multiply_adds(4, 30, 32)


@pytest.mark.parametrize(
    ("width", "factor", "rounded"), [(12, 2.0, 24), (54, 0.0625, 8), (432, 0.0625, 32), (19, 1, 24)]
)
def test_widths_are_rounded_to_eights(width: int, factor: float, rounded: int) -> None:
    assert round_width(width, factor) == rounded
