"""Weights by name or by file: find, download, read, convert."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.checkpoint import load_state, read_weights, weights_hash
from actionspace.encoders.download import download, verify_hash
from actionspace.encoders.keys import (
    Guess,
    Layout,
    detect_layout,
    guess_architecture,
    merge_original_lora,
    split_head,
    to_plain,
)
from actionspace.encoders.published import SPLIT_LISTS, WEIGHTS, WeightFile
from actionspace.errors import UsageError, WeightsError, did_you_mean
from actionspace.paths import atomic_path, cache_dir

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "SwinWeights",
    "WeightInfo",
    "convert_checkpoint",
    "download_split_list",
    "find_weights",
    "list_weights",
    "load_state",
    "obtain",
    "read_swin",
    "weights_hash",
    "weights_path",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightInfo:
    """One line of ``list weights``."""

    name: str
    status: str
    architecture: str
    classes: int
    label_set: str
    licence: str
    verified: str
    url: str
    note: str


@dataclass(frozen=True)
class SwinWeights:
    """A Video Swin weight file, read and brought to plain names.

    Attributes:
        backbone: plain tensors of the backbone, adapters merged.
        head: ``weight`` and ``bias`` of its linear head, or empty.
        layout: the names the file used.
        guess: the architecture its shapes tell.
        merged_lora: whether adapters of the original LoRA code were merged.
        notes: what else the file said about itself.
    """

    backbone: dict[str, Tensor]
    head: dict[str, Tensor]
    layout: Layout
    guess: Guess
    merged_lora: bool
    notes: Mapping[str, Any]


def find_weights(name: str) -> WeightFile:
    """Return the published file called ``name``.

    Raises:
        UsageError: there is none; the message names the nearest.
    """
    for entry in WEIGHTS:
        if entry.name == name:
            return entry
    names = [entry.name for entry in WEIGHTS]
    raise UsageError(
        f"No published weights are called '{name}', and no file of that name exists."
        f"{did_you_mean(name, names)} Known: {', '.join(names)}."
    )


def weights_path(entry: WeightFile) -> Path:
    """Return where ``entry`` lies in the cache, whether or not it is there yet."""
    return cache_dir() / "weights" / entry.filename


def weights_status(entry: WeightFile) -> str:
    """Say whether ``entry`` is in the cache, or how large its download is."""
    path = weights_path(entry)
    if path.exists():
        return f"cached ({path.stat().st_size / 1e6:.0f} MB)"
    return f"to download (about {entry.megabytes:.0f} MB)"


def list_weights(pattern: str = "*") -> list[WeightInfo]:
    """Return the published weights whose name matches ``pattern`` (``*`` and ``?``)."""
    return [
        WeightInfo(
            name=entry.name,
            status=weights_status(entry),
            architecture=f"Swin width {entry.architecture.embed_dim}, depths "
            + "-".join(map(str, entry.architecture.depths)),
            classes=entry.classes,
            label_set=entry.label_set,
            licence=entry.licence,
            verified=f"sha256 {entry.sha256}…" if entry.sha256 else "unverified (none published)",
            url=entry.url,
            note=entry.note,
        )
        for entry in WEIGHTS
        if fnmatch.fnmatch(entry.name, pattern)
    ]


def obtain(weights: str | Path) -> Path:
    """Return the file behind a published name (downloading it if need be) or a path.

    Raises:
        UsageError: neither a file nor a known name.
        WeightsError: it cannot be downloaded, or its hash is wrong.
    """
    path = Path(weights)
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise WeightsError(f"Weight file {path} does not exist.")
    entry = find_weights(str(weights))
    target = weights_path(entry)
    if not entry.sha256:
        log.warning("%s is unverified: its publisher gives no SHA-256.", entry.filename)
    if target.exists():
        verify_hash(target, entry.sha256, entry.url)
        return target
    return download(entry.url, target, sha256=entry.sha256, mirror=entry.mirror)


def download_split_list(name: str, folder: str | Path) -> Path:
    """Download a published split list (see ``published.SPLIT_LISTS``) into ``folder``.

    Raises:
        UsageError: no list has that name.
        WeightsError: it cannot be downloaded.
    """
    if name not in SPLIT_LISTS:
        known = ", ".join(SPLIT_LISTS)
        hint = did_you_mean(name, SPLIT_LISTS)
        raise UsageError(f"No split list is called '{name}'.{hint} Known: {known}.")
    return download(SPLIT_LISTS[name], Path(folder) / name)


def read_swin(path: str | Path, *, lora_alpha: float | None = None) -> SwinWeights:
    """Read a Video Swin file of any known layout, merging the original's LoRA adapters.

    Args:
        path: the file.
        lora_alpha: the ``lora_alpha`` of the run that made it; needed only for files with
            adapters that do not carry their configuration.

    Raises:
        WeightsError: the file cannot be read, is of another make, or has adapters whose
            ``lora_alpha`` is not known.
    """
    state, notes = read_weights(path)
    try:
        layout = detect_layout(state)
        plain = to_plain(state, layout)
        adapted = any(".lora_" in name for name in plain)
        if adapted:
            plain = merge_original_lora(plain, lora_alpha or _noted_alpha(notes))
        guess = guess_architecture(plain)
    except WeightsError as e:
        raise WeightsError(f"{path}: {e}") from e
    backbone, head = split_head(plain)
    return SwinWeights(backbone, head, layout, guess, adapted, notes)


def _noted_alpha(notes: Mapping[str, Any]) -> float | None:
    """Read ``lora_alpha`` from the configuration that official checkpoints carry as text."""
    found = re.search(r"lora_alpha\W+?(None|[\d.]+)", str(notes.get("config", "")))
    if found is None:
        raise WeightsError(
            "the file has LoRA adapters but does not say their lora_alpha; pass lora_alpha= as "
            "that run had it (its rank, if it was left at None)."
        )
    return None if found[1] == "None" else float(found[1])


def convert_checkpoint(
    path: str | Path, out: str | Path, *, lora_alpha: float | None = None
) -> SwinWeights:
    """Write a checkpoint of any known layout as plain safetensors, and return what it was.

    The file's metadata names the architecture, the number of classes and where it came from.

    Raises:
        WeightsError: as :func:`read_swin`.
        ActionspaceError: ``out`` cannot be written.
    """
    from safetensors.torch import save_file

    read = read_swin(path, lora_alpha=lora_alpha)
    tensors = dict(read.backbone) | {f"head.{name}": value for name, value in read.head.items()}
    metadata = {
        "format": "pt",
        "actionspace": "swin3d",
        "architecture": read.guess.name,
        "num_classes": str(read.guess.classes),
        "source_layout": read.layout,
        "merged_lora": str(read.merged_lora).lower(),
        "weights_hash": weights_hash(read.backbone),
    }
    with atomic_path(out) as tmp:
        save_file({name: value.contiguous() for name, value in tensors.items()}, tmp, metadata)
    return read
