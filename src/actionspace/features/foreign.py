"""Features that other projects made: a directory of arrays, read as if it were a store.

Row i of a video with ``stride``, ``window`` (frames) and ``fps`` covers the seconds from
``(offset + i * stride) / fps`` to ``(offset + i * stride + window) / fps``. Features
that were rescaled to a fixed number of rows per video have no stride; there each row covers its
share of the video's duration.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import StoreError, UsageError, did_you_mean
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.paths import portable

if TYPE_CHECKING:
    from collections.abc import Callable

PerVideo = float | Mapping[str, float]


def open_features(
    path: str | Path,
    *,
    stride: float | None = None,
    window: float | None = None,
    fps: PerVideo | None = None,
    duration: PerVideo | None = None,
    offset: float = 0.0,
    array: str | None = None,
    transpose: bool = False,
    prefix: str = "",
    suffix: str = "",
) -> Features:
    """Open a feature store, or a directory of ``.npy``, ``.npz``, ``.pt``, ``.h5`` features.

    Args:
        path: a store; a directory with one file per video; or one ``.h5`` file with one data set
            per video.
        stride: frames between two rows.
        window: frames one row was computed from; the stride if not given.
        fps: frames per second the features were made at, one number or one per video.
        duration: seconds per video, in place of stride and fps for features rescaled to a fixed
            number of rows.
        offset: frames of the video before the first row's first one.
        array: name of the array inside ``.npz``, ``.pt`` and ``.h5`` files that hold several.
        transpose: the files hold ``[D, N]``, not ``[N, D]``.
        prefix, suffix: what the file names have around the video's name, as in
            ``v_<name>_rgb.npy``.

    Raises:
        StoreError: nothing of the kind is there.
        UsageError: the options do not say when each row is.
    """
    path = Path(path)
    if (path / "store.json").is_file():
        return FeatureStore.open(path)
    if not path.exists():
        raise StoreError(f"{path} does not exist.")
    files = _find(path)
    if not files:
        raise StoreError(
            f"{path} is neither a feature store nor a directory of {', '.join(_READERS)} files."
        )
    clock = Clock.of(path, stride, window, fps, duration, offset)
    named = _named(files, prefix, suffix)
    return ForeignFeatures(
        path, named, clock, array=array, transpose=transpose, around=(prefix, suffix)
    )


@dataclass(frozen=True)
class Clock:
    """When the rows of a video are; see :func:`open_features`."""

    stride: float | None
    window: float | None
    fps: PerVideo | None
    duration: PerVideo | None
    offset: float

    @classmethod
    def of(
        cls,
        path: Path,
        stride: float | None,
        window: float | None,
        fps: PerVideo | None,
        duration: PerVideo | None,
        offset: float = 0.0,
    ) -> Clock:
        """Check the options; ``path`` is what messages name.

        Raises:
            UsageError: they do not say when each row is.
        """
        if duration is None and (stride is None or fps is None):
            raise UsageError(
                f"{path} holds features of another make; say when each row is: stride= and fps= "
                f"(and window=), or duration= for features rescaled to a fixed number of rows."
            )
        if any(frames is not None and frames <= 0 for frames in (stride, window)):
            raise UsageError(f"stride and window are frames above 0, got {stride} and {window}.")
        return cls(stride, window, fps, duration, offset)

    def times(self, name: str, video: str, rows: int) -> np.ndarray:
        """Return the seconds that each row covers, ``[rows, 2]``.

        Raises:
            StoreError: fps or duration of the video are not known.
        """
        first = np.arange(rows, dtype=np.float64)
        if self.stride is None:
            share = _per_video(self.duration, name, video, "duration") / rows
            return np.stack([first * share, (first + 1) * share], axis=1)
        fps = _per_video(self.fps, name, video, "fps")
        start = self.offset + first * self.stride
        return np.stack([start, start + (self.window or self.stride)], axis=1) / fps


class ForeignFeatures:
    """A read-only directory of other people's features; made by :func:`open_features`."""

    rows = "dense"

    def __init__(
        self,
        path: Path,
        files: dict[str, tuple[Path, str | None]],
        clock: Clock,
        *,
        array: str | None = None,
        transpose: bool = False,
        around: tuple[str, str] = ("", ""),
    ) -> None:
        self.path = path
        self._files = files
        self._clock = clock
        self._array, self._transpose, self._around = array, transpose, around
        self._dim: int | None = None

    def __repr__(self) -> str:
        return f"ForeignFeatures({str(self.path)!r}, {len(self)} videos)"

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, video: object) -> bool:
        return isinstance(video, (str, Path)) and self._name(video) is not None

    @property
    def dim(self) -> int:
        """Length D of one feature vector, as the first video has it."""
        if self._dim is None:
            self._dim = int(self._load(next(iter(self._files))).shape[-1])
        return self._dim

    @property
    def n_views(self) -> int:
        """Always 1."""
        return 1

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What is known of these features."""
        clock = self._clock
        return {
            "format": "foreign",
            "dim": self.dim,
            "stride": clock.stride,
            "window": clock.window,
            "fps": clock.fps if isinstance(clock.fps, (int, float)) else None,
        }

    def videos(self) -> list[str]:
        """Names of the videos (file names without prefix and suffix), sorted."""
        return sorted(self._files)

    def skipped(self) -> dict[str, str]:
        """Nothing is ever skipped here."""
        return {}

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's features ``[N, D]`` (float32 unless stored smaller) and row times.

        ``video`` may be a manifest path: its folder and file ending do not matter.

        Raises:
            StoreError: there are none, or the file does not hold one finite 2-D array.
        """
        name = self._name(video)
        if name is None:
            hint = did_you_mean(PurePosixPath(portable(video)).stem, self._files)
            raise StoreError(f"{self.path} has no features of '{video}'.{hint}")
        features = self._load(name)
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(bad):
            raise StoreError(f"{self._files[name][0]}: row {bad[0]} holds NaN or infinity.")
        times = self._clock.times(name, str(video), len(features))
        return VideoFeatures(features, times, {"file": self._files[name][0].as_posix()})

    def _name(self, video: str | Path) -> str | None:
        path = PurePosixPath(portable(video))
        before, after = self._around
        bare = path.stem.removeprefix(before).removesuffix(after)
        for name in (str(path), str(path.with_suffix("")), path.name, path.stem, bare):
            if name in self._files:
                return name
        return None

    def _load(self, name: str) -> np.ndarray:
        file, inside = self._files[name]
        try:
            found = _READERS[file.suffix.lower()](file, inside or self._array)
        except StoreError:
            raise
        except Exception as e:  # a damaged file may raise anything; the reader cannot know
            raise StoreError(f"{file} cannot be read: {e}") from e
        if found.ndim == 3 and 1 in (found.shape[0], found.shape[-1]):
            found = found.squeeze(0 if found.shape[0] == 1 else -1)
        if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.size:
            raise StoreError(
                f"{file} holds {found.dtype} of shape {list(found.shape)}; expected numbers [N, D]."
            )
        found = found.T if self._transpose else found
        return found if found.dtype == np.float16 else found.astype(np.float32)


Features = FeatureStore | ForeignFeatures
"""Anything with ``get(video)``: our store, or a directory of other people's features."""


def _per_video(value: PerVideo | None, name: str, video: str, what: str) -> float:
    if isinstance(value, Mapping):
        value = value.get(video, value.get(name))
    if value is None or not value > 0:
        raise StoreError(f"'{video}' has no {what}; give {what}= as one number or one per video.")
    return float(value)


def _find(path: Path) -> dict[str, tuple[Path, str | None]]:
    """Return relative name without suffix -> (file, data set inside it or None)."""
    if path.is_dir():
        files = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in _READERS]
        return {p.relative_to(path).with_suffix("").as_posix(): (p, None) for p in files}
    if path.suffix.lower() in (".h5", ".hdf5"):
        h5py = _h5py(path)
        try:
            with h5py.File(path, "r") as f:
                return {str(name): (path, str(name)) for name in f}
        except OSError as e:
            raise StoreError(f"{path} cannot be read: {e}") from e
    return {}


def _named(
    files: dict[str, tuple[Path, str | None]], prefix: str, suffix: str
) -> dict[str, tuple[Path, str | None]]:
    kept = []
    for relative, file in files.items():
        folder, _, stem = relative.rpartition("/")
        if stem.startswith(prefix) and stem.endswith(suffix):
            kept.append((folder, stem.removeprefix(prefix).removesuffix(suffix), file))
    # The bare name finds the video whatever folder the manifest puts it in, if it is the only one.
    count = Counter(stem for _, stem, _ in kept)
    named = {
        stem if count[stem] == 1 else f"{folder}/{stem}".lstrip("/"): file
        for folder, stem, file in kept
    }
    if not named:
        raise StoreError(
            f"None of {len(files)} feature files starts with '{prefix}' and ends with '{suffix}'; "
            f"the first is '{next(iter(files))}'."
        )
    return named


def _read_npy(file: Path, _: str | None) -> np.ndarray:
    return np.asarray(np.load(file, allow_pickle=False))


def _read_npz(file: Path, array: str | None) -> np.ndarray:
    with np.load(file, allow_pickle=False) as f:
        return np.asarray(f[_pick(file, list(f.files), array)])


def _read_pt(file: Path, array: str | None) -> np.ndarray:
    import torch

    found = torch.load(file, map_location="cpu", weights_only=True)
    if isinstance(found, dict):
        found = found[_pick(file, [str(k) for k in found], array)]
    if not isinstance(found, torch.Tensor):
        raise StoreError(f"{file} holds a {type(found).__name__}, not a tensor.")
    return np.asarray(found.detach().float().numpy())


def _read_h5(file: Path, array: str | None) -> np.ndarray:
    with _h5py(file).File(file, "r") as f:
        return np.asarray(f[_pick(file, list(f), array)][()])


def _pick(file: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is not None and wanted in names:
        return wanted
    asked = f"has no array '{wanted}'" if wanted else "holds several arrays; name one with array="
    raise StoreError(f"{file} {asked}. It holds: {', '.join(sorted(names))}.")


def _h5py(file: Path) -> Any:
    try:
        return importlib.import_module("h5py")
    except ImportError as e:
        raise StoreError(f"Reading {file} needs h5py: pip install h5py.") from e


_READERS: dict[str, Callable[[Path, str | None], np.ndarray]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
}
