"""Key layouts of X3D checkpoints, to and from this library's own (``plain``).

``plain`` is pytorchvideo's layout, except that the classifier, if any, is ``head.weight`` and
``head.bias``. The other zoo, PySlowFast, has one BatchNorm more, which the names keep:
``shortcut_bn_on_stride``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from actionspace.encoders.architectures_x3d import X3D_L, X3D_XSM, X3DArchitecture, round_width
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal["plain", "pytorchvideo", "pyslowfast"]

_PROJ = "blocks.5.proj."
_STAGES = 4

# PySlowFast's names of the parts of the stem, a block and the head, and pytorchvideo's. A squeeze
# and excitation lies in the BatchNorm's place, so its names come first.
_STEM = {"conv_xy.": "conv.conv_t.", "conv.": "conv.conv_xy.", "bn.": "norm."}
_BLOCK = {
    "branch1.": "branch1_conv.",
    "branch1_bn.": "branch1_norm.",
    "branch2.a.": "branch2.conv_a.",
    "branch2.a_bn.": "branch2.norm_a.",
    "branch2.b.": "branch2.conv_b.",
    "branch2.b_bn.": "branch2.norm_b.0.",
    "branch2.se.fc1.": "branch2.norm_b.1.block.0.",
    "branch2.se.fc2.": "branch2.norm_b.1.block.2.",
    "branch2.c.": "branch2.conv_c.",
    "branch2.c_bn.": "branch2.norm_c.",
}
_HEAD = {
    "conv_5.": "pool.pre_conv.",
    "conv_5_bn.": "pool.pre_norm.",
    "lin_5.": "pool.post_conv.",
    "lin_5_bn.": "pool.post_norm.",
    "projection.": "proj.",
}


def detect_layout(names: Mapping[str, object]) -> Layout:
    """Tell which layout a state dict's names follow.

    Raises:
        WeightsError: they are not those of an X3D.
    """
    if {"s1.pathway0_stem.conv_xy.weight", "head.conv_5.weight"} <= set(names):
        return "pyslowfast"
    if {"blocks.0.conv.conv_xy.weight", "blocks.5.pool.pre_conv.weight"} <= set(names):
        return "pytorchvideo" if f"{_PROJ}weight" in names else "plain"
    raise WeightsError(
        "These are not X3D weights in a known layout (pytorchvideo, PySlowFast or this library's); "
        f"the first names are {', '.join(list(names)[:4])}."
    )


def to_plain(state: Mapping[str, Tensor], layout: Layout | None = None) -> dict[str, Tensor]:
    """Return ``state`` under plain names.

    Raises:
        WeightsError: the layout is unknown, or it has a name that X3D has no place for.
    """
    layout = layout or detect_layout(state)
    plain: dict[str, Tensor] = {}
    for name, value in state.items():
        published = _from_pyslowfast(name) if layout == "pyslowfast" else name
        plain[_swap(published, _PROJ, "head.")] = value
    return plain


def from_plain(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Return plain ``state`` under the names of ``layout``.

    Raises:
        WeightsError: it has a name that X3D has no place for.
    """
    if layout == "plain":
        return dict(state)
    other = {_swap(name, "head.", _PROJ): value for name, value in state.items()}
    if layout == "pyslowfast":
        other = {_to_pyslowfast(name): value for name, value in other.items()}
    return other


def _swap(name: str, old: str, new: str) -> str:
    return new + name.removeprefix(old) if name.startswith(old) else name


def _from_pyslowfast(name: str) -> str:
    if found := re.fullmatch(r"s1\.pathway0_stem\.(.*)", name):
        return "blocks.0." + _part(found[1], _STEM, name)
    if found := re.fullmatch(r"s([2-5])\.pathway0_res(\d+)\.(.*)", name):
        stage = int(found[1]) - 1
        return f"blocks.{stage}.res_blocks.{found[2]}." + _part(found[3], _BLOCK, name)
    if found := re.fullmatch(r"head\.(.*)", name):
        return "blocks.5." + _part(found[1], _HEAD, name)
    raise _homeless(name)


def _to_pyslowfast(name: str) -> str:
    if found := re.fullmatch(r"blocks\.0\.(.*)", name):
        return "s1.pathway0_stem." + _part(found[1], _inverse(_STEM), name)
    if found := re.fullmatch(r"blocks\.([1-4])\.res_blocks\.(\d+)\.(.*)", name):
        part = _part(found[3], _inverse(_BLOCK), name)
        return f"s{int(found[1]) + 1}.pathway0_res{found[2]}.{part}"
    if found := re.fullmatch(r"blocks\.5\.(.*)", name):
        return "head." + _part(found[1], _inverse(_HEAD), name)
    raise _homeless(name)


def _part(rest: str, table: Mapping[str, str], name: str) -> str:
    for old, new in table.items():
        if rest.startswith(old):
            return new + rest.removeprefix(old)
    raise _homeless(name)


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in table.items()}


def _homeless(name: str) -> WeightsError:
    return WeightsError(
        f"'{name}' has no place in an X3D. The file belongs to another network, or to a variant "
        "that is not supported here."
    )


@dataclass(frozen=True)
class Guess:
    """What a plain state dict was made for, read off its shapes.

    Attributes:
        architecture: its options.
        name: ``x3d_l``, or ``x3d_s`` for XS, S and M, whose weights have the same shapes; else a
            short description.
        classes: outputs of its head, 0 without one.
    """

    architecture: X3DArchitecture
    name: str
    classes: int


def guess_architecture(plain: Mapping[str, Tensor]) -> Guess:
    """Read an architecture off the shapes of a plain state.

    Raises:
        WeightsError: it is no X3D, or one whose inner widths follow no single factor.
    """
    try:
        found = [m for name in plain if (m := re.match(r"blocks\.(\d)\.res_blocks\.(\d+)\.", name))]
        depths = tuple(
            1 + max(int(m[2]) for m in found if int(m[1]) == stage)
            for stage in range(1, _STAGES + 1)
        )
        narrow = [
            plain[f"blocks.{stage}.res_blocks.0.branch2.conv_c.weight"].shape
            for stage in range(1, _STAGES + 1)
        ]
        squeezed = plain[f"blocks.{_STAGES}.res_blocks.0.branch2.norm_b.1.block.0.weight"].shape
        architecture = X3DArchitecture(
            stem_dim=plain["blocks.0.conv.conv_t.weight"].shape[0],
            widths=tuple(shape[0] for shape in narrow),
            depths=depths,
            bottleneck=_factor([(shape[0], shape[1]) for shape in narrow]),
            se_ratio=_se_ratio(squeezed[1], squeezed[0]),
            head_dim=plain["blocks.5.pool.post_conv.weight"].shape[0],
            shortcut_bn_on_stride=_norms_every_shortcut(plain),
            bn_lin5="blocks.5.pool.post_norm.weight" in plain,
        )
    except (KeyError, ValueError) as e:
        raise WeightsError(f"These are not X3D weights: {e} is missing.") from e
    head = plain.get("head.weight")
    return Guess(architecture, _recognise(architecture), 0 if head is None else head.shape[0])


def _norms_every_shortcut(plain: Mapping[str, Tensor]) -> bool:
    """Whether a shortcut that only strides has a BatchNorm."""
    for stage in range(1, _STAGES + 1):
        block = f"blocks.{stage}.res_blocks.0."
        conv = plain.get(f"{block}branch1_conv.weight")
        if conv is not None and conv.shape[0] == conv.shape[1]:
            return f"{block}branch1_norm.weight" in plain
    return False


def _factor(widths: list[tuple[int, int]]) -> float:
    """Return the bottleneck factor of blocks with these (output, inner) widths."""
    for factor in (2.25, *(inner / out for out, inner in widths)):
        if all(int(factor * out) == inner for out, inner in widths):
            return factor
    raise WeightsError(f"The (output, inner) widths {widths} follow no single bottleneck factor.")


def _se_ratio(inner: int, squeezed: int) -> float:
    usual = X3DArchitecture.se_ratio
    return usual if round_width(inner, usual) == squeezed else squeezed / inner


def _recognise(architecture: X3DArchitecture) -> str:
    usual = replace(architecture, shortcut_bn_on_stride=False, bn_lin5=False)
    for name, known in {"x3d_s": X3D_XSM, "x3d_l": X3D_L}.items():
        if usual == known:
            return name
    a = architecture
    return f"an X3D of widths {a.widths}, depths {a.depths}, head {a.head_dim}"
