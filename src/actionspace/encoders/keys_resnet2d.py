"""Key layouts of picture ResNets, to and from this library's own (``plain``).

``plain`` are torchvision's names, the classifier being ``head.weight`` and ``head.bias``. Files of
self-supervised training (BYOL, SimCLR of Lightning Bolts, MoCo v2) keep the network under a prefix,
beside its slow copy, projection heads and queues, which are left out: none of them is a classifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_FIRST = "layer1.0.conv1.weight"
_NETWORK = re.compile(r"(conv1|bn1|layer[1-4]\.\d+\.(conv[123]|bn[123]|downsample\.[01]))\.")
#: Where each layout keeps the network, without the ``module.`` of data parallel training.
_PREFIXES = {"byol": "encoder.", "simclr": "encoder.", "mocov2": "encoder_q."}
_KEY_ENCODER = "encoder_k."


def detect_layout(names: Iterable[str]) -> str:
    """Tell which layout names follow: plain, torchvision, byol, simclr or mocov2.

    A BYOL file is told from one of SimCLR by the slow copy in it; both name the network alike.

    Raises:
        WeightsError: they are not those of a picture ResNet.
    """
    known = {name.removeprefix("module.") for name in names}
    if _FIRST in known:
        return "torchvision" if "fc.weight" in known else "plain"
    if _PREFIXES["mocov2"] + _FIRST in known:
        return "mocov2"
    if _PREFIXES["byol"] + _FIRST in known:
        copied = any(name.startswith(_KEY_ENCODER) for name in known)
        return "byol" if copied else "simclr"
    raise WeightsError(
        "These are not weights of a picture ResNet with bottlenecks in a known layout "
        "(torchvision, BYOL, SimCLR, MoCo v2 or this library's); the first names are "
        f"{', '.join(list(names)[:4])}."
    )


def to_plain(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Return ``state`` under plain names.

    Of self-supervised files only the network is taken; in the others names that no layer has are
    left as they are.
    """
    bare = {name.removeprefix("module."): value for name, value in state.items()}
    if layout in _PREFIXES:
        prefix = _PREFIXES[layout]
        own = {n.removeprefix(prefix): v for n, v in bare.items() if n.startswith(prefix)}
        return {name: value for name, value in own.items() if _NETWORK.match(name)}
    return {re.sub(r"^fc\.", "head.", name): value for name, value in bare.items()}


def from_plain(state: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Return plain ``state`` under the names of ``layout``.

    Raises:
        WeightsError: there is no such layout.
    """
    if layout == "plain":
        return dict(state)
    if layout == "torchvision":
        return {re.sub(r"^head\.", "fc.", name): value for name, value in state.items()}
    if layout not in _PREFIXES:
        known = ", ".join(("torchvision", *_PREFIXES))
        raise WeightsError(f"Picture ResNets have no layout '{layout}'; known: {known}.")
    network = {n: v for n, v in state.items() if not n.startswith("head.")}
    named = {_PREFIXES[layout] + name: value for name, value in network.items()}
    if layout != "simclr":
        named |= {_KEY_ENCODER + name: value for name, value in network.items()}
    return named
