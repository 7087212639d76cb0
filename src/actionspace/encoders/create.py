"""Encoders by name: the catalogue, and making one.

Importing this module does not import torch, so that listing is instant.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.architectures import BASE, LARGE, SMALL, TINY, SwinArchitecture
from actionspace.encoders.published import WEIGHTS
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.weights import (
    SwinWeights,
    obtain,
    read_swin,
    weights_hash,
    weights_status,
)
from actionspace.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from actionspace.encoders.encoder import Encoder

UNTRAINED = "untrained:"
SIZES = {"swin3d_t": TINY, "swin3d_s": SMALL, "swin3d_b": BASE, "swin3d_l": LARGE}


@dataclass(frozen=True)
class EncoderInfo:
    """One line of ``list encoders``.

    Attributes:
        name: what to ask for.
        parameters: of the backbone.
        multiply_adds: of one clip's forward pass (the literature's "FLOPs").
        dim: channels of its features.
        clip: the clip it expects.
        licence: of the weights.
        weights: whether they are at hand.
        note: what it is.
    """

    name: str
    parameters: int
    multiply_adds: int
    dim: int
    clip: ClipSpec
    licence: str
    weights: str
    note: str

    @property
    def input(self) -> str:
        """The clip, in words."""
        c = self.clip
        rate = f" at {c.fps:g} fps" if c.fps else ""
        return f"{c.frames} frames, stride {c.stride}{rate}, {c.size}x{c.size}"


def list_encoders(pattern: str = "*") -> list[EncoderInfo]:
    """Return the encoders whose name matches ``pattern`` (``*`` and ``?``), without torch."""
    infos = [_starter_info()]
    for name, architecture in SIZES.items():
        note = "random weights (or weights=FILE)"
        infos.append(_info(name, architecture, ClipSpec(), "", "untrained", note))
    for entry in WEIGHTS:
        clip = ClipSpec(frames=entry.frames, stride=entry.stride)
        status = weights_status(entry)
        infos.append(_info(entry.name, entry.architecture, clip, entry.licence, status, entry.note))
    return [info for info in infos if fnmatch.fnmatch(info.name, pattern)]


def _info(
    name: str, architecture: SwinArchitecture, clip: ClipSpec, licence: str, weights: str, note: str
) -> EncoderInfo:
    return EncoderInfo(
        name=name,
        parameters=architecture.parameters(),
        multiply_adds=architecture.multiply_adds(clip.frames, clip.size, clip.size),
        dim=architecture.dim,
        clip=clip,
        licence=licence,
        weights=weights,
        note=note,
    )


def _starter_info() -> EncoderInfo:
    from actionspace.encoders import starter

    a, note = starter.ARCHITECTURE, "ships with the package; for first runs without a network"
    info = _info("starter", a, starter.CLIP, starter.LICENCE, "in the package", note)
    seen = 2 * starter.READ + starter.MAPS
    estimates = starter.DIM - starter.MAPS
    parameters = info.parameters + starter.READ * (a.dim + 1) + estimates * (seen + 1)
    cost = 2 * a.multiply_adds(starter.CLIP.frames, starter.LOOK, starter.LOOK)
    return replace(info, dim=starter.DIM, parameters=parameters, multiply_adds=cost)


def create_encoder(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    clip: ClipSpec | None = None,
    lora_alpha: float | None = None,
    **options: Any,
) -> Encoder:
    """Make an encoder, in eval mode, on ``device``.

    Args:
        name: a name from :func:`list_encoders`; ``untrained:NAME`` for the same network with
            random weights; a Video Swin weight file of any known layout; or ``module:function``
            (``file.py:function``) returning an :class:`~actionspace.encoders.encoder.Encoder`,
            or a module with attributes ``dim`` (channels of its output) and ``clip`` (a
            :class:`ClipSpec`).
        weights: a weight file or the name of published weights, instead of the name's own.
        device: where it goes.
        seed: of random weights.
        clip: the clip it is fed, instead of the name's own.
        lora_alpha: of a ``weights`` file with adapters of the original LoRA code.
        **options: passed to the backbone (``use_checkpoint=True``, ``drop_path_rate=0.1``, ...)
            or to the function.

    Raises:
        UsageError: unknown name or option; the nearest known one is named.
        WeightsError: weights are missing, unsafe, damaged, or do not fit.
    """
    untrained = name.startswith(UNTRAINED)
    bare = name.removeprefix(UNTRAINED)
    if Path(bare).is_file():
        encoder = _file(Path(bare), weights, lora_alpha, options)
        name = Path(bare).name
    elif ":" in bare:
        encoder = _own(bare, weights, options)
    elif bare == "starter":
        encoder = _starter(untrained, weights, seed, options)
    else:
        encoder = _swin(bare, untrained, weights, seed, lora_alpha, options)
    encoder.name = name
    if clip is not None:
        encoder.set_clip(clip)
    return encoder.to(device).eval()


def _starter(
    untrained: bool, weights: str | Path | None, seed: int, options: dict[str, Any]
) -> Encoder:
    from actionspace.encoders.starter import load_starter

    if weights is not None or options:
        raise UsageError(
            "Encoder 'starter' takes no weights and no backbone options; use 'swin3d_t' for that."
        )
    return load_starter(trained=not untrained, seed=seed)


def _swin(
    name: str,
    untrained: bool,
    weights: str | Path | None,
    seed: int,
    lora_alpha: float | None,
    options: dict[str, Any],
) -> Encoder:
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.swin3d import SwinTransformer3D

    published = {entry.name: entry for entry in WEIGHTS}
    if name in published:
        entry = published[name]
        architecture, licence = entry.architecture, entry.licence
        clip = ClipSpec(frames=entry.frames, stride=entry.stride)
        source = None if untrained else weights or name
    elif name in SIZES:
        architecture, licence, clip, source = SIZES[name], "", ClipSpec(), weights
    else:
        raise _unknown(name)
    if untrained and weights is not None:
        raise UsageError(f"'{UNTRAINED}{name}' is random by name; leave out weights={weights}.")
    _check_options(SwinTransformer3D, options)
    with _seeded(seed):
        backbone = SwinTransformer3D(**architecture.options() | options)
    digest = f"untrained-seed{seed}"
    if source is not None:
        digest = _load(backbone, name, source, lora_alpha)
    return Encoder(
        backbone,
        name=name,
        dim=backbone.dim,
        clip=clip,
        licence=licence if weights is None else "",
        weights_hash=digest,
        options=options,
    )


def _file(
    path: Path, weights: str | Path | None, lora_alpha: float | None, options: dict[str, Any]
) -> Encoder:
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.swin3d import SwinTransformer3D

    if weights is not None:
        raise UsageError(f"{path} is a weight file itself; leave out weights={weights}.")
    _check_options(SwinTransformer3D, options)
    read = read_swin(path, lora_alpha=lora_alpha)
    backbone = SwinTransformer3D(**read.guess.architecture.options() | options)
    digest = _fit(backbone, read, f"{path} into {read.guess.name} with {options}", "")
    return Encoder(
        backbone,
        name=path.name,
        dim=backbone.dim,
        clip=ClipSpec(),
        weights_hash=digest,
        options=options,
    )


def _load(backbone: nn.Module, name: str, source: str | Path, lora_alpha: float | None) -> str:
    path = obtain(source)
    read = read_swin(path, lora_alpha=lora_alpha)
    hint = f"By its shapes the file is {read.guess.name}; create that instead of {name}."
    return _fit(backbone, read, f"{path} into {name}", hint)


def _fit(backbone: nn.Module, read: SwinWeights, what: str, hint: str) -> str:
    """Put the weights in and return their hash."""
    from actionspace.encoders.fit import fit_state

    fit_state(backbone, read.backbone, what=what, hint=hint)
    return weights_hash(read.backbone)


def _check_options(factory: Any, options: dict[str, Any]) -> None:
    import inspect

    known = list(inspect.signature(factory).parameters)
    for option in options:
        if option not in known:
            raise UsageError(
                f"Unknown encoder option '{option}'.{did_you_mean(option, known)} "
                f"Known: {', '.join(known)}."
            )


def _unknown(name: str) -> UsageError:
    known = ["starter", *SIZES, *(entry.name for entry in WEIGHTS)]
    return UsageError(
        f"Unknown encoder '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}; "
        f"'{UNTRAINED}NAME' for random weights; your own as 'module:function'."
    )


def _own(name: str, weights: str | Path | None, options: dict[str, Any]) -> Encoder:
    import torch
    from torch import nn

    from actionspace.encoders.checkpoint import load_state
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.fit import fit_state

    made = _call(name, options)
    if not isinstance(made, nn.Module):
        raise UsageError(f"{name} returned {type(made).__name__}; expected a torch module.")
    if weights is not None:
        fit_state(made, load_state(weights), what=f"{weights} into {name}")
    if not isinstance(made, Encoder):
        dim, clip = getattr(made, "dim", None), getattr(made, "clip", None)
        if not isinstance(dim, int) or not isinstance(clip, ClipSpec):
            raise UsageError(
                f"{name} returned a {type(made).__name__} without what is needed to feed it: set "
                f"its attributes dim (int, channels of the output; now {dim!r}) and clip "
                f"(actionspace.encoders.spec.ClipSpec; now {clip!r}), or return an Encoder."
            )
        made = Encoder(made, name=name, dim=dim, clip=clip, options=options)
    made.weights_hash = made.weights_hash or weights_hash(made.state_dict())
    made.eval()
    c = made.clip
    with torch.no_grad():
        made.forward_features(torch.zeros(1, 3, c.frames, c.size, c.size))
    return made


def _call(name: str, options: dict[str, Any]) -> object:
    place, _, function = name.rpartition(":")
    try:
        module = _import_file(Path(place)) if place.endswith(".py") else _import_name(place)
    except ImportError as e:
        raise UsageError(
            f"Cannot import '{place}' for encoder '{name}': {e}. Run from the folder it lies in, "
            f"or write path/to/file.py:{function}."
        ) from e
    factory = getattr(module, function, None)
    if not callable(factory):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(f"'{place}' has no function '{function}'.{did_you_mean(function, public)}")
    try:
        return factory(**options)
    except TypeError as e:
        raise UsageError(f"Calling {name} with options {options} failed: {e}.") from e


def _import_name(place: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))  # Installed commands do not look in the current folder.
    try:
        return importlib.import_module(place)
    finally:
        sys.path.pop(0)


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_actionspace_own_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{path} does not exist")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw random weights from ``seed`` without touching the caller's random state."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
