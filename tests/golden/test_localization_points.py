"""SnapFormer against the published network: heat, loss, and peaks in its own units."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.localization.detection.peaks import peaks
from actionspace.localization.learning.assign import collect
from actionspace.localization.learning.heatmap import HeatmapLoss
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.padding import padded_length
from actionspace.localization.network.snapformer import HeatmapHead, SnapFormer
from tests.golden.actionformer import model_config, pad, tensors
from tests.golden.tal import Case, cases


def config_of(case: Case, **changes: Any) -> ModelConfig:
    given = model_config(case.entry["config"])
    return given.model_copy(update={"head": "points"} | changes)


def network(case: Case) -> SnapFormer:
    made = SnapFormer(config_of(case), case.entry["config"]["model"]["input_dim"], classes=1)
    made.load_state_dict(tensors(case.folder, case.entry["weights"]))
    return made.eval()


def of_points(kind: str) -> list[Any]:
    found = [c for c in cases(kind) if c.entry["config"].get("model_name") == "SnapFormer"]
    return [pytest.param(case, id=f"tal-{case.id}") for case in found]


@pytest.mark.parametrize("case", of_points("fork_full_eval"))
def test_peaks_are_the_published_ones(case: Case) -> None:
    made, io = network(case), tensors(case.folder, case.entry["io"])
    least = case.entry["config"]["test_cfg"]["min_score"]
    for run in case.entry["runs"]:
        features = io[f"{run['prefix']}feats"]
        batch = pad([features], padded_length(made.config, features.shape[1]))
        with torch.no_grad():
            [found] = peaks(made(*batch), min_score=least, refine=False)
        found = found.at(found.segments[:, 0].argsort())  # theirs come by time
        for name in ("segments", "scores", "labels"):
            theirs = io[f"{run['prefix']}{name}"]
            torch.testing.assert_close(
                getattr(found, name), theirs, atol=case.entry["atol"], rtol=0, msg=name
            )


@pytest.mark.parametrize("case", of_points("snapformer_train"))
def test_heat_and_loss_are_the_published_ones(case: Case) -> None:
    made, io = network(case), tensors(case.folder, case.entry["io"])
    names = sorted(key.split(".")[0] for key in io if key.endswith(".feats"))
    segments = [io[f"{name}.segments"] for name in names]
    truth = collect(segments, [torch.zeros(len(part), dtype=torch.int64) for part in segments])
    rows = case.entry["config"]["model"]["max_seq_len"]
    said = made(*pad([io[f"{name}.feats"] for name in names], rows))
    loss = HeatmapLoss(made.config)
    targets = loss.targets(said.points, truth, 1)
    for level, heat in enumerate(torch.split(targets.heat, list(said.sizes), 1)):
        torch.testing.assert_close(heat.mT, io[f"target.{level}"], atol=1e-6, rtol=0)
    total = loss(said, targets)["loss"].reshape(1)
    torch.testing.assert_close(total, io["loss"], rtol=1e-5, atol=0)


HEADS = [
    pytest.param(case, id=f"tal-{case.id}")
    for case in cases("heads_fork")
    if any(run["name"] == "heatmap" for run in case.entry["runs"])
]


@pytest.mark.parametrize("case", HEADS)
def test_the_head_is_the_published_one(case: Case) -> None:
    from actionspace.localization.network.heads import drop_gaps, line_up

    io = tensors(case.folder, case.entry["io"])
    levels = [io[f"x.{i}"].mT for i in range(3)]
    masks = [io[f"mask.{i}"].squeeze(1).bool() for i in range(3)]
    width = int(io["heatmap.w.head.0.conv.weight"].shape[0])
    given = {"embed_dim": levels[0].shape[-1], "neck_dim": levels[0].shape[-1], "heads": 4}
    config = ModelConfig(head="points", head_dim=width, windows=-1, **given)
    head = HeatmapHead(config, classes=1)
    weights = {k: v for k, v in io.items() if k.startswith("heatmap.w.")}
    head.load_state_dict({k.removeprefix("heatmap.w."): v for k, v in weights.items()})
    sizes = [level.shape[1] for level in levels]
    with torch.no_grad():
        out = drop_gaps(head(line_up(levels, masks, 1)), sizes, 1)
    for i, part in enumerate(torch.split(out, sizes, 1)):
        torch.testing.assert_close(part.mT, io[f"heatmap.out.{i}"], atol=1e-5, rtol=0)
