"""Key layouts of ResNet and SlowFast checkpoints, to and from this library's own (``plain``).

``plain`` are the names of :class:`~actionspace.encoders.resnet3d.ResNet3D` and
:class:`~actionspace.encoders.slowfast.SlowFast`; the classifier is ``head.weight`` and
``head.bias``. Both pytorchvideo and PySlowFast number what they hold: blocks from 0, where C2D and
I3D have one without weights (pooling) as number 2; or stages from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

# Layers of a block, and of what fuses two pathways: plain name -> name there.
_PYTORCHVIDEO = {
    "shortcut.": "branch1_conv.",
    "shortcut_norm.": "branch1_norm.",
    **{f"{layer}_{i}.": f"branch2.{layer}_{i}." for layer in ("conv", "norm") for i in "abc"},
}
_PYSLOWFAST = {
    "shortcut.": "branch1.",
    "shortcut_norm.": "branch1_bn.",
    **{f"conv_{i}.": f"branch2.{i}." for i in "abc"},
    **{f"norm_{i}.": f"branch2.{i}_bn." for i in "abc"},
}
_PATHWAYS = ("slow", "fast")


def detect_layout(names: Iterable[str]) -> str:
    """Tell which layout a state dict's names follow: plain, pytorchvideo or pyslowfast.

    Raises:
        WeightsError: they are not those of a ResNet or SlowFast.
    """
    known = set(names)
    if known & {"stages.0.0.conv_a.weight", "slow.stages.0.0.conv_a.weight"}:
        return "plain"
    if known & {"blocks.0.conv.weight", "blocks.0.multipathway_blocks.0.conv.weight"}:
        return "pytorchvideo"
    if {"s1.pathway0_stem.conv.weight", "s2.pathway0_res0.branch2.a.weight"} <= known:
        return "pyslowfast"
    raise WeightsError(
        "These are not ResNet or SlowFast weights in a known layout (pytorchvideo, PySlowFast or "
        f"this library's); the first names are {', '.join(list(names)[:4])}."
    )


def to_plain(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Return ``state`` under plain names; names that no layer has are left as they are."""
    if layout == "plain":
        return dict(state)
    if layout == "pytorchvideo":
        pooled = "blocks.5.res_blocks.0.branch2.conv_a.weight" in state
        return {_from_pytorchvideo(name, pooled): value for name, value in state.items()}
    two = any(name.startswith("s1.pathway1") for name in state)
    return {_from_pyslowfast(name, two): value for name, value in state.items()}


def from_plain(
    state: Mapping[str, Tensor], layout: str, *, halve_time: bool = False
) -> dict[str, Tensor]:
    """Return plain ``state`` under the names of ``layout``.

    Args:
        state: plain tensors.
        layout: plain, pytorchvideo or pyslowfast.
        halve_time: it is a C2D or I3D, whose pooling takes a number in pytorchvideo.

    Raises:
        WeightsError: there is no such layout.
    """
    if layout == "plain":
        return dict(state)
    if layout == "pytorchvideo":
        last = 6 if halve_time or any(name.startswith("slow.") for name in state) else 5
        return {_to_pytorchvideo(n, halve_time, last): v for n, v in state.items()}
    if layout == "pyslowfast":
        return {_to_pyslowfast(name): value for name, value in state.items()}
    raise WeightsError(f"ResNets have no layout '{layout}'; known: pytorchvideo, pyslowfast.")


def _from_pytorchvideo(name: str, pooled: bool) -> str:
    if match := re.match(r"blocks\.\d+\.proj\.(.*)", name):
        return f"head.{match[1]}"
    if match := re.match(r"blocks\.(\d)\.multipathway_fusion\.(.*)", name):
        return f"fuse.{match[1]}.{match[2].replace('conv_fast_to_slow', 'conv')}"
    match = re.match(r"blocks\.(\d)\.(?:multipathway_blocks\.(\d)\.)?(.*)", name)
    if match is None:
        return name
    pathway = f"{_PATHWAYS[int(match[2])]}." if match[2] else ""
    number, rest = int(match[1]), match[3]
    if number == 0:
        return f"{pathway}stem.{rest}"
    stage = number - (2 if pooled and number > 2 else 1)
    rest = _renamed(rest.removeprefix("res_blocks."), {v: k for k, v in _PYTORCHVIDEO.items()})
    return f"{pathway}stages.{stage}.{rest}"


def _to_pytorchvideo(name: str, pooled: bool, last: int) -> str:
    if name.startswith("head."):
        return f"blocks.{last}.proj.{name.removeprefix('head.')}"
    if match := re.match(r"fuse\.(\d)\.(.*)", name):
        rest = match[2].replace("conv.", "conv_fast_to_slow.")
        return f"blocks.{match[1]}.multipathway_fusion.{rest}"
    pathway, rest = _pathway(name)
    among = "" if pathway is None else f"multipathway_blocks.{pathway}."
    if rest.startswith("stem."):
        return f"blocks.0.{among}{rest.removeprefix('stem.')}"
    _, stage, layer = rest.split(".", 2)
    number = int(stage) + (2 if pooled and int(stage) else 1)
    return f"blocks.{number}.{among}res_blocks.{_renamed(layer, _PYTORCHVIDEO)}"


def _from_pyslowfast(name: str, two: bool) -> str:
    if match := re.match(r"head\.projection(?:_(verb|noun))?\.(.*)", name):
        return f"head.{match[1] + '.' if match[1] else ''}{match[2]}"
    if match := re.match(r"s(\d)_fuse\.(.*)", name):
        rest = match[2].replace("conv_f2s", "conv").replace("bn.", "norm.")
        return f"fuse.{int(match[1]) - 1}.{rest}"
    match = re.match(r"s(\d)\.pathway(\d)_(?:stem|res(\d+))\.(.*)", name)
    if match is None:
        return name
    pathway = f"{_PATHWAYS[int(match[2])]}." if two else ""
    if match[3] is None:
        return f"{pathway}stem.{match[4].replace('bn.', 'norm.')}"
    rest = _renamed(match[4], {v: k for k, v in _PYSLOWFAST.items()})
    return f"{pathway}stages.{int(match[1]) - 2}.{match[3]}.{rest}"


def _to_pyslowfast(name: str) -> str:
    if match := re.match(r"head\.(?:(verb|noun)\.)?(.*)", name):
        return f"head.projection{'_' + match[1] if match[1] else ''}.{match[2]}"
    if match := re.match(r"fuse\.(\d)\.(.*)", name):
        rest = match[2].replace("conv.", "conv_f2s.").replace("norm.", "bn.")
        return f"s{int(match[1]) + 1}_fuse.{rest}"
    pathway, rest = _pathway(name)
    if rest.startswith("stem."):
        layer = rest.removeprefix("stem.").replace("norm.", "bn.")
        return f"s1.pathway{pathway or 0}_stem.{layer}"
    _, stage, block, layer = rest.split(".", 3)
    layer = _renamed(layer, _PYSLOWFAST)
    return f"s{int(stage) + 2}.pathway{pathway or 0}_res{block}.{layer}"


def _pathway(name: str) -> tuple[int | None, str]:
    first, _, rest = name.partition(".")
    return (_PATHWAYS.index(first), rest) if first in _PATHWAYS else (None, name)


def _renamed(name: str, table: Mapping[str, str]) -> str:
    """Rename the layer in ``name``, which may have the block's number before it."""
    number = re.match(r"\d+\.", name)
    start = number.end() if number else 0
    for old, new in table.items():
        if name.startswith(old, start):
            return name[:start] + new + name[start + len(old) :]
    return name
