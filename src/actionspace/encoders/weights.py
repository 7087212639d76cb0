"""Weights by name or by file: find, download, read, convert."""

from __future__ import annotations

import fnmatch
import logging
from dataclasses import dataclass
from pathlib import Path

from actionspace.encoders.checkpoint import load_state, weights_hash, write_weights
from actionspace.encoders.download import download, verify_hash
from actionspace.encoders.published import SPLIT_LISTS, WEIGHTS
from actionspace.encoders.reading import Checkpoint, read_checkpoint, read_swin
from actionspace.encoders.weight_file import WeightFile
from actionspace.errors import UsageError, WeightsError, did_you_mean
from actionspace.paths import cache_dir

__all__ = [
    "Checkpoint",
    "WeightInfo",
    "convert_checkpoint",
    "download_split_list",
    "find_weights",
    "list_weights",
    "load_state",
    "obtain",
    "read_checkpoint",
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
            architecture=entry.architecture.describe(),
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
        WeightsError: it cannot be downloaded, its hash is wrong, or it is a folder.
    """
    path = Path(weights)
    if path.is_file():
        return path
    refuse_folder(path)
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


def refuse_folder(path: Path) -> None:
    """Refuse a folder, such as a run or that of its adapters, where a weight file is wanted.

    Raises:
        WeightsError: it is one.
    """
    if path.is_dir():
        raise WeightsError(
            f"{path} is a folder, not a weight file. If it is a run, or holds the adapters of one, "
            "predict with the run; `actionspace convert RUN --out FILE` writes its encoder as a "
            "file that weights= takes."
        )


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


def convert_checkpoint(
    path: str | Path,
    out: str | Path,
    *,
    lora_alpha: float | None = None,
    part: str | None = None,
) -> Checkpoint:
    """Write a checkpoint of any known layout as plain safetensors, and return what it was.

    The file's metadata names the architecture, the number of classes and where it came from.

    Raises:
        WeightsError: as :func:`read_checkpoint`.
        ActionspaceError: ``out`` cannot be written.
    """
    read = read_checkpoint(path, lora_alpha=lora_alpha, part=part)
    tensors = dict(read.backbone) | {f"head.{name}": value for name, value in read.head.items()}
    metadata = {
        "format": "pt",
        "actionspace": read.network.rpartition(".")[2].partition(":")[0],
        "architecture": read.name,
        "num_classes": str(read.classes),
        "source_layout": read.layout,
        "merged_lora": str(read.merged_lora).lower(),
        "weights_hash": weights_hash(read.backbone),
    }
    write_weights(out, tensors, metadata)
    return read
