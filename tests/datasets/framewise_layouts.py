"""Tiny data sets with a phase for each frame: as CARL publishes them, and as the originals are."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from actionspace.datasets.tfrecord import masked_crc32c
from actionspace.video.write import write_video

SIZE = 32
FRAMEWISE = ("pouring", "pennaction", "finegym99", "finegym288", "phases")


def frames(count: int, seed: int = 0, height: int = SIZE, width: int = SIZE) -> np.ndarray:
    """Return frames ``[count, H, W, 3]`` whose brightness rises from frame to frame."""
    ground = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    light = 5 * np.arange(count)[:, None, None, None] % 200
    return (ground + light).astype(np.uint8)


def video(path: Path, count: int, fps: float = 25.0, seed: int = 0, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, frames(count, seed, **size), fps, options={"preset": "ultrafast"})


def tensor(labels: Sequence[int], kind: str = "int64") -> Any:
    import torch

    return torch.tensor(labels, dtype=getattr(torch, kind))


def entry(folder: Path, name: str, labels: Sequence[int], place: str = "videos") -> dict[str, Any]:
    """Write a video and return what CARL's lists say of it."""
    file = f"{place}/{name}.mp4"
    video(folder / file, len(labels), seed=zlib.crc32(name.encode()))
    return {
        "id": 0,
        "name": name,
        "video_file": file,
        "seq_len": len(labels),
        "frame_label": tensor(labels),
    }


def write_pickle(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


# --- TFRecords -----------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _feature(values: Sequence[bytes] | Sequence[int] | Sequence[float]) -> bytes:
    if not len(values):
        return b""
    if isinstance(values[0], bytes):
        return _field(1, b"".join(_field(1, v) for v in values))  # type: ignore[arg-type]
    if isinstance(values[0], float):
        return _field(2, _field(1, np.asarray(values, "<f4").tobytes()))
    packed = b"".join(_varint(int(v) % 2**64) for v in values)
    return _field(3, _field(1, packed))


def _named(items: Mapping[str, bytes]) -> bytes:
    return b"".join(_field(1, _field(1, k.encode()) + _field(2, v)) for k, v in items.items())


def example(features: Mapping[str, Any], lists: Mapping[str, Sequence[Any]] | None = None) -> bytes:
    """Return a serialised example; with ``lists`` a sequence."""
    out = _field(1, _named({name: _feature(values) for name, values in features.items()}))
    if lists is not None:
        steps = {
            name: b"".join(_field(1, _feature(values)) for values in steps)
            for name, steps in lists.items()
        }
        out += _field(2, _named(steps))
    return out


def write_records(path: Path, records: Iterable[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            for part in (length, record):
                file.write(part + struct.pack("<I", masked_crc32c(part)))
    return path


def sequence(name: str, labels: Sequence[int], seed: int = 0) -> bytes:
    """Return a video as TCC's tools write it."""
    pictures = []
    for frame in frames(len(labels), seed):
        raw = io.BytesIO()
        Image.fromarray(frame).save(raw, "jpeg", quality=95)
        pictures.append([raw.getvalue()])
    return example(
        {"name": [name.encode()], "len": [len(labels)], "label": [-1]},
        {"video": pictures, "frame_labels": [[label] for label in labels]},
    )


# --- originals -----------------------------------------------------------------------------------


def penn_action(folder: Path) -> Path:
    """Three recordings: one as long as its labels, one longer, one of an action without phases."""
    from scipy.io import savemat

    for number, (action, count, labels) in enumerate(
        (("squat", 12, 12), ("bowl", 10, 8), ("jump_rope", 6, 6)), start=1
    ):
        name = f"{number:04d}"
        pictures = folder / "Penn_Action" / "frames" / name
        pictures.mkdir(parents=True)
        for k, frame in enumerate(frames(count, number, 20, 30), start=1):
            Image.fromarray(frame).save(pictures / f"{k:06d}.jpg")
        (folder / "Penn_Action" / "labels").mkdir(exist_ok=True)
        savemat(folder / "Penn_Action" / "labels" / f"{name}.mat", {"action": action})
        split = "train" if number == 1 else "val"
        place = folder / "penn_action_labels" / split / f"{action}s"
        place.mkdir(parents=True)
        np.save(place / f"{name}_labels.npy", np.arange(labels) * 2 // labels)
    (folder / "Penn_Action" / "frames" / "0009").mkdir()
    return folder


def finegym(folder: Path) -> Path:
    """Two raw videos of 30 fps with three events, one of them without elements."""
    video(folder / "raw" / "abc_-1.mp4", 135, 30.0, height=36, width=64)
    video(folder / "raw" / "xyz.mkv", 60, 30.0, seed=1, height=36, width=64)
    annotation = {
        "abc_-1": {
            "E_000001_000003": {
                "event": 4,
                "timestamps": [[1.0, 2.2]],
                "segments": {
                    "A_0000_0001": {"stages": 1, "timestamps": [[0.2, 0.4]]},
                    "A_0001_0002": {"stages": 2, "timestamps": [[0.5, 0.6], [0.6, 0.9]]},
                },
            },
            "E_000004_000005": {"event": 1, "timestamps": [[4.0, 4.2]], "segments": None},
        },
        "xyz": {
            "E_000000_000002": {
                "event": 2,
                "timestamps": [[0.5, 1.3]],
                "segments": {"A_0000_0001": {"stages": 1, "timestamps": [[0.0, 0.5]]}},
            }
        },
    }
    (folder / "finegym_annotation_info_v1.0.json").write_text(json.dumps(annotation))
    (folder / "gym99_train_element_v1.0.txt").write_text(
        "abc_-1_E_000001_000003_A_0001_0002 7\nabc_-1_E_000001_000003_A_0000_0001 93\n"
    )
    (folder / "gym99_val_element.txt").write_text("xyz_E_000000_000002_A_0000_0001 7\n")
    return folder
