"""An index of a large feature store: which of its videos are worth looking at for a vector.

Searching is exact without it, and reads every row. The index (faiss: rows of length 1 in 8 bits a
number, in lists by their nearest of some centres; Jegou et al. 2011) names the videos in which the
most similar rows lie, and only these are then searched exactly: similarities are always those of
the store's own rows, and what can be missed is a video that the index does not name. How often that
happens is measured when it is made (``recall``).

It lies beside the store, ``search/<key>.faiss`` with ``search/<key>.json``; the key is that of the
store's index and fingerprint, so that a store that has changed is indexed again.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from actionspace.errors import ActionspaceError, UsageError
from actionspace.features.store import FeatureStore
from actionspace.features.track import pooled
from actionspace.paths import atomic_path, read_json, sha256_file, sha256_json, write_json
from actionspace.progress import progress

if TYPE_CHECKING:
    from actionspace.features.joined import Source

log = logging.getLogger("actionspace")

#: Rows from which on a store is indexed without being asked.
LARGE = 2_000_000

#: Rows per centre that the centres are learnt from.
PER_CENTRE = 40

#: Rows that recall is measured on.
ASKED = 50

INSTALL = "pip install actionspace[index]"

Rows = NDArray[np.float32]


def available() -> bool:
    """Whether faiss is installed."""
    return importlib.util.find_spec("faiss") is not None


@dataclass(frozen=True)
class RowIndex:
    """The index of a store.

    Attributes:
        lists: faiss's index of all rows.
        names: videos of the store.
        starts: number of each one's first row, and of all rows ``[videos + 1]``.
        recall: of the videos of the 100 most similar rows of the store, the share that
            :meth:`videos` names, asked for as many; mean over rows drawn from the store.
    """

    lists: Any
    names: list[str]
    starts: NDArray[np.int64]
    recall: float = math.nan

    def videos(self, direction: Rows, count: int) -> list[str]:
        """Return the ``count`` videos with the most similar rows, best first; fewer if that is all.

        Args:
            direction: ``[D]``.
            count: how many.
        """
        total = int(self.starts[-1])
        rows, lists = min(total, max(1000, 20 * count)), 16
        while True:
            self.lists.nprobe = min(lists, self.lists.nlist)
            found = self.lists.search(direction[None].astype(np.float32), rows)[1][0]
            owner = np.searchsorted(self.starts, found[found >= 0], side="right") - 1
            first = np.sort(np.unique(owner, return_index=True)[1])
            everything = rows == total and lists >= self.lists.nlist
            if len(first) >= count or everything:
                return [self.names[video] for video in owner[first[:count]]]
            # One long video can hold more similar rows than were asked for.
            rows, lists = min(4 * rows, total), 4 * lists


def worth_searching(
    store: Source, direction: Rows, count: int, index: bool | None = None
) -> list[str]:
    """Return the videos to search for a vector: all of them, or those that an index names.

    Args:
        store: features.
        direction: ``[D]``, of length 1.
        count: videos that are asked of the index.
        index: use one; None = of a store of :data:`LARGE` rows or more, if that is possible.

    Raises:
        UsageError: an index is asked for, but faiss is not installed, or this is no store of ours.
    """
    if index is None:
        index = isinstance(store, FeatureStore) and rows_of(store) >= LARGE
        if index and not available():
            log.warning(f"Every row of {store!r} is read; an index is faster ({INSTALL}).")
            index = False
        try:
            return worth_searching(store, direction, count, index)
        except (ActionspaceError, OSError) as e:
            log.warning(f"Every row is read, for there can be no index: {e}")
            index = False
    if not index:
        return store.videos()
    if not isinstance(store, FeatureStore):
        raise UsageError(f"{store!r} cannot have an index; only a feature store can (extract).")
    found = row_index(store)
    log.info(f"Only what the index names is searched; its recall was {found.recall:.1%}.")
    return found.videos(direction, count)


def row_index(store: FeatureStore) -> RowIndex:
    """Return the index of a store; it is made if there is none, or one of what the store was.

    Raises:
        UsageError: faiss is not installed.
        StoreError: the store is damaged.
    """
    if not available():
        raise UsageError(
            f"An index needs faiss: {INSTALL}. Without it (index=false) search reads every row."
        )
    import faiss

    place = _place(store)
    if not (place.with_suffix(".json").is_file() and place.is_file()):
        _make(store, place)
    about = read_json(place.with_suffix(".json"))
    # Mapped, not read: a search touches few of its lists.
    lists = faiss.read_index(str(place), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    return RowIndex(lists, about["videos"], np.array(about["starts"], np.int64), about["recall"])


def rows_of(store: FeatureStore) -> int:
    """Return how many rows a store has, by its index."""
    listed = read_json(store.path / "index.json")["videos"] if len(store) else {}
    return sum(int(entry["rows"]) for entry in listed.values())


def _place(store: FeatureStore) -> Path:
    key = sha256_json([sha256_file(store.path / name) for name in ("store.json", "index.json")])
    return store.path / "search" / f"{key[:16]}.faiss"


def _make(store: FeatureStore, place: Path) -> None:
    """Index every row, one video in memory at a time, and write it down."""
    import faiss

    total, names = rows_of(store), store.videos()
    centres = max(1, min(int(2 * math.sqrt(total)), total // PER_CENTRE))
    drawn = _draw(store, min(total, PER_CENTRE * centres), total)
    lists = faiss.index_factory(store.dim, f"IVF{centres},SQ8", faiss.METRIC_INNER_PRODUCT)
    lists.train(drawn)
    lengths = []
    for rows in _units(store, "indexing"):
        lists.add(rows)
        lengths.append(len(rows))
    starts = np.cumsum([0, *lengths])
    recall = _recall(store, RowIndex(lists, names, starts), drawn)
    with atomic_path(place) as tmp:
        faiss.write_index(lists, str(tmp))
    about = {"videos": names, "starts": starts.tolist(), "recall": recall, "centres": centres}
    write_json(place.with_suffix(".json"), about)
    for old in set(place.parent.glob("*.*")) - {place, place.with_suffix(".json")}:
        old.unlink(missing_ok=True)


def _units(store: FeatureStore, what: str) -> Iterator[Rows]:
    """Yield the rows of each video at length 1 ``[N, D]``; those of NaN or zeros are zeros."""
    for name in progress(store.videos(), what=what, unit="video"):
        rows = np.nan_to_num(pooled(store.get(name).features)).astype(np.float32, copy=False)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        yield rows / np.where(length == 0, np.float32(1), length)


def _draw(store: FeatureStore, count: int, total: int) -> Rows:
    """Return that many rows drawn from all videos, always the same ones."""
    chosen = np.sort(np.random.default_rng(0).choice(total, count, replace=False))
    parts, first = [], 0
    for rows in _units(store, "drawing rows"):
        inside = np.searchsorted(chosen, [first, first + len(rows)])
        parts.append(rows[chosen[slice(*inside)] - first])
        first += len(rows)
    return np.concatenate(parts)


def _recall(store: FeatureStore, index: RowIndex, drawn: Rows) -> float:
    """Return the mean share of the videos of the 100 most similar rows that are named."""
    asked = drawn[np.random.default_rng(1).choice(len(drawn), min(ASKED, len(drawn)), False)]
    best, owner = np.empty((len(asked), 0), np.float32), np.empty((len(asked), 0), np.int64)
    for video, rows in enumerate(_units(store, "measuring recall")):
        best = np.concatenate([best, asked @ rows.T], axis=1)
        owner = np.concatenate([owner, np.full((len(asked), len(rows)), video)], axis=1)
        kept = np.argsort(-best, axis=1, kind="stable")[:, :100]
        best, owner = np.take_along_axis(best, kept, 1), np.take_along_axis(owner, kept, 1)
    shares = []
    for direction, videos in zip(asked, owner, strict=True):
        true = {index.names[video] for video in videos.tolist()}
        shares.append(len(true & set(index.videos(direction, len(true)))) / len(true))
    return round(float(np.mean(shares)), 4)
