"""Key layouts of Video Swin checkpoints, to and from this library's own (``plain``).

``plain`` is the official layout without its ``backbone.`` prefix and without index buffers,
which follow from the window; the head, if any, is ``head.weight`` and ``head.bias``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from actionspace.encoders.architectures import (
    BASE,
    BASE_SSV2,
    LARGE,
    SMALL,
    TINY,
    SwinArchitecture,
)
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["plain", "mmaction0", "mmaction2_1x", "torchvision"]

# Buffers and preprocessing constants that every model rebuilds.
_DERIVED = re.compile(r"(relative_position_index|attn_mask)$|^data_preprocessor\.")
_WRAPPER = "module."
_HEAD = {
    "plain": "head.",
    "mmaction0": "cls_head.fc_cls.",
    "mmaction2_1x": "cls_head.fc_cls.",
    "torchvision": "head.",
}


def detect_layout(names: Mapping[str, object]) -> Layout:
    """Tell which layout a state dict's names follow.

    Raises:
        WeightsError: they are not those of a Video Swin.
    """
    bare = [name.removeprefix(_WRAPPER) for name in names]
    if any(name.startswith("features.0.0.attn.") for name in bare):
        return "torchvision"
    if any(re.match(r"backbone\.norm\d+\.weight", name) for name in bare):
        return "mmaction2_1x"
    if any(name.startswith("backbone.layers.0.blocks.") for name in bare):
        return "mmaction0"
    if any(name.startswith("layers.0.blocks.") for name in bare):
        return "plain"
    raise WeightsError(
        f"These are not Video Swin weights in a known layout (mmaction 0.x, mmaction2 1.x, "
        f"torchvision or this library's); the first names are {', '.join(list(names)[:4])}."
    )


def to_plain(state: Mapping[str, Tensor], layout: Layout | None = None) -> dict[str, Tensor]:
    """Return ``state`` under plain names, index buffers left out.

    Raises:
        WeightsError: the layout is unknown.
    """
    layout = layout or detect_layout(state)
    plain: dict[str, Tensor] = {}
    for name, value in state.items():
        bare = name.removeprefix(_WRAPPER)
        if not _DERIVED.search(bare):
            plain[_plain_name(bare, layout)] = value
    return plain


def from_plain(
    state: Mapping[str, Tensor],
    layout: Layout,
    *,
    window: tuple[int, int, int] = (8, 7, 7),
) -> dict[str, Tensor]:
    """Return plain ``state`` under the names of ``layout``, index buffers added.

    Raises:
        WeightsError: it holds unmerged adapters, which only mmaction 0.x has names for.
    """
    if layout != "mmaction0" and any(".lora_" in name for name in state):
        raise WeightsError(f"Layout {layout} has no names for LoRA; merge_original_lora first.")
    if layout == "plain":
        return dict(state)
    from actionspace.encoders.windows import relative_index

    index = relative_index(window)
    last = max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    other: dict[str, Tensor] = {}
    for name, value in state.items():
        new = _layout_name(name, layout, last)
        other[new] = value
        if name.endswith("relative_position_bias_table"):
            other[new.replace("bias_table", "index")] = index
    return other


def _plain_name(name: str, layout: Layout) -> str:
    if name.startswith(_HEAD[layout]):
        return "head." + name.removeprefix(_HEAD[layout])
    if layout == "torchvision":
        match = re.match(r"features\.(\d+)\.(.*)", name)
        if match is None:
            return name
        i, rest = divmod(int(match[1]), 2), match[2]
        if i[1]:
            return f"layers.{i[0]}.downsample.{rest}"
        rest = rest.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
        return f"layers.{i[0]}.blocks.{rest}"
    name = name.removeprefix("backbone.")
    return re.sub(r"^norm\d+\.", "norm.", name) if layout == "mmaction2_1x" else name


def _layout_name(name: str, layout: Layout, last: int) -> str:
    if name.startswith("head."):
        return _HEAD[layout] + name.removeprefix("head.")
    if layout == "torchvision":
        name = re.sub(r"^layers\.(\d+)\.blocks\.", lambda m: f"features.{2 * int(m[1])}.", name)
        name = re.sub(
            r"^layers\.(\d+)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 1}.", name
        )
        return name.replace(".mlp.fc1.", ".mlp.0.").replace(".mlp.fc2.", ".mlp.3.")
    if layout == "mmaction2_1x":
        name = re.sub(r"^norm\.", f"norm{last}.", name)
    return "backbone." + name


def split_head(
    plain: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Split a plain state into the backbone's and the head's (``weight``, ``bias``; or empty)."""
    head = {n.removeprefix("head."): v for n, v in plain.items() if n.startswith("head.")}
    return {n: v for n, v in plain.items() if not n.startswith("head.")}, head


def merge_original_lora(
    state: Mapping[str, Tensor], alpha: float | None = None
) -> dict[str, Tensor]:
    """Fold the adapters of the original LoRA code into the weights they adapt.

    Their delta is s B A with s = alpha / rank. On q, k, v and the MLP it adds to the weight.
    The ``o`` adapter is not standard: it reads the *output* of ``proj``, so that
    W' = (I + s B A) W and b' = (I + s B A) b.

    Args:
        state: plain or mmaction 0.x names.
        alpha: the ``lora_alpha`` the run was given; ``None`` means the rank (s = 1), as there.

    Raises:
        WeightsError: an adapter lacks one half, or its target.
    """
    import torch

    merged = {name: value for name, value in state.items() if ".lora_" not in name}
    for name in state:
        match = re.match(r"(.*)\.lora_(\w+)\.lora_A\.weight$", name)
        if match is None:
            continue
        owner, target = match[1], match[2]
        down, up = state[name].double(), state.get(name.replace("lora_A", "lora_B"))
        place = {"o": "proj", "fc1": "fc1", "fc2": "fc2"}.get(target, "qkv")
        weight = merged.get(f"{owner}.{place}.weight")
        if up is None or weight is None or target not in ("q", "k", "v", "o", "fc1", "fc2"):
            raise WeightsError(f"Adapter {name} lacks its lora_B or {owner}.{place}.weight.")
        delta = up.double() @ down * ((alpha or down.shape[0]) / down.shape[0])
        if target == "o":
            change = torch.eye(delta.shape[0], dtype=delta.dtype) + delta
            bias = merged[f"{owner}.proj.bias"]
            merged[f"{owner}.proj.bias"] = (change @ bias.double()).to(bias.dtype)
            new = change @ weight.double()
        elif place == "qkv":
            new = weight.double().clone()
            start = "qkv".index(target) * delta.shape[0]
            new[start : start + delta.shape[0]] += delta
        else:
            new = weight.double() + delta
        merged[f"{owner}.{place}.weight"] = new.to(weight.dtype)
    return merged


@dataclass(frozen=True)
class Guess:
    """What a plain state dict was made for, read off its shapes.

    Attributes:
        architecture: its options; drop path is not visible in weights and is that of the
            released architecture of these shapes, else 0.
        name: ``swin3d_t`` ... when it is one of those, else a short description.
        classes: outputs of its head, 0 without one.
    """

    architecture: SwinArchitecture
    name: str
    classes: int


def guess_architecture(plain: Mapping[str, Tensor]) -> Guess:
    """Read an architecture off the shapes of a plain state.

    Raises:
        WeightsError: it is no Video Swin.
    """
    try:
        patch = plain["patch_embed.proj.weight"].shape
        found = [m for name in plain if (m := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", name))]
        stages = 1 + max(int(m[1]) for m in found)
        depths = [1 + max(int(m[2]) for m in found if int(m[1]) == i) for i in range(stages)]
        tables = [
            plain[f"layers.{i}.blocks.0.attn.relative_position_bias_table"].shape
            for i in range(stages)
        ]
        hidden = plain["layers.0.blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError) as e:
        raise WeightsError(f"These are not Video Swin weights: {e} is missing.") from e
    architecture = SwinArchitecture(
        embed_dim=patch[0],
        depths=tuple(depths),
        num_heads=tuple(t[1] for t in tables),
        drop_path_rate=0.0,
        patch_size=(patch[2], patch[3], patch[4]),
        window_size=_window(tables[0][0]),
        mlp_ratio=hidden / patch[0],
        qkv_bias="layers.0.blocks.0.attn.qkv.bias" in plain,
        patch_norm="patch_embed.norm.weight" in plain,
    )
    head = plain.get("head.weight")
    return Guess(*_recognise(architecture), classes=0 if head is None else head.shape[0])


def _window(rows: int) -> tuple[int, int, int]:
    """Return the window whose bias table has ``rows`` rows: 7 x 7 in space, else the widest."""
    for side in (7, *range(32, 0, -1)):
        depth, rest = divmod(rows, (2 * side - 1) ** 2)
        if not rest and depth % 2:
            return (depth + 1) // 2, side, side
    raise WeightsError(f"A bias table of {rows} rows belongs to no window with square sides.")


def _recognise(architecture: SwinArchitecture) -> tuple[SwinArchitecture, str]:
    """Return the released architecture of these shapes and its name, else a description."""
    known = {
        "swin3d_t": TINY,
        "swin3d_s": SMALL,
        "swin3d_b": BASE,
        "swin3d_l": LARGE,
        "swin3d_b_ssv2": BASE_SSV2,
    }
    for name, other in known.items():
        if replace(architecture, drop_path_rate=other.drop_path_rate) == other:
            return other, name
    a = architecture
    return architecture, (
        f"a Video Swin of width {a.embed_dim}, depths {a.depths}, heads {a.num_heads}, "
        f"patch {a.patch_size}, window {a.window_size}"
    )
