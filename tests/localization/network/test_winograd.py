"""The fast convolution against the definition, values and gradients."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from actionspace.localization.network.winograd import convolve_three


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 21),
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    biased=st.booleans(),
)
def test_values_and_gradients(
    batch: int, time: int, inputs: int, outputs: int, biased: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, time, inputs, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outputs, inputs, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(outputs, dtype=torch.float64, requires_grad=True) if biased else None
    leaves = [leaf for leaf in (x, weight, bias) if leaf is not None]
    got = convolve_three(x, weight, bias)
    expected = functional.conv1d(x.mT, weight, bias, padding=1).mT
    torch.testing.assert_close(got, expected)
    outward = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(got, leaves, outward),
        torch.autograd.grad(expected, leaves, outward),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_rounding() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 64, 256), torch.randn(256, 256, 3) / 768**0.5
    exact = functional.conv1d(x.mT.double(), weight.double(), padding=1).mT
    assert (convolve_three(x, weight, None) - exact).abs().max() < 2e-5
