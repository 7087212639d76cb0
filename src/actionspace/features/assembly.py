"""One video's features on their way from clips to a file: batches, parts, the finished rows.

The clips of a video have a fixed order and are cut into batches of B from its beginning, so what
is computed together never depends on where a run stopped or on the other videos. Every so
many seconds the finished stretch is committed as a part; a later run goes on behind the last one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.errors import StoreError
from actionspace.features.packing import Packed, fits, pack
from actionspace.features.store import FeatureStore, VideoFeatures, store_errors
from actionspace.paths import atomic_path


@dataclass(frozen=True)
class Rows:
    """The rows one video is to get, before any is computed; n clips in N rows of V views."""

    key: str
    """Name of the video's features."""
    slots: np.ndarray
    """Int64 ``[n]``: ``row * V + view`` of each clip, in the order the clips are encoded."""
    times: np.ndarray
    """Seconds each row covers, ``[N, 2]``."""
    views: int
    """Views V per row."""
    meta: dict[str, Any]
    """Provenance kept with the features."""

    @property
    def clips(self) -> int:
        """Number of clips n."""
        return len(self.slots)


@dataclass
class Batch:
    """Clips of one video to encode together: their positions and frames."""

    first: int
    """Position at which this batch begins."""
    end: int
    """Position at which the next one begins, at the latest."""
    positions: list[int] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)


class Assembly:
    """Collects one video: clips in by :meth:`add`, features in by :meth:`commit`."""

    def __init__(
        self, store: FeatureStore, rows: Rows, video: str, batch_size: int, part_seconds: float
    ) -> None:
        self.rows = rows
        self.video = video
        self._store = store
        self._batch_size = batch_size
        self._part_seconds = part_seconds
        self._last_part = time.monotonic()
        self.done = committed_clips(store, rows.key)
        """Clips behind which this run goes on: those before are in parts on disk."""
        self._batch: Batch | None = None
        self._pieces: list[Packed] = []

    def add(self, position: int, frames: np.ndarray) -> Iterator[Batch]:
        """Take one clip; yield the batch before it if this clip begins a new one."""
        if self._batch is not None and position >= self._batch.end:
            yield self._batch
            self._batch = None
        if self._batch is None:
            self._batch = Batch(position, min(position + self._batch_size, self.rows.clips))
        self._batch.positions.append(position)
        self._batch.frames.append(frames)
        if position == self._batch.end - 1:
            yield self._batch
            self._batch = None

    def rest(self) -> Iterator[Batch]:
        """Yield the batch that never filled because the video ended early."""
        if self._batch is not None:
            yield self._batch
            self._batch = None

    def commit(self, batch: Batch, features: np.ndarray, dtype: str) -> None:
        """Keep a batch's features ``[B, D]`` or tokens ``[B, L, D]``; now and then write a part.

        Raises:
            StoreError: a feature is NaN or infinite, or the part cannot be written.
        """
        slots = self.rows.slots[batch.positions]
        packed = pack(features, dtype)
        self._check(packed, slots, features, dtype)
        self._pieces.append({"slots": slots} | packed)
        due = time.monotonic() - self._last_part >= self._part_seconds
        if due and batch.end < self.rows.clips:
            self._write_part(batch.end)

    def finish(self) -> VideoFeatures | None:
        """Join parts and the rest into rows; ``None`` if not one row is whole.

        Rows of which a view is missing are left out, and ``meta["partial"]`` counts them (what
        the decoder says is not kept: it depends on where a run went on).
        """
        n, views = len(self.rows.times), self.rows.views
        have = np.zeros(n * views, dtype=bool)
        flat: Packed = {}
        for piece in self._committed():
            slots = piece.pop("slots")
            for name, values in piece.items():
                if name not in flat:
                    flat[name] = np.zeros((n * views, *values.shape[1:]), dtype=values.dtype)
                flat[name][slots] = values
            have[slots] = True
        keep = have.reshape(n, views).all(axis=1)
        if not keep.any():
            return None
        meta = self.rows.meta
        if not keep.all():
            lost = f"{n - int(keep.sum())} of {n} rows are missing"
            meta = meta | {"partial": "; ".join(filter(None, [meta.get("partial"), lost]))}
        for name, values in flat.items():
            shaped = values.reshape(n, views, *values.shape[1:]) if views > 1 else values
            flat[name] = shaped if keep.all() else shaped[keep]
        times = self.rows.times[keep]
        return VideoFeatures(flat["features"], times, dict(meta), flat.get("scale"))

    def _committed(self) -> Iterator[Packed]:
        for path in _parts(self._store, self.rows.key):
            yield _read_part(path)
        yield from self._pieces

    def _write_part(self, end: int) -> None:
        from safetensors.numpy import save

        names = self._pieces[0]
        tensors = {name: np.concatenate([piece[name] for piece in self._pieces]) for name in names}
        path = self._store.parts_of(self.rows.key) / f"{self.done:09d}-{end:09d}.safetensors"
        with store_errors(self._store.path), atomic_path(path) as tmp:
            tmp.write_bytes(save(tensors))
        self.done = end
        self._last_part = time.monotonic()
        self._pieces = []

    def _check(self, packed: Packed, slots: np.ndarray, features: np.ndarray, dtype: str) -> None:
        bad = np.flatnonzero(~fits(packed).reshape(len(slots), -1).all(axis=1))
        if not len(bad):
            return
        start, end = self.rows.times[slots[bad[0]] // self.rows.views]
        if np.isfinite(features[bad[0]]).all():
            largest = float(np.abs(features[bad[0]]).max())
            what = f"a feature of size {largest:g}, too large for {dtype}; use dtype=float32"
        else:
            what = "NaN or infinity from the encoder; try precision=float32"
        raise StoreError(f"'{self.video}', clip at {start:.3f}-{end:.3f} s: {what}.")


def committed_clips(store: FeatureStore, key: str) -> int:
    """Return how many clips of a video lie in parts already."""
    parts = _parts(store, key)
    return int(parts[-1].stem.partition("-")[2]) if parts else 0


def _parts(store: FeatureStore, key: str) -> list[Path]:
    """Return the part files that follow one another from clip 0."""
    end, chain = 0, []
    for path in sorted(store.parts_of(key).glob("[0-9]*.safetensors")):
        first, _, last = path.stem.partition("-")
        if int(first) == end:
            chain.append(path)
            end = int(last)
    return chain


def _read_part(path: Path) -> Packed:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as e:
        raise StoreError(f"{path} is damaged ({e}); delete it and run again.") from e
