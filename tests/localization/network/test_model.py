"""The whole network: padding does not show, batches are their videos, compile, bf16, messages."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.localization.network.model import ActionFormer, Predictions
from actionspace.localization.network.padding import batches, padded_length
from tests.localization.networks import CLASSES, DIM, network, pad, tiny

KINDS: dict[str, dict[str, Any]] = {
    "windows": {},
    "mixed_windows": {"windows": [5, 5, 9, -1], "absolute_positions": True, "max_length": 192},
    "relative": {"relative_positions": True},
    "global_fpn": {"windows": -1, "neck": "fpn", "neck_dim": 12, "head_dim": 10},
    "conv": {
        "backbone": "conv",
        "first_level": 1,
        "regression_ranges": [[0, 8], [8, 16], [16, 99]],
    },
    "wide_heads": {"head_kernel": 5, "embed_kernel": 5, "head_layers": 2, "head_norm": False},
    "v2_windows": {"backbone": "transformer_v2", "v2": {"kv_heads": 1, "convs": True}},
    "v2_mixed": {"backbone": "transformer_v2", "windows": [9, 5, -1, -1], "max_length": 128},
    "v2_fork": {"backbone": "transformer_v2", "windows": [-1, 5, 5, 5], "v2": {"compat": "fork"}},
    "skip_heads": {"head_skip": True, "head_layers": 5, "head_dim": 10},
    "cs_fpn": {
        "neck": "cs_fpn",
        "first_level": 1,
        "neck_dim": 12,
        "regression_ranges": [[0, 8], [8, 16], [16, 99]],
    },
    "cs_fpn_coarse": {
        "backbone": "conv",
        "neck": "cs_fpn",
        "scale_factor": 4,
        "branch_blocks": 2,
        "windows": [5, 5, 5],
        "max_length": 128,
        "regression_ranges": [[0, 8], [8, 16], [16, 99]],
    },
    "cs_fpn_flat": {"backbone": "transformer_v2", "neck": "cs_fpn", "scale_factor": 1},
    "two_inputs": {"input_split": [2, 4], "embed_dim": [6, 10], "embed_norm": False},
}


def valid(said: Predictions, video: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and offsets of a video's valid points, level by level."""
    return [
        (lv.logits[video, lv.mask[video]], lv.offsets[video, lv.mask[video]])
        for lv in said.levels()
    ]


def assert_same(one: Predictions, other: Predictions, video: int = 0, place: int = 0) -> None:
    for ours, theirs in zip(valid(one, video), valid(other, place), strict=True):
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(rows=st.integers(1, 96))
def test_least_padding_gives_what_full_padding_gives(kind: str, rows: int) -> None:
    model = network(**KINDS[kind]).eval()
    video = torch.randn(DIM, rows, generator=torch.Generator().manual_seed(rows))
    with torch.no_grad():
        little = model(*pad([video], padded_length(model.config, rows)))
        much = model(*pad([video], model.config.max_length))
    assert_same(little, much)


def test_without_a_spare_cell_padding_shows() -> None:
    model = network().eval()
    video = torch.randn(DIM, 32)
    with torch.no_grad():
        bare, padded = model(*pad([video], 32)), model(*pad([video], 96))
    assert (valid(bare)[0][0] - valid(padded)[0][0]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_videos(kind: str) -> None:
    model = network(**KINDS[kind]).eval()
    rows = [30, 7, 64, 200, 1, 195, 96]
    videos = [torch.randn(DIM, n, generator=torch.Generator().manual_seed(n)) for n in rows]
    for numbers in batches(model.config, rows, 3):
        length = max(padded_length(model.config, rows[i]) for i in numbers)
        with torch.no_grad():
            together = model(*pad([videos[i] for i in numbers], length))
            for place, i in enumerate(numbers):
                alone = model(*pad([videos[i]], padded_length(model.config, rows[i])))
                assert_same(alone, together, 0, place)


def test_outputs() -> None:
    model = network().eval()
    said = model(*pad([torch.randn(DIM, 30), torch.randn(DIM, 11)], 64))
    assert said.sizes == (64, 32, 16, 8)
    assert said.points.shape == (120, 4) and said.mask.shape == (2, 120)
    assert said.logits.shape == (2, 120, CLASSES) and said.offsets.shape == (2, 120, 2)
    assert (said.offsets >= 0).all()
    for level, stride in zip(said.levels(), model.config.strides, strict=True):
        assert level.points[:, 3].unique().tolist() == [stride]
        assert level.mask.sum(1).tolist() == [math.ceil(30 / stride), math.ceil(11 / stride)]
        assert not level.logits[~level.mask].any()


def test_only_learnt_points_need_their_distances() -> None:
    """Values and gradients at the points learnt are those of the whole head."""
    for kind in ("windows", "wide_heads", "conv", "skip_heads"):
        model = network(**KINDS[kind]).train(False)
        features, mask = pad([torch.randn(DIM, 90), torch.randn(DIM, 40)], 96)
        full = model(features, mask)
        learnt = torch.rand(full.mask.shape, generator=torch.Generator().manual_seed(1)) < 0.05
        learnt[0, 0] = learnt[-1, -1] = True
        part = model(features, mask, learnt)
        torch.testing.assert_close(part.offsets[learnt], full.offsets[learnt])
        names, parameters = zip(*model.named_parameters(), strict=True)
        wanted = torch.autograd.grad(full.offsets[learnt].sum(), parameters, allow_unused=True)
        got = torch.autograd.grad(part.offsets[learnt].sum(), parameters, allow_unused=True)
        for name, a, b in zip(names, got, wanted, strict=True):
            assert (a is None) == (b is None), name
            if a is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_nothing_learnt_still_gives_every_parameter_a_gradient() -> None:
    model = network().train()
    features, mask = pad([torch.randn(DIM, 40)], 96)
    nothing = torch.zeros(1, 180, dtype=torch.bool)
    said = model(features, mask, nothing)
    (said.logits.sum() + said.offsets.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_beginning() -> None:
    """Biases are 0, scores the prior, classes that are never seen nearly 0."""
    torch.manual_seed(0)
    model = ActionFormer(tiny(prior=0.05), DIM, CLASSES, empty=[2])
    for name, parameter in model.named_parameters():
        if name.endswith("bias") and name != "cls_head.cls_head.conv.bias":
            assert not parameter.any(), name
    start = model.cls_head.cls_head.conv.bias
    assert start is not None
    assert start.sigmoid().tolist() == pytest.approx([0.05, 0.05, 1e-6, 0.05])
    assert model.backbone.stem[0].drop_path_mlp.scale.unique().tolist() == pytest.approx([1e-4])


def test_no_scales_where_nothing_is_dropped() -> None:
    assert not any("drop_path" in name for name in network(drop_path=0.0).state_dict())


def test_dropout_and_drop_path_are_active_in_training_only() -> None:
    model = network(dropout=0.3, drop_path=0.3)
    batch = pad([torch.randn(DIM, 64)] * 2, 64)
    with torch.no_grad():
        assert not torch.equal(model.train()(*batch).logits, model(*batch).logits)
        assert torch.equal(model.eval()(*batch).logits, model(*batch).logits)


@pytest.mark.parametrize("kind", ["windows", "v2_mixed"])
def test_bfloat16(kind: str) -> None:
    model = network(**KINDS[kind]).eval()
    batch = pad([torch.randn(DIM, 60)], 96)
    with torch.no_grad():
        exact = model(*batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(*batch)
    assert rough.points.dtype == torch.float32
    error = (rough.logits.float() - exact.logits).abs().max() / exact.logits.abs().max()
    assert 0 < error < 0.05


@pytest.mark.parametrize("backbone", ["transformer", "transformer_v2"])
def test_graph_is_whole(backbone: str) -> None:
    """Compiled, the network is one graph."""
    small = {"embed_layers": 1, "stem_blocks": 1, "branch_blocks": 1, "head_layers": 1}
    ranges = {"regression_ranges": [[0, 8], [8, 99]]}
    model = network(backbone=backbone, windows=[5, -1], head_dim=16, **small, **ranges).eval()
    batch = pad([torch.randn(DIM, 60)], 96)
    with torch.no_grad():
        said = torch.compile(model, backend="eager", fullgraph=True)(*batch)
        assert torch.equal(said.logits, model(*batch).logits)


def test_long_videos_stretch_the_positions() -> None:
    model = network(absolute_positions=True).eval()
    with torch.no_grad():
        said = model(*pad([torch.randn(DIM, 200)], padded_length(model.config, 200)))
    assert said.logits.isfinite().all() and said.sizes[0] == 224
    table = model.backbone.pos_embd
    assert table is not None and "backbone.pos_embd" not in model.state_dict()
    torch.testing.assert_close(model.backbone._positions(table, 96), table)


def test_messages() -> None:
    model = network()
    with pytest.raises(UsageError, match="33 rows are not a multiple of 32"):
        model(*pad([torch.randn(DIM, 30)], 33))
    with pytest.raises(UsageError, match=r"adds up to 7, but the features have 6"):
        ActionFormer(tiny(input_split=[3, 4], embed_dim=[8, 8]), 6, CLASSES)
    with pytest.raises(DataError, match="385 rows"):
        padded_length(model.config, 385)
