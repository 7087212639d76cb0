"""Reading a checkpoint of any known network and layout: what it is, and its weights."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders import (
    keys,
    keys_inception,
    keys_resnet,
    keys_resnet2d,
    keys_vjepa,
    keys_x3d,
)
from actionspace.encoders.architectures import SwinArchitecture
from actionspace.encoders.checkpoint import read_weights, refuse_adapters
from actionspace.encoders.published_resnet import RESNET_NETWORKS
from actionspace.encoders.published_resnet2d import RESNET2D_NETWORKS
from actionspace.encoders.published_x3d import X3D_NETWORKS
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPER = "module."
#: Networks that are recognised by comparing shapes.
_BY_SHAPES = (*RESNET_NETWORKS, *RESNET2D_NETWORKS)

log = logging.getLogger("actionspace")


@dataclass(frozen=True)
class Checkpoint:
    """A weight file, read and brought to this library's names.

    Attributes:
        backbone: tensors of the backbone, adapters merged.
        head: ``weight`` and ``bias`` of its linear head (``verb.weight`` ... of several), or empty.
        layout: the names the file used.
        name: the network's name by its shapes, else a short description.
        network: its module class, as ``module:class``.
        options: that class's arguments by the shapes; None where they do not tell.
        told: those of the options that decide which weights there are and that files of one
            network differ in.
        classes: outputs of its head, 0 without one.
        merged_lora: whether adapters of the original LoRA code were merged.
        notes: what else the file said about itself.
    """

    backbone: dict[str, Tensor]
    head: dict[str, Tensor]
    layout: str
    name: str
    network: str
    options: dict[str, Any] | None
    classes: int
    told: dict[str, Any] = field(default_factory=dict)
    merged_lora: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(
    path: str | Path, *, lora_alpha: float | None = None, part: str | None = None
) -> Checkpoint:
    """Read a weight file of any known network and layout.

    Args:
        path: the file.
        lora_alpha: the ``lora_alpha`` of the run that made it; needed only for Video Swins with
            adapters of the original code that do not carry their configuration.
        part: which of the encoders in a file of V-JEPA: ``target_encoder``, ``ema_encoder`` or
            ``encoder``; by default its average.

    Raises:
        WeightsError: the file cannot be read, is of another make, holds adapters alone, or has
            some whose ``lora_alpha`` is not known.
    """
    state, notes = read_weights(path, part=part)
    refuse_adapters(state, path)
    state = {name.removeprefix(_WRAPPER): value for name, value in state.items()}
    for detect, read in (
        (keys.detect_layout, functools.partial(_read_swin, lora_alpha=lora_alpha)),
        (keys_x3d.detect_layout, _read_x3d),
        (keys_resnet.detect_layout, _read_resnet),
        (keys_inception.detect_layout, _read_inception),
        (keys_vjepa.detect_layout, _read_vjepa),
        (keys_resnet2d.detect_layout, _read_resnet2d),
    ):
        try:
            detect(state)
        except WeightsError:
            continue
        try:
            return read(state, notes)
        except WeightsError as e:
            raise WeightsError(f"{path}: {e}") from e
    raise WeightsError(
        f"{path} holds weights of no network and layout known here: Video Swin (mmaction 0.x, "
        f"mmaction2 1.x, torchvision), X3D, SlowFast, Slow, C2D and I3D (pytorchvideo, "
        f"PySlowFast), Inception-I3D (pytorch-i3d), ResNet-50 of pictures (torchvision, BYOL, "
        f"SimCLR, MoCo v2), V-JEPA 2 and 2.1, or this library's own. The first names are "
        f"{', '.join(list(state)[:4])}. Weights of the starter or of your own encoder are read by "
        f"its name: encoder=NAME weights={path}."
    )


def read_swin(path: str | Path, *, lora_alpha: float | None = None) -> Checkpoint:
    """Read a Video Swin file of any known layout, merging the original's LoRA adapters.

    Raises:
        WeightsError: as :func:`read_checkpoint`; or it is another network.
    """
    read = read_checkpoint(path, lora_alpha=lora_alpha)
    if read.network != SwinArchitecture.network:
        raise WeightsError(f"{path} is {read.name}, not a Video Swin.")
    return read


def _read_swin(
    state: Mapping[str, Tensor], notes: Mapping[str, Any], *, lora_alpha: float | None
) -> Checkpoint:
    layout = keys.detect_layout(state)
    plain = keys.to_plain(state, layout)
    adapted = any(".lora_" in name for name in plain)
    if adapted:
        plain = keys.merge_original_lora(plain, lora_alpha or _noted_alpha(notes))
        log.info("The file holds LoRA adapters of the original code; they are merged.")
    guess = keys.guess_architecture(plain)
    return Checkpoint(
        *keys.split_head(plain),
        layout,
        guess.name,
        guess.architecture.network,
        guess.architecture.options(),
        guess.classes,
        merged_lora=adapted,
        notes=notes,
    )


def _noted_alpha(notes: Mapping[str, Any]) -> float | None:
    """Read ``lora_alpha`` from the configuration that official checkpoints carry as text."""
    found = re.search(r"lora_alpha\W+?(None|[\d.]+)", str(notes.get("config", "")))
    if found is None:
        raise WeightsError(
            "the file has LoRA adapters but does not say their lora_alpha; pass lora_alpha= as "
            "that run had it (its rank, if it was left at None)."
        )
    return None if found[1] == "None" else float(found[1])


def _read_x3d(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Checkpoint:
    layout = keys_x3d.detect_layout(state)
    plain = keys_x3d.to_plain(state, layout)
    guess = keys_x3d.guess_architecture(plain)
    options = guess.architecture.options()
    return Checkpoint(
        *keys.split_head(plain),
        layout,
        guess.name,
        X3D_NETWORKS[0].network,
        options,
        guess.classes,
        told={name: options[name] for name in ("shortcut_bn_on_stride", "bn_lin5")},
        notes=notes,
    )


def _read_resnet(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Checkpoint:
    layout = keys_resnet.detect_layout(state)
    return _by_shapes(keys_resnet.to_plain(state, layout), layout, notes)


def _read_inception(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Checkpoint:
    layout = keys_inception.detect_layout(state)
    return _by_shapes(keys_inception.to_plain(state, layout), layout, notes)


def _read_resnet2d(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Checkpoint:
    layout = keys_resnet2d.detect_layout(state)
    return _by_shapes(keys_resnet2d.to_plain(state, layout), layout, notes)


def _read_vjepa(state: Mapping[str, Tensor], notes: Mapping[str, Any]) -> Checkpoint:
    layout = keys_vjepa.detect_layout(state)
    plain = keys_vjepa.to_plain(state)
    guess = keys_vjepa.guess_architecture(plain)
    return Checkpoint(
        plain, {}, layout, guess.name, guess.network, guess.options, classes=0, notes=notes
    )


def _by_shapes(plain: Mapping[str, Tensor], layout: str, notes: Mapping[str, Any]) -> Checkpoint:
    """Recognise a network by comparing with the known ones."""
    backbone, head = keys.split_head(plain)
    shapes = _shapes(backbone)
    match = next((net for net in _BY_SHAPES if _known_shapes(net.name) == shapes), None)
    return Checkpoint(
        backbone,
        head,
        layout,
        match.name if match else "a network of shapes not known here",
        match.network if match else "",
        match.options() if match else None,
        max((len(value) for value in head.values()), default=0),
        notes=notes,
    )


@functools.cache
def _known_shapes(name: str) -> dict[str, tuple[int, ...]]:
    import torch

    (network,) = (net for net in _BY_SHAPES if net.name == name)
    with torch.device("meta"):
        return _shapes(network_class(network.network)(**network.options()).state_dict())


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {n: tuple(v.shape) for n, v in state.items() if not n.endswith("num_batches_tracked")}


def network_class(network: str) -> Any:
    """Import a module class named ``module:class``."""
    import importlib

    module, _, name = network.partition(":")
    return getattr(importlib.import_module(module), name)
