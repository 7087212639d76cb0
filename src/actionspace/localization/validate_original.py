"""Configurations in the layout of ActionFormer's YAML files, checked by the rules of its fork.

The fork (1.5.0) has a validator that none of its trainers calls. Its rules are kept, with one
exception: it refuses ``loss_weight: -1``, with which the official code makes the regression loss as
large as that of the classes. ``compat="fork"`` refuses that as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actionspace.localization.validate import ConfigReport

REQUIRED = {
    "dataset": ("json_file", "feat_folder", "max_seq_len"),
    "model": ("backbone_type", "backbone_arch", "regression_range"),
}
WINDOW, MAX_LENGTH, ARCH, DIM = 19, 2304, (2, 2, 5), 256
"""Where nothing is said."""
V2_SWITCHES = ("use_rope", "use_flash_attn", "use_swiglu", "use_rms_norm")
REGRESSION_LOSSES = ("diou", "eiou", "giou", "iou")
NMS_METHODS = ("soft", "hard", "none")

Issue = tuple[bool, str]
"""Whether it is an error, and what is wrong."""


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether a configuration has the layout of ActionFormer's files."""
    model = config.get("model")
    return (
        isinstance(config.get("dataset"), Mapping)
        or any(section in config for section in ("train_cfg", "test_cfg", "dataset_name"))
        or (isinstance(model, Mapping) and ("backbone_arch" in model or "backbone_type" in model))
    )


def validate_original(config: Mapping[str, Any], *, fork: bool = False) -> ConfigReport:
    """Return what is wrong with a configuration of the original code.

    Args:
        config: sections ``dataset``, ``model``, ``train_cfg``, ``test_cfg``.
        fork: exactly the fork's rules.
    """
    config = {name: {} if part is None else part for name, part in config.items()}
    issues: list[Issue] = []
    checks = [_required, _levels, _switches, _lengths, _head, _losses, _suppression]
    for check in [*checks, _loss_weight] if fork else checks:
        try:
            issues += check(config)
        except (TypeError, ValueError, IndexError, AttributeError) as e:
            part = check.__name__.strip("_").replace("_", " ")
            issues.append((True, f"A value that decides the {part} is of a wrong type: {e}."))
    return ConfigReport(
        tuple(text for error, text in issues if error),
        tuple(text for error, text in issues if not error),
    )


def _required(config: Mapping[str, Any]) -> Iterator[Issue]:
    for section, names in REQUIRED.items():
        for name in names:
            if name not in config.get(section, {}):
                yield True, f"{section}.{name} is missing."


def _levels(config: Mapping[str, Any]) -> Iterator[Issue]:
    model = config.get("model", {})
    if "backbone_arch" not in model or "regression_range" not in model:
        return
    ranges, first = model["regression_range"], model.get("fpn_start_level", 0)
    levels = model["backbone_arch"][-1] + 1 - first
    if levels != len(ranges):
        yield (
            True,
            (
                f"model.regression_range has {len(ranges)} ranges for {levels} levels ({first} to "
                f"{model['backbone_arch'][-1]}); give one for each."
            ),
        )
    for i, span in enumerate(ranges):
        if len(span) != 2:
            yield True, f"model.regression_range[{i}] is {list(span)}; give its two ends."
        elif span[0] >= span[1]:
            yield True, f"model.regression_range[{i}] ends at {span[1]}, before it begins."


def _switches(config: Mapping[str, Any]) -> Iterator[Issue]:
    model = config.get("model", {})
    kind, switches = model.get("backbone_type", ""), model.get("backbone", {})
    if kind == "convTransformerv2":
        if switches.get("use_rel_pe", False):
            yield False, "model.backbone.use_rel_pe does nothing in convTransformerv2: use_rope."
        if switches.get("use_rope", False) and switches.get("use_abs_pe", True):
            yield (
                False,
                "model.backbone: use_rope beside use_abs_pe (the default) tells position twice.",
            )
    if kind == "convTransformer":
        for name in V2_SWITCHES:
            if switches.get(name, False):
                yield False, f"model.backbone.{name} does nothing in convTransformer, only in v2."


def _lengths(config: Mapping[str, Any]) -> Iterator[Issue]:
    if "dataset" not in config or "model" not in config:
        return
    model = config["model"]
    rows, last = (
        config["dataset"].get("max_seq_len", MAX_LENGTH),
        model.get("backbone_arch", ARCH)[-1],
    )
    windows = model.get("n_mha_win_size", WINDOW)
    windows = [windows] if isinstance(windows, int) else windows
    for level in range(model.get("fpn_start_level", 0), last + 1):
        window = windows[min(level, len(windows) - 1)]
        unit = model.get("scale_factor", 2) ** level * (window // 2 * 2 if window > 1 else 1)
        if rows % unit:
            fitting = [n for n in (rows - rows % unit, rows - rows % unit + unit) if n]
            yield (
                True,
                (
                    f"dataset.max_seq_len {rows} is no multiple of {unit}, the rows of a window of "
                    f"level {level}; take {' or '.join(map(str, fitting))}."
                ),
            )


def _head(config: Mapping[str, Any]) -> Iterator[Issue]:
    if "model" not in config:
        return
    model = config["model"]
    layers = model.get("head_num_layers", 3)
    if layers < 2:
        yield (
            layers < 1,
            f"model.head_num_layers is {layers}; a head needs 1 layer and profits of 2.",
        )
    head, neck = model.get("head_dim", DIM), model.get("fpn_dim", DIM)
    if head != neck:
        yield False, f"model.head_dim {head} differs from model.fpn_dim {neck}."


def _losses(config: Mapping[str, Any]) -> Iterator[Issue]:
    training = config.get("train_cfg", {})
    smoothing = training.get("label_smoothing", 0.0)
    if not 0 <= smoothing < 1:
        yield True, f"train_cfg.label_smoothing is {smoothing}; it is at least 0 and below 1."
    loss = training.get("reg_loss_type", "diou")
    if loss not in REGRESSION_LOSSES:
        yield (
            False,
            (
                f"train_cfg.reg_loss_type '{loss}' is unknown and trains as diou; there is: "
                f"{', '.join(REGRESSION_LOSSES)}."
            ),
        )


def _loss_weight(config: Mapping[str, Any]) -> Iterator[Issue]:
    weight = config.get("train_cfg", {}).get("loss_weight", 1.0)
    if weight < 0:
        yield True, f"train_cfg.loss_weight is {weight}; the fork takes 0 and more."


def _suppression(config: Mapping[str, Any]) -> Iterator[Issue]:
    test = config.get("test_cfg", {})
    method = test.get("nms_method", "soft")
    if method not in NMS_METHODS:
        yield False, f"test_cfg.nms_method '{method}' is none of {', '.join(NMS_METHODS)}."
    threshold = test.get("iou_threshold", 0.1)
    if not 0 < threshold <= 1:
        yield True, f"test_cfg.iou_threshold is {threshold}; it is above 0 and at most 1."
    for name, default in (("nms_sigma", 0.5), ("score_temperature", 1.0)):
        if (value := test.get(name, default)) <= 0:
            yield True, f"test_cfg.{name} is {value}; it is above 0."
