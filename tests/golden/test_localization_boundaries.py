"""TBTFormer against the published fork: its head, its loss, and whole networks in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.golden.actionformer import model_config, pad
from tests.golden.tal import Case, cases

HEADS = [
    (case, run["name"])
    for case in cases("heads_fork")
    for run in case.entry["runs"]
    if run["name"].startswith("bdr_")
]
NETWORKS = [
    (case, run)
    for case in cases("fork_full_eval", "weights")
    if case.entry["config"].get("model_name") == "TBTFormer"
    for run in case.entry["runs"]
]
LOSSES = cases("loss_functions")
Record = Callable[[str, object], None]


def _tensors(case: Case, key: str = "io") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(case.file(key))


def _closeness(got: Any, expected: Any, atol: float, record: Record) -> None:
    import torch

    torch.testing.assert_close(got, expected, rtol=1e-4, atol=atol)
    worst = float((got - expected).abs().max())
    record("max_error", worst)
    print(f"max error {worst:.2e}")


@pytest.mark.parametrize(("case", "name"), HEADS, ids=[f"tal-{name}" for _, name in HEADS])
def test_head(case: Case, name: str, record_property: Record) -> None:
    """Distributions and distances of every level, from the fork's weights by their names."""
    import torch

    from actionspace.localization.network.boundaries import BoundaryHead
    from actionspace.localization.network.config import ModelConfig
    from actionspace.localization.network.heads import line_up

    io = _tensors(case)
    weights = {k.removeprefix(f"{name}.w."): v for k, v in io.items() if k.startswith(f"{name}.w.")}
    levels = [io[f"x.{i}"].mT for i in range(sum(k.startswith("x.") for k in io))]
    masks = [io[f"mask.{i}"].bool().squeeze(1) for i in range(len(levels))]
    first = weights["head.0.conv.weight"]
    config = ModelConfig.model_validate(
        {
            "head": "boundaries",
            "boundaries": {"bins": len(weights["bins"]) - 1, "compat": True},
            "embed_dim": first.shape[1],
            "heads": 1,
            "neck_dim": first.shape[1],
            "head_dim": first.shape[0],
            "head_kernel": first.shape[2],
            "head_layers": 1 + sum(k.startswith("head.") and k.endswith("weight") for k in weights),
            "head_norm": "norm.0.weight" in weights,
            "branch_blocks": len(levels) - 1,
            "regression_ranges": [[0, 10_000]] * len(levels),
            "windows": -1,
        }
    )
    head = BoundaryHead(config)
    head.load_state_dict(weights)
    gap, sizes = config.head_kernel // 2, [level.shape[1] for level in levels]
    with torch.no_grad():
        said = head(line_up(levels, masks, gap), sizes, gap)
    assert said.bins is not None
    dists = torch.cat([io[f"{name}.dists.{i}"] for i in range(len(levels))], dim=1)
    offsets = torch.cat([io[f"{name}.offsets.{i}"].mT for i in range(len(levels))], dim=1)
    _closeness(said.bins, dists, 1e-5, record_property)
    _closeness(said.offsets, offsets, 1e-5, record_property)


@pytest.mark.parametrize(
    ("case", "run"), NETWORKS, ids=[f"tal-{case.id}-{run['prefix']}" for case, run in NETWORKS]
)
def test_network(case: Case, run: dict[str, Any], record_property: Record) -> None:
    """Detections in seconds of every video, through our own network, decoding and suppression."""
    import torch

    from actionspace.events.nms_videos import Detections, cut_to_video, suppress
    from actionspace.localization.detection.decode import decode
    from actionspace.localization.network.create import create_network
    from actionspace.localization.network.padding import padded_length

    config, io, test = case.entry["config"], _tensors(case), case.entry["config"]["test_cfg"]
    made = model_config(config).model_dump() | {
        "head": "boundaries",
        "boundaries": {"bins": config["model"]["reg_max"], "compat": True},
    }
    dim, classes = config["model"]["input_dim"], config["model"]["num_classes"]
    network = create_network(type(model_config(config)).model_validate(made), dim, classes).eval()
    network.load_state_dict(_tensors(case, "weights"))
    features = io[f"{run['prefix']}feats"]
    with torch.no_grad():
        said = network(*pad([features], padded_length(network.config, run["T"])))
    found = decode(
        said,
        min_score=test["pre_nms_thresh"],
        most=test["pre_nms_topk"],
        min_length=test["duration_thresh"],
    )
    (kept,) = suppress(found, _options(test))
    step, half = run["feat_stride"] / run["fps"], 0.5 * run["feat_num_frames"] / run["fps"]
    kept = cut_to_video(
        Detections(kept.segments * step + half, kept.scores, kept.labels), run["duration"]
    )
    assert len(kept) == run["n"]
    expected = {k: io[f"{run['prefix']}{k}"] for k in ("segments", "scores", "labels")}
    assert torch.equal(kept.labels, expected["labels"])
    _closeness(kept.scores, expected["scores"], case.entry["atol"], record_property)
    _closeness(kept.segments, expected["segments"], case.entry["atol"], record_property)


def _options(test: dict[str, Any]) -> Any:
    from actionspace.events.nms_videos import NmsOptions

    return NmsOptions(
        method=test["nms_method"],
        iou_threshold=test["iou_threshold"],
        min_score=test["min_score"],
        max_segments=test["max_seg_num"],
        sigma=test["nms_sigma"],
        multiclass=test["multiclass_nms"],
        voting_threshold=test["voting_thresh"],
    )


@pytest.mark.parametrize("case", LOSSES, ids=[f"tal-{case.id}" for case in LOSSES])
def test_loss(case: Case, record_property: Record) -> None:
    """Distribution focal loss of single distances, and the mean of a distribution."""
    import torch

    from actionspace.localization.learning.boundary_losses import distribution_focal_loss

    io = _tensors(case)
    logits, target = io["dist_logits"], io["dist_target"]
    _closeness(distribution_focal_loss(logits, target), io["dfl"], 1e-5, record_property)
    mean = logits.softmax(-1) @ torch.arange(logits.shape[-1], dtype=torch.float32)
    _closeness(mean, io["decode"], 1e-5, record_property)
