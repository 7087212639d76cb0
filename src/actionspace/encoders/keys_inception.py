"""Key layout of pytorch-i3d's Inception-I3D checkpoints, to and from this library's (``plain``).

``plain`` are the names of :class:`~actionspace.encoders.inception_i3d.InceptionI3D`; the
classifier, there a convolution, is ``head.weight`` [C, 1024] and ``head.bias``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_HEAD = "logits.conv3d."


def detect_layout(names: Iterable[str]) -> str:
    """Tell which layout a state dict's names follow: plain or pytorch_i3d.

    Raises:
        WeightsError: they are not those of an Inception-I3D.
    """
    known = set(names)
    if "stages.Conv3d_1a_7x7.conv.weight" in known:
        return "plain"
    if "Conv3d_1a_7x7.conv3d.weight" in known:
        return "pytorch_i3d"
    raise WeightsError(
        "These are not Inception-I3D weights in a known layout (pytorch-i3d or this library's); "
        f"the first names are {', '.join(list(names)[:4])}."
    )


def to_plain(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Return ``state`` under plain names, its classifier as a matrix."""
    if layout == "plain":
        return dict(state)
    plain: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith(_HEAD):
            plain["head." + name.removeprefix(_HEAD)] = (
                value.flatten(1) if value.ndim > 1 else value
            )
        else:
            new = re.sub(r"\.conv3d\.", ".conv.", re.sub(r"\.bn\.", ".norm.", name))
            plain[f"stages.{new}"] = value
    return plain


def from_plain(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Return plain ``state`` under the names of ``layout``.

    Raises:
        WeightsError: there is no such layout.
    """
    if layout == "plain":
        return dict(state)
    if layout != "pytorch_i3d":
        raise WeightsError(f"Inception-I3D has no layout '{layout}'; known: pytorch_i3d.")
    other: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("head."):
            new = _HEAD + name.removeprefix("head.")
            other[new] = value[..., None, None, None] if value.ndim > 1 else value
        else:
            new = name.removeprefix("stages.").replace(".conv.", ".conv3d.")
            other[new.replace(".norm.", ".bn.")] = value
    return other
