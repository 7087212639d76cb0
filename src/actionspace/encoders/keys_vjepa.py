"""Key layouts of V-JEPA 2 and 2.1, to and from this library's own (``plain``).

``plain`` is the official layout without its ``module.backbone.`` prefix and without ``pos_embed``,
a table left over in the files of networks with rotary positions. transformers, which has version 2
alone, splits queries, keys and values. Encoders and predictors have tables of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from actionspace.encoders.published_vjepa import VJEPA_NETWORKS
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["plain", "official", "transformers"]
Part = Literal["encoder", "predictor"]

_PREFIX = "module.backbone."
_STRIP = re.compile(r"^(?:module\.|backbone\.)+")
_STALE = ("pos_embed", "predictor_pos_embed")

# transformers' names and the official ones, of each part.
_RENAME: dict[Part, dict[str, str]] = {
    "encoder": {
        "encoder.embeddings.patch_embeddings.proj.": "patch_embed.proj.",
        "encoder.layernorm.": "norm.",
        "encoder.layer.": "blocks.",
    },
    "predictor": {
        "predictor.embeddings.predictor_embeddings.": "predictor_embed.",
        "predictor.layernorm.": "predictor_norm.",
        "predictor.proj.": "predictor_proj.",
        "predictor.layer.": "predictor_blocks.",
    },
}
_MASK_TOKENS = "predictor.embeddings.mask_tokens"
_SPLIT = re.compile(r"(.*)\.attention\.(query|key|value)\.(weight|bias)")


def detect_layout(names: Iterable[str]) -> Layout:
    """Tell which layout the names of an encoder follow.

    Raises:
        WeightsError: they are not those of a V-JEPA 2 or 2.1.
    """
    names = list(names)
    bare = {_STRIP.sub("", name) for name in names}
    own = {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.norm2.weight"}
    if own <= bare and bare & {"norm.weight", "norms_block.0.weight"} and "cls_token" not in bare:
        return "plain" if own <= set(names) else "official"
    theirs = "encoder.embeddings.patch_embeddings.proj.weight"
    split = "encoder.layer.0.attention.query.weight"
    if {theirs, split} <= {name.removeprefix("vjepa2.") for name in names}:
        return "transformers"
    raise WeightsError(
        "These are not V-JEPA 2 or 2.1 weights in a known layout (the original's, transformers' or "
        f"this library's); the first names are {', '.join(names[:4])}."
    )


def to_plain(
    state: Mapping[str, Tensor], part: Part = "encoder", *, keep_positions: bool = False
) -> dict[str, Tensor]:
    """Return an encoder's or predictor's tensors under plain names.

    Args:
        state: of any known layout. Of transformers' whole models the other part is left out.
        part: which network.
        keep_positions: keep the table of positions, of networks without rotary ones.
    """
    bare = {name.removeprefix("vjepa2."): value for name, value in state.items()}
    if any(name.startswith(f"{part}.") for name in bare):
        return _from_transformers(bare, part)
    plain = {_STRIP.sub("", name): value for name, value in state.items()}
    return {n: value for n, value in plain.items() if keep_positions or n not in _STALE}


def from_plain(
    plain: Mapping[str, Tensor], layout: Layout, part: Part = "encoder"
) -> dict[str, Tensor]:
    """Return plain tensors under the names of ``layout``.

    Raises:
        WeightsError: transformers has no place for one of them.
    """
    if layout == "plain":
        return dict(plain)
    if layout == "official":
        return {_PREFIX + name: value for name, value in plain.items()}
    return _to_transformers(plain, part)


def _from_transformers(state: Mapping[str, Tensor], part: Part) -> dict[str, Tensor]:
    import torch

    plain: dict[str, Tensor] = {}
    pieces: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        if name == _MASK_TOKENS and part == "predictor":
            plain |= {f"mask_tokens.{i}": token for i, token in enumerate(value)}
            continue
        old = next((old for old in _RENAME[part] if name.startswith(old)), None)
        if old is None:
            continue
        new = _RENAME[part][old] + name.removeprefix(old)
        if found := _SPLIT.fullmatch(new):
            pieces.setdefault(f"{found[1]}.attn.qkv.{found[3]}", {})[found[2]] = value
        else:
            plain[new.replace(".attention.proj.", ".attn.proj.")] = value
    for name, parts in pieces.items():
        plain[name] = torch.cat([parts[which] for which in ("query", "key", "value")])
    return plain


def _to_transformers(plain: Mapping[str, Tensor], part: Part) -> dict[str, Tensor]:
    import torch

    other: dict[str, Tensor] = {}
    tokens = sorted((n for n in plain if n.startswith("mask_tokens.")), key=_number)
    if tokens:
        other[_MASK_TOKENS] = torch.stack([plain[name] for name in tokens])
    for name, value in plain.items():
        if name in tokens:
            continue
        new = _renamed(name, part)
        if ".attn.qkv." in new:
            for which, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                other[new.replace(".attn.qkv.", f".attention.{which}.")] = piece
        else:
            other[new.replace(".attn.proj.", ".attention.proj.")] = value
    return other


def _renamed(name: str, part: Part) -> str:
    for theirs, ours in _RENAME[part].items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise WeightsError(f"transformers' V-JEPA 2 has no place for '{name}' (it has no version 2.1).")


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


@dataclass(frozen=True)
class Guess:
    """What plain encoder weights were made for, read off their shapes.

    Attributes:
        name: of the released network of these shapes, else a short description.
        network: its module class, as ``module:class``.
        options: its arguments; ``None`` where the shapes do not tell (the heads of a network that
            was not released). The giants of 256 and 384 pixels have the same shapes.
    """

    name: str
    network: str
    options: dict[str, Any] | None


def guess_architecture(plain: Mapping[str, Tensor]) -> Guess:
    """Read an architecture off the shapes of a plain encoder."""
    shape = plain["patch_embed.proj.weight"].shape
    version = 2.1 if "norms_block.0.weight" in plain else 2
    depth = 1 + max(int(m[1]) for name in plain if (m := re.match(r"blocks\.(\d+)\.", name)))
    hidden = plain["blocks.0.mlp.fc1.weight"].shape[0]
    for known in VJEPA_NETWORKS:
        same = (known.embed_dim, known.depth, known.version) == (shape[0], depth, version)
        if same and int(known.embed_dim * known.mlp_ratio) == hidden:
            return Guess(known.name, known.network, known.options())
    network = next(known.network for known in VJEPA_NETWORKS if known.version == version)
    return Guess(f"a V-JEPA {version:g} of width {shape[0]}, depth {depth}", network, None)
