"""An adapted encoder on disk: saved with its run, put back or refused, never left out in silence.

mode=lora leaves ``adapter/`` in PEFT's format, which needs the weights it was trained on beside it;
mode=full, mode=layers, and mode=head with drifting BatchNorms leave all weights of the network in
``encoder.safetensors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actionspace.encoders.checkpoint import load_state, read_weights, weights_hash, write_weights
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.fit import fit_state
from actionspace.errors import ActionspaceError, RunError
from actionspace.paths import read_json, sha256_json, write_json

WHOLE = "encoder.safetensors"
ADAPTER = Path("adapter") / "adapter_model.safetensors"
ADAPTER_CONFIG = Path("adapter") / "adapter_config.json"
PREFIX = "base_model.model."
"""What PEFT puts before the names of layers in its files."""
BASE = "base_weights_hash"
"""Note in the adapter file: the weights that the adapters change."""


def file_of(mode: str) -> Path:
    """Return the file, relative to the run, that a mode leaves its encoder in."""
    return ADAPTER if mode == "lora" else Path(WHOLE)


def save_encoder(folder: Path, encoder: Encoder, mode: str) -> None:
    """Write what training changed in an encoder into a run folder.

    Args:
        folder: of the run.
        encoder: as it was trained, adapters still in it.
        mode: ``lora``, or one that leaves all weights.
    """
    if mode != "lora":
        save_whole(folder / WHOLE, encoder.backbone)
        return
    from peft import get_peft_model_state_dict

    backbone: Any = encoder.backbone
    state = {PREFIX + name: t for name, t in get_peft_model_state_dict(backbone).items()}
    config = backbone.peft_config["default"].to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    config["inference_mode"] = True
    write_json(folder / ADAPTER_CONFIG, json.loads(json.dumps(config, default=str)))
    write_weights(folder / ADAPTER, state, {"format": "pt", BASE: encoder.weights_hash})


def save_whole(path: Path, backbone: nn.Module) -> None:
    """Write a network's weights as a file that ``weights=`` takes."""
    write_weights(path, backbone.state_dict(), {"format": "pt"})


def load_encoder(folder: Path, encoder: Encoder, mode: str) -> None:
    """Make an encoder the one that a run left, adapters merged into the weights they adapt.

    Args:
        folder: of the run.
        encoder: changed in place. For mode=lora it has the weights that the run began with, for
            the others any.
        mode: of the run.

    Raises:
        RunError: what the run should hold is missing, damaged, or does not fit the encoder.
    """
    path = folder / file_of(mode)
    if not path.is_file():
        raise RunError(
            f"{folder} was trained with mode={mode}, and {path.relative_to(folder)} is missing: "
            "without it the encoder would not be the one its head was trained with. Copy the "
            "whole run folder, or train it again."
        )
    try:
        if mode == "lora":
            encoder.weights_hash = _load_adapters(folder, encoder)
        else:
            state = load_state(path)
            fit_state(encoder.backbone, state, what=f"{path} into {encoder.name}")
            encoder.weights_hash = weights_hash(state)
    except RunError:
        raise
    except ActionspaceError as e:
        raise RunError(f"{folder} has no encoder that fits. {e}") from e


def _load_adapters(folder: Path, encoder: Encoder) -> str:
    """Merge a run's adapters and return the hash of what came of it."""
    config = read_json(folder / ADAPTER_CONFIG)
    adapters, notes = read_weights(folder / ADAPTER)
    if not all(".lora_" in name for name in adapters):
        raise RunError(
            f"{folder / ADAPTER} holds other weights than adapters. Copy the run's own file back, "
            "or train it again; a training takes weights of a whole encoder as weights=."
        )
    if notes.get(BASE) != encoder.weights_hash:
        raise RunError(
            f"The adapters of {folder} were trained on the weights {notes.get(BASE)}, and encoder "
            f"'{encoder.name}' has {encoder.weights_hash} here. Give the right file as weights=."
        )
    try:
        scale = float(config["lora_alpha"]) / int(config["r"])
    except (KeyError, TypeError, ValueError) as e:
        raise RunError(f"{folder / ADAPTER_CONFIG} lacks r and lora_alpha; train it again.") from e
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in adapters.items()}
    state = {name: t.detach().cpu() for name, t in encoder.backbone.state_dict().items()}
    encoder.backbone.load_state_dict(merge_adapters(state, bare, scale))
    about = {"base": notes[BASE], "adapters": weights_hash(adapters), "scale": scale}
    return sha256_json(about)


def merge_adapters(
    state: Mapping[str, Tensor], adapters: Mapping[str, Tensor], scale: float
) -> dict[str, Tensor]:
    """Return weights with adapters folded in: W + scale B A.

    Args:
        state: of the network, its ``qkv`` layers fused.
        adapters: ``LAYER.lora_A.weight`` [r, in, ...] and ``LAYER.lora_B.weight`` [out, r, ...];
            ``LAYER`` may be the part ``q``, ``k`` or ``v`` of a fused layer.
        scale: alpha / rank.

    Raises:
        RunError: an adapter lacks its other half, or its layer is not in the network.
    """
    merged = dict(state)
    a, b = ".lora_A.weight", ".lora_B.weight"
    layers = dict.fromkeys(name.removesuffix(a).removesuffix(b) for name in adapters)
    for layer in layers:
        down, up = adapters.get(layer + a), adapters.get(layer + b)
        fused, _, part = layer.rpartition(".")
        whole = f"{layer}.weight" not in merged and part in ("q", "k", "v")
        name = f"{fused if whole else layer}.weight"
        if down is None or up is None:
            raise RunError(
                f"The adapter of '{layer}' is half: one of lora_A and lora_B is missing."
            )
        if name not in merged:
            raise RunError(f"The adapter of '{layer}' does not fit the encoder: it has no {name}.")
        delta = scale * (up.flatten(1).double() @ down.flatten(1).double())
        weight = merged[name]
        rows = torch.arange(len(weight)).chunk(3)["qkv".index(part)] if whole else slice(None)
        if delta.numel() != weight[rows].numel():
            raise RunError(f"The adapter of '{layer}' does not fit {name} {list(weight.shape)}.")
        new = weight.double()
        new[rows] += delta.view_as(new[rows])
        merged[name] = new.to(weight.dtype)
    return merged
