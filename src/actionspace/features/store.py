"""The feature store: one directory, one ``.safetensors`` file per video, one fingerprint.

Layout::

    store.json            format and fingerprint: what these features are; licence of the weights
    index.json            manifest path of each video -> its file
    skipped.json          videos that gave no features, with the reason (absent when none)
    ab/ab12….safetensors  features [N, D] or [N, V, D], of tokens [N, L, D] or [N, V, L, D]; times
                          [N, 2]; of int8 the scales; provenance as metadata
    parts/<key>/          finished stretches of a video still being extracted

Files are named by what they hold (content of the video, crop, event rows), so a moved or renamed
video is recognised and the index is only a view that can always be made again.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import ActionspaceError, DataError, StoreError, did_you_mean
from actionspace.features.fingerprint import check_same
from actionspace.features.packing import unpack
from actionspace.paths import atomic_path, portable, read_json, write_json

if TYPE_CHECKING:
    from actionspace.features.summary import ExtractionSummary

FORMAT = 1
_METADATA_KEY = "actionspace"  # one key: the header's key order is then the same every time


@dataclass(frozen=True)
class VideoFeatures:
    """The features of one video."""

    features: np.ndarray
    """Float array ``[N, D]``, or ``[N, V, D]`` where each row has V views; of tokens ``[N, L, D]``
    or ``[N, V, L, D]``."""
    times: np.ndarray
    """Seconds each row covers, ``[N, 2]`` float64, half-open; for event rows the event."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Provenance: content hash, crop, fps, frames, duration; ``partial`` says why rows lack."""
    scale: np.ndarray | None = None
    """On the way to a file, of features packed as int8: see :mod:`.packing`. Never read back."""

    def __len__(self) -> int:
        return len(self.times)


class FeatureStore:
    """A directory of features that all share one fingerprint.

    Open one with :meth:`open`, or let :func:`actionspace.features.extract.extract` make it.
    """

    def __init__(self, path: Path, fingerprint: dict[str, Any]) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.summary: ExtractionSummary | None = None
        """What the extraction that returned this store did; ``None`` on an opened store."""
        self.licence = ""
        """Licence of the weights that the features were made with; ``""`` if unknown."""
        self._index: dict[str, dict[str, Any]] = {}
        self._stale: list[str] = []
        self.reload()

    @classmethod
    def create(
        cls, path: str | Path, fingerprint: Mapping[str, Any], licence: str = ""
    ) -> FeatureStore:
        """Make the store, or open the one that is there if its fingerprint is the same.

        Raises:
            StoreError: the store has another fingerprint (the message names the fields that
                differ), or the folder holds something else.
        """
        path = Path(path)
        if (path / "store.json").is_file():
            store = cls.open(path)
            check_same(store.fingerprint, fingerprint, path)
            return store
        if path.exists() and (not path.is_dir() or _is_foreign(path)):
            raise StoreError(f"{path} exists and is not a feature store; choose another place.")
        with store_errors(path):
            head = {"format": FORMAT, "fingerprint": dict(fingerprint)}
            write_json(path / "store.json", head | ({"licence": licence} if licence else {}))
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> FeatureStore:
        """Open an existing store for reading.

        Raises:
            StoreError: there is no store, or it is damaged or of a newer format.
        """
        path = Path(path)
        if not (path / "store.json").is_file():
            raise StoreError(
                f"{path} is not a feature store (no store.json). Make one with `actionspace "
                f"extract`, or open other features with their stride, window and fps."
            )
        head = _read(path / "store.json")
        if head.get("format") != FORMAT or not isinstance(head.get("fingerprint"), dict):
            raise StoreError(
                f"{path} is a feature store of format {head.get('format')!r}; this version reads "
                f"format {FORMAT}. Extract again or update actionspace."
            )
        store = cls(path, head["fingerprint"])
        store.licence = str(head.get("licence", ""))
        return store

    @property
    def dim(self) -> int:
        """Length D of one feature vector."""
        return int(self.fingerprint["dim"])

    @property
    def n_views(self) -> int:
        """Views stored per row; 1 when features are ``[N, D]``."""
        return int(self.fingerprint.get("views", 1))

    @property
    def tokens(self) -> str | None:
        """Which tokens of a clip are stored, ``"time"`` or ``"GxG"``; ``None`` = one vector."""
        return self.fingerprint.get("tokens")

    @property
    def n_tokens(self) -> int:
        """Tokens L stored per clip; 1 when there is one vector."""
        return math.prod(self.fingerprint.get("token_grid", ()))

    @property
    def rows(self) -> str:
        """``"dense"`` (a grid over each video) or ``"events"`` (one row per event)."""
        return str(self.fingerprint.get("rows", "dense"))

    def __contains__(self, video: object) -> bool:
        return isinstance(video, (str, Path)) and portable(video) in self._index

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        encoder = self.fingerprint.get("encoder")
        what = f"dim={self.dim}" + (f", {self.n_tokens} tokens" if self.tokens else "")
        return f"FeatureStore({str(self.path)!r}, {len(self)} videos, {encoder}, {what})"

    def videos(self) -> list[str]:
        """Manifest paths of the videos that have features, sorted."""
        return sorted(self._index)

    def skipped(self) -> dict[str, str]:
        """Videos that gave no features, with the reason."""
        path = self.path / "skipped.json"
        return dict(_read(path)) if path.is_file() else {}

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's features.

        Raises:
            StoreError: the video has no features here (with the reason if it was skipped), or
                its file is damaged.
        """
        name = portable(video)
        if name not in self._index:
            reason = self.skipped().get(name)
            why = f" It was skipped: {reason}" if reason else did_you_mean(name, self._index)
            raise StoreError(f"{self.path} has no features of '{name}'.{why}")
        return read_features(self.path / self._index[name]["file"])

    def export_npy(self, out: str | Path) -> Path:
        """Write every video as plain ``<video>.npy`` with ``<video>.times.npy`` beside it.

        Sub-folders and the video's suffix are kept (``a/b.mp4.npy``), so that no two collide.
        """
        out = Path(out)
        for name in self.videos():
            found = self.get(name)
            for suffix, array in ((".npy", found.features), (".times.npy", found.times)):
                with atomic_path(out / f"{name}{suffix}") as tmp, tmp.open("wb") as f:
                    np.save(f, array, allow_pickle=False)
        return out

    # ---- what extraction uses -------------------------------------------------------------

    def reload(self) -> None:
        """Read the index again (another process may have added videos)."""
        path = self.path / "index.json"
        found = _read(path) if path.is_file() else {}
        self._index = dict(found.get("videos", {}))
        self._stale = list(found.get("stale", []))

    def file_of(self, key: str) -> Path:
        """Return where the features with this key lie, or would lie."""
        return self.path / key[:2] / f"{key}.safetensors"

    def rows_in(self, key: str) -> int | None:
        """Return how many rows the features with this key have; ``None`` if they are not whole."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file_of(key), framework="numpy") as f:
                return int(f.get_slice("times").get_shape()[0])
        except (OSError, SafetensorError):
            return None

    def put(self, video: str, key: str, features: VideoFeatures) -> None:
        """Write one video's features, whole or not at all; see :meth:`link` for the index."""
        with store_errors(self.path):
            write_features(self.file_of(key), features)
        self.link(video, key, len(features))

    def link(self, video: str, key: str, rows: int) -> None:
        """Let ``video`` point at the file with this key; :meth:`save_index` writes it down."""
        file = self.file_of(key).relative_to(self.path).as_posix()
        before = self._index.get(video)
        self._index[video] = {"file": file, "rows": rows}
        if before and before["file"] != file:
            self._stale.append(before["file"])

    def save_index(self) -> None:
        """Write the index, and remove files that no video points at any more."""
        used = {entry["file"] for entry in self._index.values()}
        stale = sorted(set(self._stale) - used)
        with store_errors(self.path):
            if stale:  # written down first, so that a kill in between leaves no orphan
                self._write_index(stale)
                for file in stale:
                    (self.path / file).unlink(missing_ok=True)
            self._write_index([])
        self._stale = []

    def _write_index(self, stale: list[str]) -> None:
        index: dict[str, Any] = {"videos": {v: self._index[v] for v in sorted(self._index)}}
        if stale:
            index["stale"] = stale
        write_json(self.path / "index.json", index)

    def save_skipped(self, reasons: Mapping[str, str]) -> None:
        """Write the list of skipped videos; an empty one leaves no file."""
        path = self.path / "skipped.json"
        with store_errors(self.path):
            if reasons:
                write_json(path, {v: reasons[v] for v in sorted(reasons)})
            else:
                path.unlink(missing_ok=True)

    def parts_of(self, key: str) -> Path:
        """Return the folder for the finished stretches of an unfinished video."""
        return self.path / "parts" / key

    def clean(self) -> None:
        """Remove what a killed run left: temporary files, and parts of finished videos."""
        for tmp in [*self.path.glob(".*.tmp.*"), *self.path.glob("*/.*.tmp.*")]:
            tmp.unlink(missing_ok=True)
        for tmp in self.path.glob("parts/*/.*.tmp.*"):
            tmp.unlink(missing_ok=True)
        for folder in self.path.glob("parts/*"):
            if self.file_of(folder.name).is_file():
                self.drop_parts(folder.name)

    def drop_parts(self, key: str) -> None:
        """Remove the parts of one video, and the parts folder once it is empty."""
        shutil.rmtree(self.parts_of(key), ignore_errors=True)
        parts = self.path / "parts"
        if parts.is_dir() and not any(parts.iterdir()):
            parts.rmdir()


def write_features(path: Path, value: VideoFeatures) -> None:
    """Write features, times and metadata as one safetensors file, atomically, same bytes always."""
    from safetensors.numpy import save

    meta = json.dumps(value.meta, sort_keys=True, separators=(",", ":"))
    tensors = {
        "features": np.ascontiguousarray(value.features),
        "times": np.ascontiguousarray(value.times, dtype=np.float64),
    }
    if value.scale is not None:
        tensors["scale"] = np.ascontiguousarray(value.scale)
    with atomic_path(path) as tmp:
        tmp.write_bytes(save(tensors, metadata={_METADATA_KEY: meta}))


def read_features(path: Path) -> VideoFeatures:
    """Read a file of :func:`write_features`.

    Raises:
        StoreError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as f:
            meta = json.loads((f.metadata() or {}).get(_METADATA_KEY, "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118
            return VideoFeatures(unpack(tensors), tensors["times"], meta)
    except (OSError, SafetensorError, ValueError, KeyError) as e:
        raise StoreError(
            f"{path} is missing or damaged ({e}). Delete it and run the extraction again; only "
            f"this video is redone."
        ) from e


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Turn a failed write into a :class:`StoreError` that says what is safe and what to do."""
    try:
        yield
    except StoreError:
        raise
    except (OSError, ActionspaceError) as e:
        raise StoreError(
            f"{e} Finished videos in the store {path} are safe; once the cause is gone, the same "
            f"command goes on from there."
        ) from e


def _is_foreign(path: Path) -> bool:
    """Whether a folder holds anything but what an interrupted creation leaves."""
    return any(not p.name.startswith(".") for p in path.iterdir())


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except DataError as e:
        raise StoreError(f"{e} The store is damaged there; extract again.") from e
    if not isinstance(value, dict):
        raise StoreError(f"{path} is damaged: it must hold an object. Extract again.")
    return value
