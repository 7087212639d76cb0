"""Layers on [batch, time, channels] against their channels-first definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from actionspace.localization.network.layers import (
    AffineDropPath,
    ChannelNorm,
    MaskedConv1d,
    Pointwise,
    RMSNorm,
    Scale,
    SwiGLU,
    convolve,
    drop_path,
    norm,
)


@pytest.mark.parametrize(("stride", "kernel", "groups"), [(1, 3, 1), (2, 3, 8), (4, 5, 8)])
def test_masked_convolution_masks_its_output_and_not_its_input(
    stride: int, kernel: int, groups: int
) -> None:
    torch.manual_seed(0)
    conv = MaskedConv1d(8, 8, kernel, stride=stride, groups=groups)
    assert conv.conv.bias is not None and not conv.conv.bias.any()
    x = torch.randn(2, 16, 8)
    mask = torch.arange(16) < torch.tensor([[16], [8]])
    y, coarse = conv(x, mask)
    expected = functional.conv1d(
        x.mT, conv.conv.weight, None, stride, padding=kernel // 2, groups=groups
    ).mT
    assert torch.equal(coarse, mask[:, ::stride])
    torch.testing.assert_close(y, expected * coarse[..., None])
    x[1, 8] += 1  # padded, next to the last valid cell
    if stride == 1:
        assert not torch.equal(conv(x, mask)[0][1, 7], y[1, 7])


def test_channel_norm() -> None:
    torch.manual_seed(0)
    normed = ChannelNorm(5)
    with torch.no_grad():
        normed.weight.normal_()
        normed.bias.normal_()
    x = torch.randn(2, 7, 5)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(normed(x), expected * normed.weight[0, :, 0] + normed.bias[0, :, 0])
    assert isinstance(norm(5, False), torch.nn.Identity)


def test_pointwise_is_a_convolution_of_one_cell() -> None:
    layer = Pointwise(6, 3)
    x = torch.randn(2, 9, 6)
    torch.testing.assert_close(
        layer(x), functional.conv1d(x.mT, layer.weight, layer.bias).mT, rtol=1e-5, atol=1e-6
    )


def test_wide_convolutions_are_the_same_with_and_without_gradients() -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv1d(128, 130, 3, padding=1)
    x = torch.randn(1, 259, 128)
    with torch.no_grad():
        expected = convolve(x, conv)
    got = convolve(x, conv)
    assert not torch.equal(got, expected)  # another way
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_scale_and_drop_path() -> None:
    assert Scale()(torch.ones(3)).tolist() == [1, 1, 1]
    assert isinstance(drop_path(4, 0.0), torch.nn.Identity)
    torch.manual_seed(0)
    layer = AffineDropPath(4, 0.25)
    x = torch.ones(4000, 1, 4)
    assert torch.equal(layer.eval()(x), x * 1e-4)
    y = layer.train()(x)
    assert set(y.flatten().tolist()) == {0.0, y.max().item()}
    assert y.max().item() == pytest.approx(1e-4 / 0.75)
    assert y[:, 0, 0].count_nonzero().item() == pytest.approx(3000, abs=100)
    assert (y[:, 0] == y[:, 0, :1]).all()  # whole samples


def test_rms_norm() -> None:
    torch.manual_seed(0)
    normed = RMSNorm(5)
    with torch.no_grad():
        normed.weight.normal_()
    x = torch.randn(2, 7, 5)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * normed.weight[0, :, 0]
    torch.testing.assert_close(normed(x), expected)
    assert isinstance(norm(5, rms=True), RMSNorm)


def test_gated_layer_and_its_gradients() -> None:
    """They are the same whether anything is learnt or not."""
    torch.manual_seed(0)
    layer = SwiGLU(4, 6).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        quick = layer(x)
    torch.testing.assert_close(layer(x), quick)
    expected = layer.w2(functional.silu(layer.w3(x)) * layer.w1(x))
    torch.testing.assert_close(quick, expected)
    assert torch.autograd.gradcheck(layer, x)
