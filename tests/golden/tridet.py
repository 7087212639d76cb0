"""What TriDet's settings are called here, for golden/tridet's cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import ModelConfig
from tests.conftest import golden_dirs
from tests.golden.actionformer import loss_config as plain_losses


def layouts() -> dict[str, dict[str, Any]]:
    """The published configurations with the keys of their networks."""
    for folder in (root / "tridet" for root in golden_dirs()):
        path = folder / "key_layouts_tridet.json"
        if path.is_file():
            content: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return content
    return {}


def model_config(config: dict[str, Any]) -> ModelConfig:
    """Our network options for a published configuration."""
    theirs, training = config["model"], config["train_cfg"]
    convs, stem, branch = theirs["backbone_arch"]
    conv = theirs["backbone_type"] == "conv"
    values = {
        "backbone": "conv" if conv else "sgp",
        "head": "trident" if theirs["use_trident_head"] else "segments",
        "embed_dim": theirs["embd_dim"],
        "embed_layers": convs,
        "embed_kernel": theirs["embd_kernel_size"],
        "embed_norm": theirs["embd_with_ln"],
        "stem_blocks": stem,
        "branch_blocks": branch,
        "scale_factor": theirs["scale_factor"],
        "sgp": {
            "windows": theirs["n_sgp_win_size"],
            "factor": theirs["k"],
            "hidden": theirs["sgp_mlp_dim"],
            "downsample": theirs["downsample_type"],
            "init_std": theirs["init_conv_vars"],
        },
        "trident": {
            "bins": theirs["num_bins"],
            "boundary_kernel": theirs["boudary_kernel_size"],
        },
        "absolute_positions": theirs["use_abs_pe"],
        "input_noise": theirs["input_noise"],
        "drop_path": training["droppath"],
        "neck": theirs["fpn_type"],
        "neck_dim": theirs["fpn_dim"],
        "neck_norm": theirs["fpn_with_ln"],
        "head_dim": theirs["head_dim"],
        "head_kernel": theirs["head_kernel_size"],
        "head_layers": theirs["head_num_layers"],
        "head_norm": theirs["head_with_ln"],
        "prior": training["cls_prior_prob"],
        "regression_ranges": theirs["regression_range"],
        "max_length": theirs["max_seq_len"],
        "buffer_factor": theirs["max_buffer_len_factor"],
    }
    return ModelConfig.model_validate(values)


def loss_config(config: dict[str, Any]) -> LossConfig:
    """Our loss options for a published configuration."""
    trident = {"iou_power": config["model"]["iou_weight_power"]}
    values = plain_losses(config["train_cfg"]).model_dump() | {"trident": trident}
    return LossConfig.model_validate(values)


def network(config: dict[str, Any]) -> Any:
    """An untrained network of a published configuration."""
    from actionspace.localization.network.create import create_network

    theirs, empty = config["model"], config["train_cfg"]["head_empty_cls"]
    return create_network(model_config(config), theirs["input_dim"], theirs["num_classes"], empty)


def criterion(config: dict[str, Any]) -> Any:
    """The losses of a published configuration."""
    from actionspace.localization.learning.create import create_loss

    return create_loss(model_config(config), loss_config(config))


def without_chance(model: Any) -> Any:
    """The model in training mode, with nothing dropped or added but all layers in place."""
    from actionspace.localization.network.layers import AffineDropPath

    for module in model.modules():
        if isinstance(module, AffineDropPath):
            module.rate = 0.0
    model.backbone.noise = 0.0
    return model.train()


def part(io: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): v for n, v in io.items() if n.startswith(prefix)}


def videos(io: dict[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    """The videos of a batch, by the names of their tensors."""
    number = 0
    while found := part(io, f"{prefix}v{number}."):
        yield found
        number += 1
