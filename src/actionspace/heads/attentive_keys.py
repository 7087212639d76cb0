"""Names of attentive probes in other people's files, to and from this library's own.

V-JEPA 2 keeps a list of probes under ``classifiers``, one for each setting it tried; in each,
``linear`` is the layer of one kind of label and ``verb_classifier``, ``noun_classifier`` and
``action_classifier`` those of anticipation. transformers splits queries, keys and values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import WeightsError
from actionspace.heads.attentive import SINGLE, AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig

if TYPE_CHECKING:
    from torch import Tensor

_TRANSFORMERS = (
    (r"^classifier\.", f"heads.{SINGLE}."),
    (r"^pooler\.self_attention_layers\.", "pooler.blocks."),
    (r"^pooler\.cross_attention_layer\.", "pooler.cross_attention_block."),
    (r"\.layer_norm([12])\.", r".norm\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.qkv.\1."),
    (r"\.cross_attn\.q_proj\.", ".xattn.q."),
    (r"\.cross_attn\.([kv])_proj\.", r".xattn.kv.\1."),
)
_PIECE = re.compile(r"(.*\.(?:qkv|kv))\.[qkv]\.(weight|bias)")


def probe_to_plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a probe's tensors under this library's names; other tensors are left out.

    Args:
        state: one of V-JEPA 2's ``classifiers``, or the tensors of transformers'
            ``VJEPA2ForVideoClassification``.

    Raises:
        WeightsError: there is no attentive probe in it.
    """
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    if "pooler.query_tokens" not in bare:
        raise WeightsError(
            "There is no attentive probe in these weights (no pooler.query_tokens); the first "
            f"names are {', '.join(list(state)[:4])}. Of V-JEPA 2's files take one of the list "
            "under 'classifiers'."
        )
    plain = {}
    for name, value in bare.items():
        new = re.sub(r"^linear\.", f"heads.{SINGLE}.", name)
        new = re.sub(r"^(\w+)_classifier\.", r"heads.\1.", new)
        for old, ours in _TRANSFORMERS:
            new = re.sub(old, ours, new)
        if new.startswith(("pooler.", "heads.")):
            plain[new] = value
    return _joined(plain)


def _joined(plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put separate queries, keys and values together."""
    import torch

    whole = {name: value for name, value in plain.items() if not _PIECE.fullmatch(name)}
    pieces: dict[str, dict[str, Tensor]] = {}
    for name, value in plain.items():
        if found := _PIECE.fullmatch(name):
            pieces.setdefault(f"{found[1]}.{found[2]}", {})[name.split(".")[-2]] = value
    for name, parts in pieces.items():
        order = name.split(".")[-2]
        if set(parts) != set(order):
            raise WeightsError(f"{name} is put together of {order}, but only {parts.keys()} exist.")
        whole[name] = torch.cat([parts[part] for part in order])
    return whole


def probe_from_plain(plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a probe's tensors under the names of V-JEPA 2 (with ``module.``)."""
    named = {}
    for name, value in plain.items():
        new = name.replace(f"heads.{SINGLE}.", "linear.")
        named["module." + re.sub(r"^heads\.(\w+)\.", r"\1_classifier.", new)] = value
    return named


def load_probe(
    state: Mapping[str, Tensor], *, num_heads: int = 16, layer_norm_eps: float = 1e-5
) -> AttentiveProbe:
    """Make the probe these tensors belong to; every name and shape must agree.

    Args:
        state: as :func:`probe_to_plain`, or under this library's names.
        num_heads: which weights do not tell.
        layer_norm_eps: 1e-6 for transformers' files.

    Raises:
        WeightsError: there is no attentive probe in it, or something else besides.
    """
    from actionspace.encoders.fit import fit_state

    plain = probe_to_plain(state)
    dim = plain["pooler.query_tokens"].shape[-1]
    found = [m for name in plain if (m := re.match(r"pooler\.blocks\.(\d+)\.", name))]
    options: dict[str, Any] = {
        "depth": 1 + max((int(m[1]) + 1 for m in found), default=0),
        "num_heads": num_heads,
        "layer_norm_eps": layer_norm_eps,
        "qkv_bias": any(name.endswith(".kv.bias") for name in plain),
        "complete_block": "pooler.cross_attention_block.norm1.weight" in plain,
    }
    hidden = {len(value) for name, value in plain.items() if name.endswith(".mlp.fc1.weight")}
    if hidden:
        options["mlp_ratio"] = (max(hidden) + 0.5) / dim  # rounded down again, whatever it is
    sizes = {
        name.split(".")[1]: len(value)
        for name, value in plain.items()
        if name.startswith("heads.") and name.endswith(".weight")
    }
    classes = sizes[SINGLE] if list(sizes) == [SINGLE] else _published_order(sizes)
    probe = AttentiveProbe(dim, classes, AttentiveConfig(**options))
    fit_state(probe, plain, what="The attentive probe")
    return probe.eval()


def _published_order(sizes: dict[str, int]) -> dict[str, int]:
    """Put the layers in the order of their queries: verb, noun, action, then as they come."""
    order = [name for name in ("verb", "noun", "action") if name in sizes]
    return {name: sizes[name] for name in [*order, *(n for n in sizes if n not in order)]}
