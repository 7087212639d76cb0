"""TriDet against the original: outputs, candidates, losses, gradients, eight steps, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.golden import tal
from tests.golden.actionformer import pad
from tests.golden.tridet import (
    criterion,
    layouts,
    loss_config,
    model_config,
    network,
    part,
    videos,
    without_chance,
)

Record = Callable[[str, object], None]


def _cases(kind: str) -> list[Any]:
    found = tal.cases(kind, "weights", area="tridet")
    return [pytest.param(case, id=case.id) for case in found]


EVALUATIONS, LOSSES = _cases("eval_forward"), _cases("train_losses")
TRAJECTORIES, LAYOUTS = _cases("train_trajectory"), layouts()
BLOCKS, DECODING = _cases("sgp_block"), _cases("trident_decode")
MIXERS = ("psi", "fc", "convw", "convkw", "global_fc")  # the convolutions that may stay zero


class Errors:
    """Collects the largest error, each comparison within a tolerance."""

    def __init__(self, case: tal.Case) -> None:
        self.rtol, self.atol = case.entry.get("rtol"), case.entry.get("atol", 1e-5)
        self.worst, self.name = 0.0, case.id

    def compare(
        self, got: Any, expected: Any, what: str = "", rtol: float | None = None, atol: float = 0
    ) -> None:
        import torch

        got = torch.as_tensor(got, dtype=torch.float32).detach()
        expected = torch.as_tensor(expected, dtype=torch.float32)
        if got.numel():
            # Sums of large terms are rounded at their size.
            atol = atol or self.atol * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(
                got,
                expected,
                rtol=self.rtol if rtol is None else rtol,
                atol=atol,
                msg=lambda text: f"{what}: {text}",
            )
            self.worst = max(self.worst, float((got - expected).abs().max()))

    def report(self, record: Record) -> None:
        record("max_error", self.worst)
        print(f"{self.name}: max error {self.worst:.2e}")


def _io(case: tal.Case, key: str = "io") -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(case.file(key))


def _everywhere(level: Any) -> Any:
    """The offsets of a level of one video at every point and class, ``[K, T, 2]``."""
    import torch

    points, classes = level.logits.shape[1:]
    video = torch.zeros(classes, points, dtype=torch.int64)
    point = torch.arange(points).expand(classes, -1)
    return level.offsets_at(video, point, torch.arange(classes).unsqueeze(1).expand(-1, points))


def _as_said(said: Any, expected: dict[str, Any]) -> Any:
    """The original's own outputs: rounding would decide which of two equal scores comes first."""
    import torch

    def joined(name: str) -> Any:
        levels = [expected[f"{name}.{i}"] for i in range(len(said.sizes))]
        return torch.cat(
            [x.mT if "_logits" in name and "cls" not in name else x for x in levels], 1
        )

    if "start_logits.0" not in expected:
        return said._replace(logits=joined("cls_logits"), offsets=joined("centre"))
    return said._replace(
        logits=joined("cls_logits"),
        centres=joined("centre").unflatten(-1, (2, -1)),
        begins=joined("start_logits"),
        ends=joined("end_logits"),
    )


@pytest.mark.parametrize("case", EVALUATIONS)
def test_evaluation(case: tal.Case, record_property: Record) -> None:
    """The padded length, masks, points, outputs of all heads, decoded offsets, candidates."""
    import torch

    from actionspace.localization.detection.decode import decode
    from actionspace.localization.network.padding import padded_length

    config, io, errors = case.entry["config"], _io(case), Errors(case)
    model = network(config).eval()
    model.load_state_dict(_io(case, "weights"))
    assert list(model.config.strides) == case.entry["fpn_strides"]
    assert model.config.divisor == case.entry["max_div_factor"]
    for run in case.entry["runs"]:
        expected = part(io, run["prefix"])
        if model.config.backbone == "sgp":  # others give the same with less
            assert padded_length(model.config, run["T"]) == run["padded_len"]
        with torch.no_grad():
            said = model(*pad([expected["feats"]], run["padded_len"]))
        for i, level in enumerate(said.levels()):
            assert torch.equal(level.points, expected[f"points.{i}"])
            assert torch.equal(level.mask, expected[f"mask.{i}"].bool())
            errors.compare(level.logits, expected[f"cls_logits.{i}"], f"{run['T']} logits {i}")
            if model.config.head == "trident":
                centres = level.centres.flatten(-2)
                errors.compare(centres, expected[f"centre.{i}"], f"{run['T']} centre {i}")
                errors.compare(level.begins.mT, expected[f"start_logits.{i}"], "begins")
                errors.compare(level.ends.mT, expected[f"end_logits.{i}"], "ends")
                errors.compare(_everywhere(level), expected[f"decoded.{i}"], f"decoded {i}")
            else:
                errors.compare(level.offsets, expected[f"centre.{i}"], f"{run['T']} offsets {i}")
        test = config["test_cfg"]
        (found,) = decode(
            _as_said(said, expected),
            min_score=test["pre_nms_thresh"],
            most=test["pre_nms_topk"],
            min_length=test["duration_thresh"],
        )
        assert len(found) == run["n_pre"]
        wanted = {n: expected[f"pre_nms.{n}"] for n in ("segments", "scores", "labels")}
        errors.compare(found.scores, wanted["scores"], "scores")
        ours = _settled(found.segments, found.labels, wanted["scores"])
        theirs = _settled(wanted["segments"], wanted["labels"], wanted["scores"])
        assert torch.equal(ours[1], theirs[1])
        errors.compare(ours[0], theirs[0], "segments")
    errors.report(record_property)


def _settled(segments: Any, labels: Any, scores: Any) -> Any:
    """Candidates with those of equal score in a fixed order; the original's sort has none."""
    import numpy as np

    run = np.cumsum(np.diff(np.asarray(scores), prepend=0) != 0)
    begin, end = np.asarray(segments).round(3).T
    order = np.lexsort((end, begin, np.asarray(labels), run))
    return segments[order], labels[order]


@pytest.mark.parametrize("case", EVALUATIONS)
def test_from_candidates_to_seconds(case: tal.Case) -> None:
    from dataclasses import replace

    import numpy as np

    from actionspace.events.nms_videos import Detections, cut_to_video, suppress
    from tests.golden.test_localization_nms import as_sorted_there, options_of

    options = replace(options_of(case), voting_by_overlap=False)
    io, errors = _io(case), Errors(case)
    for run in case.entry["runs"]:
        expected = {k: v.numpy() for k, v in part(io, run["prefix"]).items()}
        names = ("segments", "scores", "labels")
        video = Detections(*(expected[f"pre_nms.{n}"] for n in names))
        if options.method == "hard":
            video = as_sorted_there(video, options.min_score)
        (found,) = suppress([video], options)
        frames = found.segments * run["feat_stride"] + 0.5 * run["feat_num_frames"]
        cut = cut_to_video(
            Detections(frames / run["fps"], found.scores, found.labels), run["duration"]
        )
        errors.compare(cut.scores, expected["post.scores"], "scores")
        ours = _settled(cut.segments, cut.labels, expected["post.scores"])
        theirs = _settled(*(expected[f"post.{n}"] for n in ("segments", "labels", "scores")))
        assert np.array_equal(ours[1], theirs[1])
        errors.compare(ours[0], theirs[0], "segments")


@pytest.mark.parametrize("sparse", [False, True], ids=["all", "learnt"])
@pytest.mark.parametrize("case", LOSSES)
def test_losses(case: tal.Case, sparse: bool, record_property: Record) -> None:
    """Targets, decoded offsets, losses, the normaliser and gradients, batch after batch."""
    import torch

    config, io, errors = case.entry["config"], _io(case), Errors(case)
    model, loss = without_chance(network(config)), criterion(config)
    model.load_state_dict(_io(case, "weights"))
    for batch in case.entry["batches"]:
        shown = list(videos(io, batch["prefix"]))
        assert len(shown) == batch["n_videos"]
        targets = _targets(model, loss, shown)
        for video, classes, offsets in zip(shown, *targets, strict=True):
            assert torch.equal(classes, video["cls_targets"])
            learnt = classes.sum(-1) > 0
            errors.compare(offsets[learnt], video["reg_targets"][learnt], "regression targets")
        features, mask = pad([v["feats"] for v in shown], model.config.max_length)
        said = model(features, mask, targets.learnt if sparse else None)
        pairs = targets.classes.nonzero(as_tuple=True)
        if f"{batch['prefix']}decoded" in io and model.config.head == "trident":
            decoded = io[f"{batch['prefix']}decoded"]
            errors.compare(said.offsets_at(*pairs), decoded[pairs], "decoded")
        losses = loss(said, targets)
        errors.compare(losses["loss"], batch["final_loss"], "loss")
        errors.compare(losses["class_loss"], batch["cls_loss"], "class loss")
        errors.compare(losses["regression_loss"], batch["reg_loss"], "regression loss")
        errors.compare(loss.normalizer, batch["loss_normalizer_after"], "normaliser")
        model.zero_grad()
        losses["loss"].backward()
        gradients = part(io, f"{batch['prefix']}grad.")
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
            if key in gradients:
                errors.compare(parameter.grad, gradients.pop(key), key)
        assert not gradients
    errors.report(record_property)


def _targets(model: Any, loss: Any, shown: list[dict[str, Any]]) -> Any:
    import torch

    from actionspace.localization.learning.assign import collect
    from actionspace.localization.network.points import pyramid_points

    points = pyramid_points(model.config, model.config.max_length, torch.device("cpu"))
    truth = collect([v["segments"] for v in shown], [v["labels"] for v in shown])
    return loss.targets(points, truth, model.cls_head.cls_head.conv.out_channels)


@pytest.mark.parametrize("case", TRAJECTORIES)
def test_eight_steps(case: tal.Case, record_property: Record) -> None:
    """Losses, rates, gradient norms, weights and their average, through the trainer's parts."""
    import torch

    from actionspace.training.ema import EMA
    from actionspace.training.optimizers import OptimizerConfig, build_optimizer
    from actionspace.training.schedules import ScheduleConfig, lr_at

    entry, io, errors = case.entry, _io(case), Errors(case)
    config, opt = entry["config"], entry["opt"]
    model, loss = without_chance(network(config)), criterion(config)
    model.load_state_dict(part(io, "init."))
    without_chance(model)
    lr = opt["learning_rate"]
    optimizer = build_optimizer(model, OptimizerConfig(lr=lr, weight_decay=opt["weight_decay"]))
    groups = {group["weight_decay"]: group["names"] for group in optimizer.param_groups}
    assert groups == {g["weight_decay"]: g["names"] for g in entry["param_groups"]}
    schedule = ScheduleConfig(
        final=opt["eta_min"] / lr, warmup_epochs=opt["warmup_epochs"], warmup_inclusive=True
    )
    average = EMA(model, entry["ema_decay"])
    for step in entry["steps"]:
        epoch, within = divmod(step["step"], opt["iters_per_epoch"])
        rate = lr_at(
            schedule,
            lr,
            epoch=epoch,
            step=within,
            steps_per_epoch=opt["iters_per_epoch"],
            epochs=opt["epochs"] + opt["warmup_epochs"],
        )
        assert rate == pytest.approx(step["lr_used"], rel=1e-5)
        for group in optimizer.param_groups:
            group["lr"] = rate
        shown = list(videos(io, f"b{step['step'] % 2}."))
        targets = _targets(model, loss, shown)
        features, mask = pad([v["feats"] for v in shown], model.config.max_length)
        losses = loss(model(features, mask, targets.learnt), targets)
        optimizer.zero_grad()
        losses["loss"].backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), entry["clip_grad_l2norm"])
        optimizer.step()
        average.update()
        errors.compare(norm, step["grad_norm"], "norm", entry["grad_norm_rtol"])
        errors.compare(loss.normalizer, step["loss_normalizer"], "normaliser", 1e-6)
        for ours, theirs in (("loss", "final"), ("class_loss", "cls"), ("regression_loss", "reg")):
            errors.compare(losses[ours], step[f"{theirs}_loss"], ours, entry["loss_rtol"])
    for prefix, state in (("final.", model.state_dict()), ("ema.", average.state_dict())):
        expected = part(io, prefix)
        assert set(state) == set(expected)
        for key, value in expected.items():
            errors.compare(state[key], value, prefix + key, 0.0, entry["final_atol"])
    blocks = part(dict(model.named_parameters()), "backbone.")
    mixing = [v for k, v in blocks.items() if k.split(".")[-2] in MIXERS]
    assert sum(not bool(v.any()) for v in mixing) == entry["n_sgp_tensors_still_zero"]
    errors.report(record_property)


@pytest.mark.parametrize("case", BLOCKS)
def test_block(case: tal.Case, record_property: Record) -> None:
    """One block: output, mask and the gradients of all that goes in."""
    import torch

    from actionspace.localization.network.sgp import SgpBlock
    from actionspace.localization.network.tridet_config import SgpConfig

    io, errors = _io(case), Errors(case)
    for variant in case.entry["variants"]:
        given, args = part(io, variant["prefix"]), variant["args"]
        wide = SgpConfig(factor=args["k"]).wide(args["kernel_size"])
        assert wide == variant["large_kernel"]
        block = SgpBlock(
            args["n_embd"],
            stride=args["n_ds_stride"],
            window=args["kernel_size"],
            wide=wide,
            hidden=args["n_hidden"],
            path=args["path_pdrop"],
            downsample=args.get("downsample_type", "max"),
        ).eval()
        block.load_state_dict(part(given, "w."))
        x = given["x"].mT.clone().requires_grad_()
        y, mask = block(x, given["mask"].squeeze(1).bool())
        errors.compare(y.mT, given["y"], "output")
        assert torch.equal(mask, given["out_mask"].squeeze(1).bool())
        (y.mT * given["cotangent"]).sum().backward()
        for key, value in part(given, "grad.").items():
            got = x.grad.mT if key == "x" else block.get_parameter(key.removeprefix("w.")).grad
            errors.compare(got, value, key)
    errors.report(record_property)


@pytest.mark.parametrize("case", DECODING)
def test_decoding(case: tal.Case, record_property: Record) -> None:
    import torch

    from actionspace.localization.network.trident import TridentPredictions

    io, errors = _io(case), Errors(case)
    for variant in case.entry["variants"]:
        given = part(io, variant["prefix"])
        begins, ends = given["start"].mT, given["end"].mT
        batch, rows, classes = begins.shape
        said = TridentPredictions(
            torch.zeros(rows, 4),
            torch.ones(batch, rows, dtype=torch.bool),
            begins,
            given["centre"].unflatten(-1, (2, -1)),
            begins,
            ends,
            (rows,),
        )
        grid = torch.meshgrid(*map(torch.arange, (batch, rows, classes)), indexing="ij")
        errors.compare(said.offsets_at(*grid), given["decoded"])
    errors.report(record_property)


@pytest.mark.parametrize("name", LAYOUTS)
def test_keys(name: str) -> None:
    """Names and shapes of every published configuration's weights, their number, kernel sizes."""
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
    kernels = [
        [block.convw.kernel_size[0], block.convkw.kernel_size[0]]
        for block in (model.backbone.stem[0], *model.backbone.branch)
    ]
    assert kernels == [layout["stem_kernels"], *layout["branch_kernels"]]
    assert loss_config(layout["resolved_config"]).trident.iou_power > 0


def test_cases_are_here() -> None:
    """A clone has at least one case of each kind."""
    found = [EVALUATIONS, LOSSES, TRAJECTORIES, BLOCKS, DECODING, LAYOUTS]
    if not any(found):
        pytest.skip("no golden/tridet model cases here")
    assert all(found)
