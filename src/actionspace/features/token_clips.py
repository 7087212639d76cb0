"""Clips of one event and crop as one sequence of tokens, as the evaluations of V-JEPA have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.errors import StoreError
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.features.token_rows import StoreView


class JoinedClips(StoreView):
    """A store of tokens whose K clips of each crop follow one another: ``[N, V / K, K L, D]``.

    Of random views, any K make a sequence. Rows of a dense grid are one clip each and stay.

    Raises:
        StoreError: the store has no tokens, or its views are not whole sets of K clips.
    """

    def __init__(self, store: FeatureStore) -> None:
        if store.tokens is None:
            raise StoreError(f"{store.path} has one vector per clip; only tokens can be joined.")
        self.store = store
        self.rows = store.rows
        self.dim = store.dim
        self.tokens = store.tokens
        self.licence = store.licence
        self.clips = int(store.fingerprint.get("clips", 1))
        """K, clips that make a sequence."""
        if store.n_views % self.clips:
            raise StoreError(
                f"{store.path} has {store.n_views} random views of each event; sequences of "
                f"{self.clips} clips need a multiple of {self.clips}."
            )
        self.n_views = store.n_views // self.clips
        self.n_tokens = store.n_tokens * self.clips

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of the store."""
        return self.store.fingerprint

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's tokens ``[N, K L, D]``, of several sequences ``[N, V / K, K L, D]``.

        Raises:
            StoreError: there are none, or the file is damaged.
        """
        found = self.store.get(video)
        if self.clips == 1:
            return found
        views = (self.n_views,) if self.n_views > 1 else ()
        shape = (len(found), *views, self.n_tokens, self.dim)  # crops come before clips
        return VideoFeatures(found.features.reshape(shape), found.times, found.meta)
