"""Blocks, necks, points and the row of levels: what the whole network's tests do not see."""

from __future__ import annotations

import math

import pytest
import torch

from actionspace.localization.network.backbone import Backbone, sinusoids
from actionspace.localization.network.blocks import ConvBlock, TransformerBlock
from actionspace.localization.network.heads import drop_gaps, line_up
from actionspace.localization.network.necks import FPN, IdentityNeck, create_neck
from actionspace.localization.network.points import level_points, pyramid_points
from tests.localization.networks import tiny


def test_shortcut_takes_maxima_of_valid_and_padded_cells() -> None:
    block = TransformerBlock(4, 2, stride=2, path=0.1).eval()
    with torch.no_grad():
        block.drop_path_attn.scale.zero_()
        block.drop_path_mlp.scale.zero_()
    x = -torch.rand(1, 8, 4) - 1
    mask = (torch.arange(8) < 5)[None]
    x = x * mask[..., None]
    out, coarse = block(x, mask)
    assert coarse.tolist() == [[True, True, True, False]]
    assert torch.equal(out[0, 0], x[0, :2].amax(0)) and torch.equal(out[0, 1], x[0, 1:4].amax(0))
    assert not out[0, 2].any()  # its maximum is that of a padded cell, 0


def test_input_dropout_takes_whole_channels_of_a_video_in_training() -> None:
    """Seen through an embedding that passes on what it gets (Dropout1d, as in OpenTAD)."""
    torch.manual_seed(0)
    backbone = Backbone(tiny(input_dropout=0.5), dim=40)
    assert not [name for name in backbone.state_dict() if "drop" in name.split(".")[0]]
    seen: list[torch.Tensor] = []
    backbone.embd[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x, mask = torch.rand(2, 96, 40) + 1, torch.ones(2, 96, dtype=torch.bool)
    backbone.train()(x, mask)
    backbone.eval()(x, mask)
    gone = seen[0][:, 0] == 0
    assert 20 < int(gone.sum()) < 60 and not torch.equal(gone[0], gone[1])
    assert torch.equal(seen[0], torch.where(gone[:, None], 0.0, 2 * x))
    assert torch.equal(seen[1], x)


def test_conv_block() -> None:
    torch.manual_seed(0)
    mask = (torch.arange(8) < 5)[None]
    for stride in (1, 2):
        block = ConvBlock(4, stride=stride)
        assert (block.downsample is None) == (stride == 1)
        out, coarse = block(torch.randn(1, 8, 4) * mask[..., None], mask)
        assert out.shape == (1, 8 // stride, 4) and (out >= 0).all()
        assert not out[~coarse].any()


def test_fpn_adds_coarse_levels_to_finer_ones() -> None:
    config = tiny(neck="fpn", neck_dim=16, first_level=1, regression_ranges=[(0, 9)] * 3)
    neck = FPN(config).eval()
    levels = [torch.zeros(1, n, 16) for n in (32, 16, 8, 4)]
    masks = [torch.ones(1, n, dtype=torch.bool) for n in (32, 16, 8, 4)]
    before = neck(levels, masks)
    levels[3] = torch.randn(1, 4, 16)
    after = neck(levels, masks)
    assert [level.shape[1] for level in after] == [16, 8, 4]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_cross_scale_fpn_leads_both_ways(scale: int) -> None:
    """What a level knows reaches all others; ``fpn`` leads from coarse to fine only."""
    ranges = [(0, 9)] * 3
    sizes = [32 * scale**2, 32 * scale, 32]
    for kind, reached in (("fpn", [True, False, False]), ("cs_fpn", [True] * 3)):
        config = tiny(
            neck=kind, scale_factor=scale, branch_blocks=2, max_length=512, regression_ranges=ranges
        )
        neck = create_neck(config).eval()
        levels = [torch.randn(1, n, 16) for n in sizes]
        masks = [torch.ones(1, n, dtype=torch.bool) for n in sizes]
        before = neck(levels, masks)
        assert [level.shape[1] for level in before] == sizes
        after = neck([levels[0] + torch.randn(16), *levels[1:]], masks)
        changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert changed == reached


def test_identity_neck_without_norms() -> None:
    levels = [torch.randn(1, n, 16) for n in (8, 4, 2, 1)]
    out = IdentityNeck(tiny(neck_norm=False))(levels, [])
    assert all(a is b for a, b in zip(out, levels, strict=True))


def test_backbone_levels() -> None:
    backbone = Backbone(tiny(), 6).eval()
    levels, masks = backbone(torch.randn(2, 64, 6), torch.ones(2, 64, dtype=torch.bool))
    assert [level.shape for level in levels] == [(2, 64 // 2**i, 16) for i in range(4)]
    assert [mask.shape[1] for mask in masks] == [64, 32, 16, 8]


def test_sinusoids() -> None:
    table = sinusoids(50, 6)
    assert table[7, 2].item() == pytest.approx(math.sin(7 / 10_000 ** (2 / 6)), rel=1e-7)
    assert table[7, 3].item() == pytest.approx(math.cos(7 / 10_000 ** (2 / 6)), rel=1e-7)


def test_points() -> None:
    config, cpu = tiny(), torch.device("cpu")
    assert level_points(config, 2, 3, cpu).tolist() == [[0, 8, 16, 4], [4, 8, 16, 4], [8, 8, 16, 4]]
    assert pyramid_points(config, 64, cpu).shape == (120, 4)


def test_row_of_levels() -> None:
    levels = [torch.randn(2, n, 3) + 5 for n in (4, 2)]
    masks = [torch.ones(2, n, dtype=torch.bool) for n in (4, 2)]
    row = line_up(levels, masks, 2)
    assert row.x.shape == (2, 12, 3)
    assert row.mask[0].tolist() == [False] * 2 + [True] * 4 + [False] * 2 + [True] * 2 + [False] * 2
    assert torch.equal(row.apart[:, 0].bool(), row.mask[0])
    assert torch.equal(drop_gaps(row.x, [4, 2], 2), torch.cat(levels, 1))
