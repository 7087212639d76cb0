"""What became of each video of an extraction, kept in the store's index and list of skips."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from actionspace.features.store import FeatureStore, VideoFeatures

_EVERY = 5.0  # seconds; the index is only a view, so it may lag behind the files


@dataclass
class Ledger:
    """Links manifest paths to features; videos with the same content share them."""

    store: FeatureStore
    names: dict[str, list[str]] = field(default_factory=dict)
    """Manifest paths that wait for the features with a key."""
    extracted: int = 0
    known: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    _written: float = field(default_factory=time.monotonic)

    def claim(self, key: str, video: str) -> bool:
        """Return whether the features with this key have yet to be made, by this first asker."""
        if key in self.names:
            self.names[key].append(video)
            return False
        rows = self.store.rows_in(key)
        if rows is None:
            self.names[key] = [video]
            return True
        self.known += 1
        self.store.link(video, key, rows)
        return False

    def finished(self, key: str, features: VideoFeatures, damage: str = "") -> None:
        """Write a video's features down, for all its names; ``damage`` is for the summary."""
        first, *others = self.names[key]
        self.store.put(first, key, features)
        for video in others:
            self.store.link(video, key, len(features))
        self.store.drop_parts(key)
        self.extracted += 1
        lost = "; ".join(dict.fromkeys(filter(None, [damage, features.meta.get("partial")])))
        if lost:
            self.partial |= dict.fromkeys(self.names[key], lost)
        if time.monotonic() - self._written >= _EVERY:
            self.save()

    def failed(self, key: str, reason: str) -> None:
        """Note that a video gives no features, and drop what it gave before it failed."""
        self.skip(self.names[key], reason)
        self.store.drop_parts(key)

    def skip(self, videos: list[str], reason: str) -> None:
        """Note why videos have no features."""
        self.skipped |= dict.fromkeys(videos, reason)

    def save(self) -> None:
        """Write the index, and the skips: those of other manifests stay, solved ones go."""
        before = {v: why for v, why in self.store.skipped().items() if v not in self.store}
        self.store.save_skipped(before | self.skipped)
        self.store.save_index()
        self._written = time.monotonic()
