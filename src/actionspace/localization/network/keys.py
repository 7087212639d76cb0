"""Checkpoints of the published ActionFormer code, and of the fork that the ``actionformer`` package
is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

#: What data parallel training puts before every name.
PREFIX = "module."


def network_state(checkpoint: Mapping[str, Any], *, average: bool = True) -> dict[str, Tensor]:
    """Return the weights in a published checkpoint, under the names of our network.

    These are the published names, without the ``module.`` of data parallel training.

    Args:
        checkpoint: a training's file (``state_dict``, ``state_dict_ema`` ...), or a bare state.
        average: take the moving average, with which the original evaluates.

    Raises:
        WeightsError: it holds no such weights.
    """
    key = "state_dict_ema" if average else "state_dict"
    state = checkpoint
    if "state_dict" in checkpoint or "state_dict_ema" in checkpoint:
        if key not in checkpoint:
            raise WeightsError(
                f"The checkpoint has no '{key}'; it has {', '.join(map(str, checkpoint))}."
            )
        state = checkpoint[key]
    named = {name.removeprefix(PREFIX): value for name, value in state.items()}
    if not any(name.startswith("backbone.embd.") for name in named):
        raise WeightsError(
            "These are not the weights of ActionFormer or TriDet: no name begins with "
            f"'backbone.embd.'. They begin with "
            f"{', '.join(sorted({n.split('.')[0] for n in named})[:5])}."
        )
    return named


def told_options(state: Mapping[str, Tensor], heads: int) -> dict[str, Any]:
    """Return the options of ``model`` that names and shapes of a published network's weights tell.

    They are those that distinguish the fork's networks; a ``transformer_v2`` of ours keeps RoPE
    where the pyramid grows coarser, too, and is then not told as compatible.

    Args:
        state: as of :func:`network_state`.
        heads: of attention, which the weights do not tell.
    """
    told: dict[str, Any] = {"head_skip": "cls_head.input_proj.conv.weight" in state}
    if any(name.startswith("heatmap_head.") for name in state):
        told["head"] = "points"
    if "neck.lateral_convs.0.conv.weight" in state:
        crossed = "neck.downsample_convs.0.conv.weight" in state
        told["neck"] = "cs_fpn" if crossed else "fpn"
    query, key = (state.get(f"backbone.stem.0.attn.{name}.weight") for name in ("query", "key"))
    if query is None or key is None:
        return told
    biased = any(name.endswith("attn.rel_pe") for name in state)
    rms = "backbone.stem.0.ln1.bias" not in state
    swiglu = "backbone.stem.0.mlp.w1.weight" in state
    plain = "backbone.stem.0.attn.query_conv.conv.weight" not in state
    if not (rms or swiglu or plain):
        return told | {"backbone": "transformer", "relative_positions": biased}
    turned = [name for name in state if name.endswith("attn.rope.inv_freq")]
    shared = len(key) * heads // len(query)
    return told | {
        "backbone": "transformer_v2",
        "v2.compat": "none" if any(".branch." in name for name in turned) else "fork",
        "v2.rms_norm": rms,
        "v2.swiglu": swiglu,
        "v2.rope": bool(turned) or biased,
        "v2.kv_heads": None if shared == heads else shared,
    }


def published_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our network's weights under the names of a published checkpoint."""
    return {PREFIX + name: value for name, value in state.items()}
