"""ActionFormer against the original: outputs, losses, gradients, ten training steps, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.golden.actionformer import (
    Case,
    cases,
    layouts,
    loss_config,
    model_config,
    network,
    pad,
    tensors,
)

EVALUATIONS, LOSSES = cases("eval_forward"), cases("train_losses")
TRAJECTORIES, LAYOUTS = cases("train_trajectory"), layouts()
Record = Callable[[str, object], None]


class Errors:
    """Collects the largest error, each comparison within its tolerance."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.rtol, self.atol = case["rtol"], case["atol"]
        self.worst = 0.0

    def compare(self, got: Any, expected: Any, what: str = "") -> None:
        import torch

        got = torch.as_tensor(got, dtype=torch.float32)
        expected = torch.as_tensor(expected, dtype=torch.float32)
        if got.numel():
            # Sums of large terms are rounded at their size: logits up to 39 in the case without
            # norms are 2e-5 off float64 in the original, 1e-5 here.
            atol = self.atol * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(
                got, expected, rtol=self.rtol, atol=atol, msg=lambda text: f"{what}: {text}"
            )
            self.worst = max(self.worst, float((got - expected).abs().max()))

    def report(self, name: str, record: Record) -> None:
        record("max_error", self.worst)
        print(f"{name}: max error {self.worst:.2e}")


def _videos(io: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """The videos of a batch, by the names of their tensors."""
    found = []
    while any(name.startswith(start := f"{prefix}v{len(found)}.") for name in io):
        found.append({n.removeprefix(start): v for n, v in io.items() if n.startswith(start)})
    return found


def _without_drops(model: Any) -> Any:
    """The model in training mode, with every probability of dropping 0 but all layers in place."""
    from torch import nn

    from actionspace.localization.network.layers import AffineDropPath

    for module in model.modules():
        if isinstance(module, AffineDropPath):
            module.rate = 0.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.train()


@pytest.mark.parametrize("name", EVALUATIONS)
def test_evaluation(name: str, record_property: Record) -> None:
    """Points, masks, logits, offsets and candidates of every video."""
    import torch

    from actionspace.events.nms_videos import Detections
    from actionspace.localization.detection.decode import decode

    folder, case = EVALUATIONS[name]
    config, io, errors = case["config"], tensors(folder, case["io"]), Errors(case)
    model = network(config).eval()
    model.load_state_dict(tensors(folder, case["weights"]))
    assert model.config.divisor == case["max_div_factor"]
    assert list(model.config.strides) == case["fpn_strides"]
    test = config["test_cfg"]
    for run in case["runs"]:
        expected = {
            key.removeprefix(run["prefix"]): value
            for key, value in io.items()
            if key.startswith(run["prefix"])
        }
        with torch.no_grad():
            said = model(*pad([expected["feats"]], run["padded_len"]))
        for i, level in enumerate(said.levels()):
            assert torch.equal(level.points, expected[f"points.{i}"])
            assert torch.equal(level.mask, expected[f"mask.{i}"].bool())
            errors.compare(level.logits, expected[f"cls_logits.{i}"], f"{run['T']} logits {i}")
            errors.compare(level.offsets, expected[f"offsets.{i}"], f"{run['T']} offsets {i}")
        # From the original's own outputs: of two scores that are all but equal, rounding decides
        # which comes first.
        outputs = said._replace(
            logits=torch.cat([expected[f"cls_logits.{i}"] for i in range(len(said.sizes))], 1),
            offsets=torch.cat([expected[f"offsets.{i}"] for i in range(len(said.sizes))], 1),
        )
        (found,) = decode(
            outputs,
            min_score=test["pre_nms_thresh"],
            most=test["pre_nms_topk"],
            min_length=test["duration_thresh"],
        )
        assert len(found.labels) == run["n_pre"]
        parts = ("segments", "scores", "labels")
        wanted = Detections(*(expected[f"pre_nms.{part}"] for part in parts))
        errors.compare(found.scores, wanted.scores, "scores")
        ours, theirs = _settled(found, wanted.scores), _settled(wanted, wanted.scores)
        assert torch.equal(ours.labels, theirs.labels)
        errors.compare(ours.segments, theirs.segments, "segments")
    errors.report(name, record_property)


def _settled(found: Any, scores: Any) -> Any:
    """The candidates with those of equal score in a fixed order; the original's sort has none."""
    import numpy as np

    run = np.cumsum(np.diff(scores.numpy(), prepend=0) != 0)
    begin, end = found.segments.numpy().round(3).T
    order = np.lexsort((end, begin, found.labels.numpy(), run))
    return found.at(order)


def _targets(model: Any, config: Any, videos: list[dict[str, Any]]) -> Any:
    import torch

    from actionspace.localization.learning.assign import assign, collect
    from actionspace.localization.network.points import pyramid_points

    points = pyramid_points(model.config, model.config.max_length, torch.device("cpu"))
    truth = collect([v["segments"] for v in videos], [v["labels"] for v in videos])
    return assign(points, truth, model.cls_head.cls_head.conv.out_channels, config)


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(
    name: str, fast: bool, record_property: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets, losses, the normaliser and every gradient, batch after batch.

    ``fast`` is what wide networks do on a CPU: distances at learnt points only, and convolutions by
    minimal filtering.
    """
    import torch

    from actionspace.localization.learning.losses import LocalizationLoss
    from actionspace.localization.network import layers

    if fast:
        monkeypatch.setattr(layers, "WIDE", 1)
        monkeypatch.setattr(layers, "LONG", 1)
    folder, case = LOSSES[name]
    config, io, errors = case["config"], tensors(folder, case["io"]), Errors(case)
    model = _without_drops(network(config))
    model.load_state_dict(tensors(folder, case["weights"]))
    criterion = LocalizationLoss(loss_config(config["train_cfg"]))
    for batch in case["batches"]:
        videos = _videos(io, batch["prefix"])
        assert len(videos) == batch["n_videos"]
        features, mask = pad([v["feats"] for v in videos], model.config.max_length)
        targets = _targets(model, criterion.config, videos)
        said = model(features, mask, targets.learnt if fast else None)
        for video, classes, offsets in zip(videos, *targets, strict=True):
            assert torch.equal(classes, video["cls_targets"])
            learnt = classes.sum(-1) > 0
            errors.compare(offsets[learnt], video["reg_targets"][learnt], "regression targets")
        losses = criterion(said, targets)
        errors.compare(losses["loss"].detach(), batch["final_loss"], "loss")
        errors.compare(losses["class_loss"].detach(), batch["cls_loss"], "class loss")
        errors.compare(losses["regression_loss"].detach(), batch["reg_loss"], "regression loss")
        errors.compare(criterion.normalizer, batch["loss_normalizer_after"], "normaliser")
        model.zero_grad()
        losses["loss"].backward()
        gradients = _part(io, f"{batch['prefix']}grad.")
        for key, parameter in model.named_parameters():
            if key in gradients:
                errors.compare(parameter.grad, gradients.pop(key), key)
        assert not gradients
    errors.report(name, record_property)


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_ten_steps(name: str, record_property: Record) -> None:
    """Losses, rates, gradient norms, weights and their average, through the trainer's parts."""
    import torch

    from actionspace.localization.learning.losses import LocalizationLoss
    from actionspace.training.ema import EMA
    from actionspace.training.optimizers import OptimizerConfig, build_optimizer
    from actionspace.training.schedules import lr_at

    folder, case = TRAJECTORIES[name]
    config, io, errors, opt = case["config"], tensors(folder, case["io"]), Errors(case), case["opt"]
    model = _without_drops(network(config))
    model.load_state_dict(_part(io, "init."))
    criterion = LocalizationLoss(loss_config(config["train_cfg"]))
    optimizer = build_optimizer(
        model, OptimizerConfig(lr=opt["learning_rate"], weight_decay=opt["weight_decay"])
    )
    groups = {group["weight_decay"]: group["names"] for group in optimizer.param_groups}
    assert groups == {group["weight_decay"]: group["names"] for group in case["param_groups"]}
    average = EMA(model, case["ema_decay"])
    for step in case["steps"]:
        videos = _videos(io, f"b{step['step'] % 2}.")
        rate = lr_at(_schedule(opt), opt["learning_rate"], **_when(step["step"], opt))
        assert rate == pytest.approx(step["lr_used"], rel=1e-5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        features, mask = pad([v["feats"] for v in videos], model.config.max_length)
        targets = _targets(model, criterion.config, videos)
        losses = criterion(model(features, mask, targets.learnt), targets)
        optimizer.zero_grad()
        losses["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), case["clip_grad_l2norm"])
        optimizer.step()
        average.update()
        errors.compare(norm, step["grad_norm"], "gradient norm")
        errors.compare(criterion.normalizer, step["loss_normalizer"], "normaliser")
        for ours, theirs in (("loss", "final"), ("class_loss", "cls"), ("regression_loss", "reg")):
            errors.compare(losses[ours].detach(), step[f"{theirs}_loss"], ours)
    for prefix, state in (("final.", model.state_dict()), ("ema.", average.state_dict())):
        expected = _part(io, prefix)
        assert set(state) == set(expected)
        for key, value in expected.items():
            errors.compare(state[key], value, prefix + key)
    errors.report(name, record_property)


def _part(io: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): v for n, v in io.items() if n.startswith(prefix)}


def _schedule(opt: dict[str, Any]) -> Any:
    from actionspace.training.schedules import ScheduleConfig

    steps = opt["schedule_type"] == "multistep"
    return ScheduleConfig(
        name="step" if steps else "cosine",
        milestones=tuple(opt["schedule_steps"]) if steps else (),
        gamma=opt["schedule_gamma"],
        final=1e-8 / opt["learning_rate"],
        warmup_epochs=opt["warmup_epochs"],
        warmup_inclusive=True,
    )


def _when(step: int, opt: dict[str, Any]) -> dict[str, int]:
    epoch, within = divmod(step, opt["iters_per_epoch"])
    return {
        "epoch": epoch,
        "step": within,
        "steps_per_epoch": opt["iters_per_epoch"],
        "epochs": opt["epochs"] + opt["warmup_epochs"],
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys(name: str) -> None:
    """Names and shapes of every published configuration's weights, and their number."""
    import torch

    layout = LAYOUTS[name]
    with torch.device("meta"):
        model = network(layout["resolved_config"])
    ours = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert ours == {key: shape for key, shape, _ in layout["keys"]}
    assert sum(p.numel() for p in model.parameters()) == layout["n_params"]
    config = model_config(layout["resolved_config"])
    assert config.divisor == layout["max_div_factor"]
    assert list(config.strides) == layout["fpn_strides"]


def test_cases_are_here() -> None:
    """A clone has at least one case of each kind."""
    found: list[dict[str, Case] | dict[str, Any]] = [EVALUATIONS, LOSSES, TRAJECTORIES, LAYOUTS]
    if not any(found):
        pytest.skip("no golden/tal model cases here")
    assert all(found)
