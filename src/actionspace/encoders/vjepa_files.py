"""V-JEPA 2 and 2.1 predictors from weight files; encoders are made by ``create_encoder``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.checkpoint import read_weights
from actionspace.encoders.fit import fit_state
from actionspace.encoders.keys_vjepa import to_plain
from actionspace.encoders.weights import obtain
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from actionspace.encoders.vjepa_predictor import VJEPA2Predictor


def load_predictor(
    weights: str | Path, *, img_size: int | tuple[int, int], **options: Any
) -> VJEPA2Predictor:
    """Make the predictor that lies in a weight file beside its encoder, in eval mode.

    Which version it is, and its sizes, are read off the file; nothing else of it is read from disk.

    Args:
        weights: a file of V-JEPA 2 or 2.1, a safetensors file of transformers, or a published name.
        img_size: pixels of the clips, which decide what its token numbers mean.
        **options: of :class:`~.vjepa_predictor.VJEPA2Predictor` or ``VJEPA21Predictor`` that
            weights do not tell: ``num_heads`` (released: 12), ``interpolate_rope``, ``use_rope``.

    Raises:
        WeightsError: there is no predictor in it, or it does not fit.
        UsageError: the published name is not known.
    """
    path = obtain(weights)
    part = None if path.suffix == ".safetensors" else "predictor"
    fixed = options.get("use_rope") is False
    plain = to_plain(read_weights(path, part=part)[0], "predictor", keep_positions=fixed)
    if "predictor_norm.weight" not in plain:
        raise WeightsError(f"{path} holds no predictor of V-JEPA 2 or 2.1.")
    predictor = _build(plain, {"img_size": img_size, **options})
    fit_state(predictor, plain, what=f"the predictor of {path}")
    return predictor.eval()


def _build(plain: Mapping[str, Tensor], options: Mapping[str, Any]) -> VJEPA2Predictor:
    from actionspace.encoders.vjepa_predictor import VJEPA2Predictor, VJEPA21Predictor

    width = plain["predictor_norm.weight"].shape[0]
    numbers = [m for name in plain if (m := re.match(r"predictor_blocks\.(\d+)\.", name))]
    told: dict[str, Any] = {
        "predictor_embed_dim": width,
        "depth": 1 + max(int(m[1]) for m in numbers),
        "mlp_ratio": (plain["predictor_blocks.0.mlp.fc1.weight"].shape[0] + 0.5) / width,
        "use_silu": "predictor_blocks.0.mlp.fc3.weight" in plain,
        "wide_silu": False,  # the width is that of the file
        "qkv_bias": "predictor_blocks.0.attn.qkv.bias" in plain,
        "num_mask_tokens": sum(name.startswith("mask_tokens.") for name in plain),
        "out_dim": plain["predictor_proj.weight"].shape[0],
    }
    if not plain.keys() & {"predictor_proj_context.weight", "video_mod_embed"}:
        return VJEPA2Predictor(
            embed_dim=plain["predictor_embed.weight"].shape[1], **told | dict(options)
        )
    first = plain.get("predictor_embed.0.weight")
    if first is None:
        told |= {"embed_dim": plain["predictor_embed.weight"].shape[1]}
    else:
        told |= {"embed_dim": first.shape[0], "levels": first.shape[1] // first.shape[0]}
    told["modality_embedding"] = "video_mod_embed" in plain
    told["return_all_tokens"] = "predictor_proj_context.weight" in plain
    return VJEPA21Predictor(**told | dict(options))
