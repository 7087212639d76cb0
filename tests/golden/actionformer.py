"""How golden/tal's cases of ActionFormer are found, and what its settings are called here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.switches import TransformerV2Config
from tests.conftest import golden_dirs

Case = tuple[Path, dict[str, Any]]
BACKBONES: dict[str, Any] = {
    "convTransformer": "transformer",
    "convTransformerv2": "transformer_v2",
    "conv": "conv",
}


def cases(kind: str) -> dict[str, Case]:
    """The cases of one kind whose files are here, each with the folder they lie in."""
    found: dict[str, Case] = {}
    for folder in (root / "tal" for root in golden_dirs()):
        path = folder / "manifest_model.json"
        if not path.is_file():
            continue
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            files = [case[key] for key in ("weights", "io") if key in case]
            if case["kind"] == kind and all((folder / name).is_file() for name in files):
                found.setdefault(case["id"], (folder, case))
    return found


def layouts() -> dict[str, dict[str, Any]]:
    """The published configurations with the keys of their networks."""
    for folder in (root / "tal" for root in golden_dirs()):
        path = folder / "key_layouts.json"
        if path.is_file():
            content: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return content
    return {}


def tensors(folder: Path, name: str) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / name)


def pad(videos: Sequence[Any], length: int) -> tuple[Any, Any]:
    """Features ``[C, T]`` of several videos as ``[B, C, length]``, and their mask."""
    import torch
    from torch.nn import functional

    features = torch.stack([functional.pad(v, (0, length - v.shape[1])) for v in videos])
    lengths = torch.tensor([v.shape[1] for v in videos])
    return features, (torch.arange(length) < lengths[:, None])[:, None]


def switches(theirs: dict[str, Any]) -> TransformerV2Config:
    """Our switches for those of the fork's second transformer."""
    return TransformerV2Config(
        rms_norm=theirs.get("use_rms_norm", False),
        swiglu=theirs.get("use_swiglu", False),
        rope=theirs.get("use_rope", False),
        kv_heads=theirs.get("n_kv_head"),
        fused=theirs.get("use_flash_attn", False),
        compat="fork",
    )


def model_config(config: dict[str, Any]) -> ModelConfig:
    """Our network options for a published configuration."""
    theirs, training = config["model"], config["train_cfg"]
    convs, stem, branch = theirs["backbone_arch"]
    dims, window = theirs["input_dim"], theirs["n_mha_win_size"]
    return ModelConfig(
        backbone=BACKBONES[theirs["backbone_type"]],
        v2=switches(theirs),
        input_split=tuple(dims) if isinstance(dims, list) else (),
        embed_dim=theirs["embd_dim"],
        embed_layers=convs,
        embed_kernel=theirs["embd_kernel_size"],
        embed_norm=theirs["embd_with_ln"],
        stem_blocks=stem,
        branch_blocks=branch,
        scale_factor=theirs["scale_factor"],
        heads=theirs["n_head"],
        windows=window,
        absolute_positions=theirs["use_abs_pe"],
        relative_positions=theirs["use_rel_pe"],
        dropout=training["dropout"],
        drop_path=training["droppath"],
        neck=theirs["fpn_type"],
        neck_dim=theirs["fpn_dim"],
        neck_norm=theirs["fpn_with_ln"],
        first_level=theirs["fpn_start_level"],
        head_dim=theirs["head_dim"],
        head_kernel=theirs["head_kernel_size"],
        head_layers=theirs["head_num_layers"],
        head_norm=theirs["head_with_ln"],
        prior=training["cls_prior_prob"],
        regression_ranges=theirs["regression_range"],
        max_length=theirs["max_seq_len"],
        buffer_factor=theirs["max_buffer_len_factor"],
    )


def loss_config(training: dict[str, Any]) -> LossConfig:
    """Our loss options for a published configuration."""
    weight = training["loss_weight"]
    return LossConfig(
        center_sampling=training["center_sample"],
        center_radius=training["center_sample_radius"],
        label_smoothing=training["label_smoothing"],
        regression_weight=weight if weight > 0 else None,
        initial_norm=training["init_loss_norm"],
    )


def network(config: dict[str, Any]) -> Any:
    """An untrained network of a published configuration."""
    from actionspace.localization.network.model import ActionFormer

    dims = config["model"]["input_dim"]
    return ActionFormer(
        model_config(config),
        dim=sum(dims) if isinstance(dims, list) else dims,
        classes=config["model"]["num_classes"],
        empty=config["train_cfg"]["head_empty_cls"],
    )
