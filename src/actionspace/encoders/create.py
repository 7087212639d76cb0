"""Encoders by name: the catalogue, and making one.

Importing this module does not import torch, so that listing is instant.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.hf_create import hf_encoder, is_hf
from actionspace.encoders.hf_files import status
from actionspace.encoders.hf_published import HF_ENTRIES
from actionspace.encoders.licences import check_licence
from actionspace.encoders.own import own_encoder
from actionspace.encoders.published import NETWORKS, WEIGHTS
from actionspace.encoders.reading import Checkpoint, network_class, read_checkpoint
from actionspace.encoders.spec import SOUND, ClipSpec
from actionspace.encoders.weight_file import Architecture
from actionspace.encoders.weights import obtain, refuse_folder, weights_hash, weights_status
from actionspace.errors import UsageError, WeightsError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from actionspace.encoders.encoder import Encoder

UNTRAINED = "untrained:"


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
        gate: why the licence must be accepted first: ``non-commercial``, ``gated`` or ``""``.
    """

    name: str
    parameters: int
    multiply_adds: int
    dim: int
    clip: ClipSpec
    licence: str
    weights: str
    note: str
    gate: str = ""

    @property
    def input(self) -> str:
        """The clip, in words."""
        c = self.clip
        rate = f" at {c.fps:g} fps" if c.fps else ""
        seen = {"rgb": "", "flow": " optical flow"}
        what = f"{c.size}x{c.size}{seen[c.input]}" if c.input in seen else "sound"
        return f"{c.frames} frames, stride {c.stride}{rate}, {what}"


def list_encoders(pattern: str = "*") -> list[EncoderInfo]:
    """Return the encoders whose name matches ``pattern`` (``*`` and ``?``), without torch."""
    infos = [_starter_info(), _logmel_info()]
    for name, architecture in NETWORKS.items():
        note = "random weights (or weights=FILE)"
        infos.append(_info(name, architecture, architecture.clip, "", "untrained", note))
    for entry in WEIGHTS:
        there, clip = weights_status(entry), entry.clip
        infos.append(_info(entry.name, entry.architecture, clip, entry.licence, there, entry.note))
    infos += [
        EncoderInfo(
            name=e.name,
            parameters=e.parameters,
            multiply_adds=e.multiply_adds,
            dim=e.dim,
            clip=e.clip,
            licence=e.licence,
            weights=status(e.repository),
            note=e.note,
            gate=e.gate,
        )
        for e in HF_ENTRIES
    ]
    return [info for info in infos if fnmatch.fnmatch(info.name, pattern)]


def _info(
    name: str, architecture: Architecture, clip: ClipSpec, licence: str, weights: str, note: str
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


def _logmel_info() -> EncoderInfo:
    from actionspace.video.logmel import LogMel

    note = "loudness of bands of pitch, no network"
    return EncoderInfo("logmel", 0, 0, LogMel().dim, SOUND, "", "none needed", note)


def create_encoder(
    name: str,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    seed: int = 0,
    clip: ClipSpec | None = None,
    lora_alpha: float | None = None,
    part: str | None = None,
    accept_licence: bool = False,
    **options: Any,
) -> Encoder:
    """Make an encoder, in eval mode, on ``device``.

    Args:
        name: a name from :func:`list_encoders`; ``untrained:NAME`` for the same network with
            random weights; a weight file of any known network and layout; a folder of a model of
            transformers (``config.json`` with its weights); or ``module:function``
            (``file.py:function``) returning an :class:`~actionspace.encoders.encoder.Encoder`,
            or a module with attributes ``dim`` (channels of its output) and ``clip`` (a
            :class:`ClipSpec`).
        weights: a weight file (of transformers' models their folder) or the name of published
            weights, instead of the name's own.
        device: where it goes.
        seed: of random weights.
        clip: the clip it is fed, instead of the name's own.
        lora_alpha: of a ``weights`` file with adapters of the original LoRA code.
        part: of a ``weights`` file of V-JEPA: which encoder; see
            :func:`~actionspace.encoders.reading.read_checkpoint`.
        accept_licence: accept the licence of weights that ask for it; see :mod:`.licences`.
        **options: passed to the backbone (``use_checkpoint=True``, ``drop_path_rate=0.1``, ...)
            or to the function.

    Raises:
        UsageError: unknown name or option; the nearest known one is named.
        WeightsError: weights are missing, unsafe, damaged, or do not fit.
    """
    untrained = name.startswith(UNTRAINED)
    bare = name.removeprefix(UNTRAINED)
    reading = {"lora_alpha": lora_alpha, "part": part}
    if Path(bare).is_file():
        encoder = _file(Path(bare), weights, reading, options)
        name = Path(bare).name
    elif ":" in bare:
        with _seeded(seed):  # what it does not load, it draws
            encoder = own_encoder(bare, weights, options)
    elif bare == "starter":
        encoder = _starter(untrained, weights, seed, options)
    elif name == "logmel":
        encoder = _logmel(weights, options)
    elif is_hf(bare):
        with _seeded(seed):
            encoder = hf_encoder(
                bare,
                untrained=untrained,
                weights=weights,
                seed=seed,
                options=options,
                accept_licence=accept_licence,
            )
        name = Path(name).resolve().name if Path(bare).is_dir() else name
    else:
        encoder = _known(bare, untrained, weights, seed, reading, options)
    encoder.name = name
    if clip is not None:
        encoder.set_clip(clip)
    return encoder.to(device).eval()


def _starter(
    untrained: bool, weights: str | Path | None, seed: int, options: dict[str, Any]
) -> Encoder:
    from actionspace.encoders.starter import load_starter

    if options:
        raise UsageError("Encoder 'starter' takes no backbone options; use 'swin3d_t' for that.")
    if weights is None:
        return load_starter(trained=not untrained, seed=seed)
    _check_random("starter", untrained, weights)
    return load_starter(obtain(weights))


def _logmel(weights: str | Path | None, options: dict[str, Any]) -> Encoder:
    from actionspace.encoders.sound import LogMelEncoder
    from actionspace.video.logmel import LogMel

    if weights is not None:
        raise UsageError("Encoder 'logmel' has no weights; leave them out.")
    _check_options(LogMel, options)
    return LogMelEncoder(LogMel(**options))


def _known(
    name: str,
    untrained: bool,
    weights: str | Path | None,
    seed: int,
    reading: dict[str, Any],
    options: dict[str, Any],
) -> Encoder:
    published = {entry.name: entry for entry in WEIGHTS}
    if name in published:
        entry = published[name]
        architecture, clip, licence = entry.architecture, entry.clip, entry.licence
        source = None if untrained else weights or name
    elif name in NETWORKS:
        architecture, licence, source = NETWORKS[name], "", weights
        clip = architecture.clip
    else:
        refuse_folder(Path(name))
        raise _unknown(name)
    if weights is not None:
        _check_random(name, untrained, weights)
    _check_options(network_class(architecture.network), options)
    arguments, read = architecture.options(), None
    if source is not None:
        path = obtain(source)
        if source == name:
            check_licence(name, licence, "")
        read = read_checkpoint(path, **reading)
        arguments |= {key: read.told[key] for key in read.told.keys() & arguments.keys()}
    with _seeded(seed):
        backbone = network_class(architecture.network)(**arguments | options)
    digest = f"untrained-seed{seed}"
    if read is not None:
        hint = f"By its shapes the file is {read.name}; create that instead of {name}."
        digest = _fit(backbone, read, f"{path} into {name}", hint)
    return _encoder(backbone, name, clip, options, licence if weights is None else "", digest)


def _file(
    path: Path, weights: str | Path | None, reading: dict[str, Any], options: dict[str, Any]
) -> Encoder:
    if weights is not None:
        raise UsageError(f"{path} is a weight file itself; leave out weights={weights}.")
    read = read_checkpoint(path, **reading)
    if read.options is None:
        raise WeightsError(
            f"{path} is {read.name}, so its options cannot be told; create the network by name "
            f"with them, and weights={path}."
        )
    network = network_class(read.network)
    _check_options(network, options)
    backbone = network(**read.options | options)
    digest = _fit(backbone, read, f"{path} into {read.name} with {options}", "")
    clip = NETWORKS[read.name].clip if read.name in NETWORKS else ClipSpec()
    return _encoder(backbone, path.name, clip, options, "", digest)


def _encoder(
    backbone: Any, name: str, clip: ClipSpec, options: dict[str, Any], licence: str, digest: str
) -> Encoder:
    from actionspace.encoders.encoder import Encoder

    return Encoder(
        backbone,
        name=name,
        dim=backbone.dim,
        clip=clip,
        licence=licence,
        weights_hash=digest,
        options=options,
    )


def _fit(backbone: nn.Module, read: Checkpoint, what: str, hint: str) -> str:
    """Put the weights in and return their hash."""
    from actionspace.encoders.fit import fit_state

    fit_state(backbone, read.backbone, what=what, hint=hint)
    return weights_hash(read.backbone)


def _check_random(name: str, untrained: bool, weights: str | Path) -> None:
    if untrained:
        raise UsageError(f"'{UNTRAINED}{name}' is random by name; leave out weights={weights}.")


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
    known = ["starter", "logmel", *NETWORKS]
    known += [entry.name for entry in WEIGHTS] + [entry.name for entry in HF_ENTRIES]
    return UsageError(
        f"Unknown encoder '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}; "
        f"'{UNTRAINED}NAME' for random weights; your own as 'module:function'."
    )


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw random weights from ``seed`` without touching the caller's random state."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
