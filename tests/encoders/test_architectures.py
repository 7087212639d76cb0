"""Counts by formula against the published table (no torch here)."""

from __future__ import annotations

import pytest

from actionspace.encoders.architectures import (
    BASE,
    BASE_SSV2,
    LARGE,
    SMALL,
    TINY,
    SwinArchitecture,
)


@pytest.mark.parametrize(
    "architecture,backbone,with_head",
    [
        (TINY, 27_850_470, 28_158_070),
        (SMALL, 49_509_078, 49_816_678),
        (BASE, 87_638_984, 88_048_984),
        (LARGE, 196_339_116, 196_953_916),
    ],
)
def test_parameters(architecture: SwinArchitecture, backbone: int, with_head: int) -> None:
    assert architecture.parameters() == backbone
    assert architecture.parameters(400) == with_head


@pytest.mark.parametrize("classes,head", [(12, 12_300), (7, 7_175), (103, 105_575)])
def test_head_parameters(classes: int, head: int) -> None:
    assert BASE.parameters(classes) - BASE.parameters() == head


@pytest.mark.parametrize(
    "architecture,giga", [(TINY, 87.9), (SMALL, 165.9), (BASE, 281.6), (BASE_SSV2, 320.6)]
)
def test_operations(architecture: SwinArchitecture, giga: float) -> None:
    assert architecture.multiply_adds(32, 224, 224) / 1e9 == pytest.approx(giga, rel=0.002)


def test_operations_agree_with_a_count_of_the_running_network() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from actionspace.encoders.swin3d import SwinTransformer3D

    small = SwinArchitecture(8, (2, 1), (1, 2), 0.0, window_size=(2, 3, 3))
    net = SwinTransformer3D(**small.options())
    with torch.device("meta"):
        net = SwinTransformer3D(**small.options())
        clip = torch.zeros(1, 3, 7, 30, 37)
    with FlopCounterMode(display=False) as counter:
        net(clip)
    assert counter.get_total_flops() == 2 * small.multiply_adds(7, 30, 37)
    assert sum(p.numel() for p in net.parameters()) == small.parameters()
