"""What is particular to ResNets, SlowFast and Inception-I3D; the rest is in test_every_encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from actionspace.encoders.inception_i3d import InceptionI3D, MaxPool, Unit, pad_same
from actionspace.encoders.resnet3d import Bottleneck, ResNet3D
from actionspace.encoders.slowfast import SlowFast
from actionspace.errors import UsageError

TINY: dict[str, Any] = {"width": 16, "depths": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    "frames,alpha,expected",
    [
        (32, 4, [0, 4, 8, 13, 17, 22, 26, 31]),
        (32, 8, [0, 10, 20, 31]),
        (8, 4, [0, 7]),
        (9, 4, [0, 4, 8]),
        (3, 4, [0]),
        (1, 4, [0]),
    ],
)
def test_slow_pathway_frames(frames: int, alpha: int, expected: list[int]) -> None:
    clip = torch.arange(frames).view(1, 1, frames, 1, 1)
    assert SlowFast(**TINY, alpha=alpha).slow_clip(clip).flatten().tolist() == expected


@pytest.mark.parametrize("frames", [1, 3, 8, 9, 16])
def test_slowfast_takes_any_length(frames: int) -> None:
    net = SlowFast(**TINY).eval()
    clip = torch.randn(1, 3, frames, 33, 40)
    kept = clip.clone()
    with torch.no_grad():
        assert net(clip).shape == (1, net.dim, -(-frames // 4), 2, 2)
    assert torch.equal(clip, kept)


def test_slowfast_fast_features_are_means_of_their_frames() -> None:
    net = SlowFast(**TINY).eval()
    slow, fast = torch.zeros(1, 512, 2, 1, 1), torch.arange(8.0).view(1, 1, 8, 1, 1)
    joined = net._join(slow, fast)
    assert joined[0, 512:].flatten().tolist() == [1.5, 5.5]
    joined = net._join(torch.zeros(1, 512, 2, 1, 1), fast[:, :, :5])
    assert joined[0, 512:].flatten().tolist() == [1.0, 3.0]


def test_sliding_pool_is_the_global_mean_at_the_published_size() -> None:
    x = torch.randn(1, 3, 8, 64, 64)
    for make, window in ((ResNet3D, (8, 2, 2)), (SlowFast, (2, 2, 2))):
        torch.manual_seed(0)
        net = make(**TINY).eval()
        torch.manual_seed(0)
        sliding = make(**TINY, window=window, pool="sliding").eval()
        with torch.no_grad():
            mean = net(x).mean((2, 3, 4))
            torch.testing.assert_close(sliding(x).flatten(1), mean, atol=1e-5, rtol=1e-4)
            assert sliding(torch.randn(1, 3, 8, 96, 64)).shape[2:] == (1, 2, 1)


def test_sliding_pool_refuses_what_it_cannot_pool() -> None:
    x = torch.randn(1, 3, 8, 64, 64)
    with pytest.raises(UsageError, match=r"pools \[8, 7, 7\].*leave \[8, 2, 2\].*pool='global'"):
        ResNet3D(**TINY, pool="sliding")(x)
    with pytest.raises(UsageError, match="expected 'global' or 'sliding'"):
        SlowFast(**TINY, pool="window")  # type: ignore[arg-type]
    net = SlowFast(**TINY, window=(2, 2, 2), pool="sliding")
    with pytest.raises(UsageError, match=r"2 steps of the slow and 5 of the fast.*8 frames fit"):
        net(torch.randn(1, 3, 12, 64, 64))


def test_blocks_start_as_their_shortcut() -> None:
    block = Bottleneck(8, 4, 8, frames=3, stride=1).eval()
    x = torch.rand(1, 8, 4, 6, 6)
    assert torch.equal(block(x), x)


def test_halving_time() -> None:
    x = torch.randn(1, 3, 9, 32, 32)
    with torch.no_grad():
        assert ResNet3D(**TINY, halve_time=True)(x).shape[2] == 4
        assert ResNet3D(**TINY)(x).shape[2] == 9


def test_blocks_in_order_of_computation() -> None:
    net = SlowFast(width=16, depths=(1, 2, 1, 1))
    names = {module: name for name, module in net.named_modules()}
    assert [names[block] for block in net.blocks()][:4] == [
        "slow.stages.0.0",
        "fast.stages.0.0",
        "slow.stages.1.0",
        "fast.stages.1.0",
    ]
    assert len(net.blocks()) == sum(isinstance(m, Bottleneck) for m in net.modules()) == 10
    layers = InceptionI3D().blocks()
    assert len(layers) == 12 and all(any(p.numel() for p in m.parameters()) for m in layers)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_same_padding(size: int, kernel: int, stride: int) -> None:
    """A window gives ceil(size / stride) places, and pads one more behind than before at most."""
    kernel = max(kernel, stride)
    x = torch.ones(1, 1, size, size, 1)
    padded = pad_same(x, (kernel, kernel, 1), (stride, stride, 1))
    assert (padded.shape[2] - kernel) // stride + 1 == -(-size // stride)
    inside = padded[0, 0, :, :, 0].sum(dim=1).nonzero().flatten()
    before, behind = int(inside[0]), padded.shape[2] - 1 - int(inside[-1])
    assert behind - before in (0, 1) and padded.sum() == size * size


def test_max_pooling_counts_padding_as_zero() -> None:
    pooled = MaxPool((1, 3, 3), (1, 2, 2))(torch.full((1, 1, 1, 4, 4), -1.0))
    assert pooled.flatten().tolist() == [-1.0, 0.0, 0.0, 0.0]


def test_inception_norms_are_tensorflows() -> None:
    norms = [m for m in InceptionI3D().modules() if isinstance(m, nn.BatchNorm3d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}
    assert Unit(3, 4, 7, 2)(torch.zeros(2, 3, 5, 6, 7)).shape == (2, 4, 3, 3, 4)
