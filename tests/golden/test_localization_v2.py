"""The fork's second transformer, its neck and its heads, in the compat mode, from its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.golden.actionformer import model_config, pad, switches
from tests.golden.tal import Case, cases, runs

PARTS = runs("blocks_v2")
BACKBONES, NECKS = cases("backbone_v2", "weights"), cases("neck_cs_fpn", "weights")
HEADS = [(case, run) for case, run in runs("heads_fork") if "_v2_" in run["name"]]
NETWORKS = [
    (case, run)
    for case in cases("fork_full_eval", "weights")
    if case.entry["config"]["model"]["backbone_type"] == "convTransformerv2"
    for run in case.entry["runs"]
]
Record = Callable[[str, object], None]


def _tensors(case: Case, key: str = "io") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(case.file(key))


def _part(io: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in io.items() if k.startswith(prefix)}


def _ids(found: list[tuple[Case, dict[str, Any]]]) -> list[str]:
    return [f"tal-{case.id}-{run.get('name') or run['prefix']}" for case, run in found]


def _close(got: Any, expected: Any, record: Record, atol: float = 1e-5) -> None:
    import torch

    torch.testing.assert_close(got, expected, rtol=1e-4, atol=atol)
    worst = float((got - expected).abs().max())
    record("max_error", worst)
    print(f"max error {worst:.2e}")


@pytest.mark.parametrize(("case", "run"), PARTS, ids=_ids(PARTS))
def test_parts(case: Case, run: dict[str, Any], record_property: Record) -> None:
    """Norms, hidden layer and attention, each by itself."""
    import torch

    from actionspace.localization.network.attention import Attention
    from actionspace.localization.network.layers import ChannelNorm, RMSNorm, SwiGLU
    from actionspace.localization.network.switches import Switches

    io, name = _tensors(case), run["name"]
    x, mask, weights = io["x"].mT, io["mask"].bool().squeeze(1), _part(io, f"{name}.w.")
    channels = x.shape[-1]
    part: torch.nn.Module
    if name.startswith("swiglu"):
        part = SwiGLU(channels, len(weights["w1.bias"]) if "_h" in name else None)
    elif "norm" in name and "n_head" not in run:
        part = (RMSNorm if "rms" in name else ChannelNorm)(channels)
    else:
        rotary = "rope.inv_freq" in weights
        made = Switches(
            rope_base=10_000.0 if rotary else None,
            kv_heads=run.get("n_kv_head"),
            fused=run.get("use_flash_attn", True),
            convs=False,
        )
        part = Attention(channels, run["n_head"], switches=made)
        if rotary:
            assert torch.equal(part.state_dict()["rope.inv_freq"], weights["rope.inv_freq"])
    part.load_state_dict(weights)
    with torch.no_grad():
        out = part(x, mask)[0] if isinstance(part, Attention) else part(x)
    _close(out.mT, io[f"{name}.out"], record_property)


@pytest.mark.parametrize("case", BACKBONES, ids=lambda case: f"tal-{case.id}")
def test_backbone(case: Case, record_property: Record) -> None:
    """Every level, also of videos longer than those in training."""
    import torch

    from actionspace.localization.network.backbone import Backbone
    from actionspace.localization.network.config import ModelConfig

    io, theirs = _tensors(case), case.entry["args"]
    convs, stem, branch = theirs["arch"]
    dims, embed = theirs["n_in"], theirs["n_embd"]
    width = sum(embed) if isinstance(embed, list) else embed
    config = ModelConfig(
        backbone="transformer_v2",
        v2=switches(theirs),
        input_split=dims if isinstance(dims, list) else (),
        embed_dim=embed,
        embed_layers=convs,
        embed_kernel=theirs["n_embd_ks"],
        embed_norm=theirs["with_ln"],
        stem_blocks=stem,
        branch_blocks=branch,
        scale_factor=theirs.get("scale_factor", 2),
        heads=theirs["n_head"],
        hidden_dim=theirs.get("n_hidden"),
        windows=theirs["mha_win_size"],
        absolute_positions=theirs.get("use_abs_pe", False),
        drop_path=theirs["path_pdrop"],
        neck_dim=width,
        max_length=theirs["max_len"],
        regression_ranges=[(0, 10_000)] * (1 + branch),
    )
    backbone = Backbone(config, sum(dims) if isinstance(dims, list) else dims).eval()
    backbone.load_state_dict(_tensors(case, "weights"))
    for prefix in sorted({key.split(".")[0] for key in io}):
        with torch.no_grad():
            levels, masks = backbone(io[f"{prefix}.x"].mT, io[f"{prefix}.mask"].bool().squeeze(1))
        for i, (level, mask) in enumerate(zip(levels, masks, strict=True)):
            assert torch.equal(mask, io[f"{prefix}.mask.{i}"].bool().squeeze(1))
            _close(level.mT, io[f"{prefix}.feat.{i}"], record_property, case.entry["atol"])


@pytest.mark.parametrize("case", NECKS, ids=lambda case: f"tal-{case.id}")
def test_neck(case: Case, record_property: Record) -> None:
    import torch

    from actionspace.localization.network.config import ModelConfig
    from actionspace.localization.network.necks import create_neck

    io, theirs = _tensors(case), case.entry["args"]
    widths, first = theirs["in_channels"], theirs.get("start_level", 0)
    config = ModelConfig(
        backbone="conv",
        neck="cs_fpn",
        embed_dim=widths[0],
        branch_blocks=len(widths) - 1,
        scale_factor=theirs.get("scale_factor", 2),
        neck_dim=theirs["out_channel"],
        neck_norm=theirs["with_ln"],
        first_level=first,
        regression_ranges=[(0, 10_000)] * (len(widths) - first),
        max_length=512,
    )
    neck = create_neck(config)
    neck.load_state_dict(_tensors(case, "weights"))
    levels = [io[f"x.{i}"].mT for i in range(len(widths))]
    masks = [io[f"mask.{i}"].bool().squeeze(1) for i in range(len(widths))]
    with torch.no_grad():
        out = neck(levels, masks)
    for i, level in enumerate(out):
        _close(level.mT, io[f"out.{i}"], record_property, case.entry["atol"])


@pytest.mark.parametrize(("case", "run"), HEADS, ids=_ids(HEADS))
def test_heads(case: Case, run: dict[str, Any], record_property: Record) -> None:
    """Heads with skip connections: logits or distances of every level."""
    import torch

    from actionspace.localization.network.config import ModelConfig
    from actionspace.localization.network.heads import (
        ClassHead,
        RegressionHead,
        drop_gaps,
        line_up,
    )

    io, name = _tensors(case), run["name"]
    weights = _part(io, f"{name}.w.")
    levels = [io[f"x.{i}"].mT for i in range(sum(k.startswith("x.") for k in io))]
    masks = [io[f"mask.{i}"].bool().squeeze(1) for i in range(len(levels))]
    first, inner = weights["input_proj.conv.weight"], weights["head.0.conv.weight"]
    config = ModelConfig(
        backbone="conv",
        head_skip=True,
        embed_dim=first.shape[1],
        neck_dim=first.shape[1],
        head_dim=first.shape[0],
        head_kernel=inner.shape[2],
        head_layers=1 + sum(k.startswith("head.") and k.endswith("weight") for k in weights),
        head_norm="norm.0.weight" in weights,
        branch_blocks=len(levels) - 1,
        regression_ranges=[(0, 10_000)] * len(levels),
        max_length=512,
    )
    gap, sizes = config.head_kernel // 2, [level.shape[1] for level in levels]
    row = line_up(levels, masks, gap)
    with torch.no_grad():
        if "offset_head.conv.weight" in weights:
            regression = RegressionHead(config)
            regression.load_state_dict(weights)
            out = regression(row, sizes, gap).offsets
        else:
            classes = ClassHead(config, len(weights["cls_head.conv.bias"]))
            classes.load_state_dict(weights)
            out = drop_gaps(classes(row), sizes, gap)
    expected = torch.cat([io[f"{name}.out.{i}"].mT for i in range(len(levels))], dim=1)
    _close(out, expected, record_property)


@pytest.mark.parametrize(("case", "run"), NETWORKS, ids=_ids(NETWORKS))
def test_network(case: Case, run: dict[str, Any], record_property: Record) -> None:
    """Detections in seconds of every video, with a temperature and DIoU suppression."""
    import torch

    from actionspace.events.nms_videos import Detections, NmsOptions, cut_to_video, suppress
    from actionspace.localization.detection.decode import decode
    from actionspace.localization.network.create import create_network
    from actionspace.localization.network.keys import network_state
    from actionspace.localization.network.padding import padded_length

    config, io, test = case.entry["config"], _tensors(case), case.entry["config"]["test_cfg"]
    theirs = config["model"]
    network = create_network(model_config(config), theirs["input_dim"], theirs["num_classes"])
    network.load_state_dict(network_state(_tensors(case, "weights")))
    features = io[f"{run['prefix']}feats"]
    with torch.no_grad():
        said = network.eval()(*pad([features], padded_length(network.config, run["T"])))
    found = decode(
        said,
        min_score=test["pre_nms_thresh"],
        most=test["pre_nms_topk"],
        min_length=test["duration_thresh"],
        temperature=test.get("score_temperature", 1.0),
    )
    sigmas = test.get("class_sigma") or {}
    options = NmsOptions(
        method="diou_in_order" if test.get("use_diou_nms") else test["nms_method"],
        iou_threshold=test["iou_threshold"],
        min_score=test["min_score"],
        max_segments=test["max_seg_num"],
        sigma=test["nms_sigma"],
        multiclass=test["multiclass_nms"],
        voting_threshold=test["voting_thresh"],
        class_sigma={int(label): sigma for label, sigma in sigmas.items()},
    )
    (kept,) = suppress(found, options)
    step, half = run["feat_stride"] / run["fps"], 0.5 * run["feat_num_frames"] / run["fps"]
    kept = cut_to_video(
        Detections(kept.segments * step + half, kept.scores, kept.labels), run["duration"]
    )
    assert len(kept) == run["n"]
    expected = {k: io[f"{run['prefix']}{k}"] for k in ("segments", "scores", "labels")}
    assert torch.equal(kept.labels, expected["labels"])
    _close(kept.scores, expected["scores"], record_property, case.entry["atol"])
    _close(kept.segments, expected["segments"], record_property, case.entry["atol"])


def test_cases_are_here() -> None:
    """A clone has at least one case of each kind."""
    if not cases("fork_full_eval"):
        pytest.skip("no golden/tal fork cases here")
    assert PARTS and BACKBONES and NECKS and HEADS and NETWORKS
