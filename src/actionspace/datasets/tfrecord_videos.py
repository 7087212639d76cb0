"""Videos and phases that TCC's tools put into TFRecords, as video files and labels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from actionspace.datasets.framewise import FPS
from actionspace.datasets.tfrecord import Example, parse_example, read_records
from actionspace.errors import DataError
from actionspace.progress import bar


@dataclass(frozen=True)
class Unpacked:
    """A record's video, written, and its phases int64 ``[N]`` (None = without)."""

    name: str
    path: Path
    labels: np.ndarray | None


def tfrecord_files(source: Path, prefix: str) -> dict[str, list[Path]]:
    """Return split (train, val) -> files ``<prefix>*<split>*.tfrecord*`` under ``source``.

    A pattern of TCC's: ``pouring_train-0-of-2.tfrecord``.
    """
    found = {
        split: sorted(source.rglob(f"{prefix}*_{split}*.tfrecord*")) for split in ("train", "val")
    }
    return {split: files for split, files in found.items() if files}


def unpack(files: Sequence[Path], folder: Path) -> Iterator[Unpacked]:
    """Write the videos of records into ``folder`` as ``<name>.mp4``; those that exist are kept.

    Raises:
        DataError: a file is damaged, or a record holds no such video.
    """
    for file in files:
        for number, record in enumerate(bar(read_records(file), what=file.name, unit="video")):
            where = f"{file}, record {number}"
            example = parse_example(record, where)
            name, frames = _text(example, "name", where), _frames(example, where)
            labels = [int(step[0]) for step in example.lists.get("frame_labels", []) if step]
            path = folder / f"{name}.mp4"
            if not path.exists():
                _write(path, frames, where)
            yield Unpacked(name, path, np.array(labels, np.int64) if labels else None)


def _text(example: Example, feature: str, where: str) -> str:
    values = example.features.get(feature)
    if not values or not isinstance(values[0], bytes):
        raise DataError(
            f"{where} has no '{feature}' in its context (only {', '.join(example.features)})."
        )
    name = values[0].decode(errors="replace")
    if not name or set(name) & set("/\\\0") or name.startswith("."):
        raise DataError(f"{where}: {name!r} cannot be a file's name.")
    return name


def _frames(example: Example, where: str) -> list[bytes]:
    steps = example.lists.get("video", [])
    if not steps or not all(step and isinstance(step[0], bytes) for step in steps):
        raise DataError(
            f"{where} has no pictures in 'video' (only {', '.join(example.lists) or 'nothing'})."
        )
    return [cast(bytes, step[0]) for step in steps]


def _write(path: Path, frames: Sequence[bytes], where: str) -> None:
    from PIL import Image, UnidentifiedImageError

    from actionspace.video.write import write_video

    def pictures() -> Iterator[np.ndarray]:
        for number, frame in enumerate(frames):
            try:
                yield np.asarray(Image.open(io.BytesIO(frame)).convert("RGB"))
            except (UnidentifiedImageError, OSError) as e:
                raise DataError(f"{where}, frame {number} is no picture ({e}).") from e

    write_video(path, pictures(), FPS, crf=18)
