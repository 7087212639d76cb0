"""A store of tokens, seen by those that take one vector per row."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.errors import StoreError
from actionspace.features.joined import Source
from actionspace.features.store import FeatureStore, VideoFeatures

log = logging.getLogger("actionspace")


class StoreView:
    """A store seen in another shape; what holds of its videos holds here."""

    store: FeatureStore

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.store!r})"

    def __len__(self) -> int:
        return len(self.store)

    def __contains__(self, video: object) -> bool:
        return video in self.store

    def videos(self) -> list[str]:
        """Names of the videos that have features, sorted."""
        return self.store.videos()

    def skipped(self) -> dict[str, str]:
        """Videos that gave no features, with the reason."""
        return self.store.skipped()


class MeanTokens(StoreView):
    """Each row as the mean of its tokens: the pooled features, ``[N, D]`` or ``[N, V, D]``."""

    tokens = None
    n_tokens = 1

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self.rows = store.rows
        self.dim = store.dim
        self.n_views = store.n_views
        self.licence = store.licence

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of pooled features of the same make."""
        return {k: v for k, v in self.store.fingerprint.items() if not k.startswith("token")}

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's features.

        Raises:
            StoreError: there are none, or the file is damaged.
        """
        found = self.store.get(video)
        mean = found.features.mean(axis=-2, dtype=np.float32)
        return VideoFeatures(mean, found.times, found.meta)


class TokenTimeline(MeanTokens):
    """Each time step of each clip as a row of its own, ``[N T', D]`` or ``[N T', V, D]``.

    A clip of 16 frames whose encoder has 8 time steps gives 8 rows of 2 frames: a time grid finer
    than clips, for localization and alignment. Clips must follow one another, ``hop`` being what
    one spans; several tokens of a time step are averaged. What the last clip repeats behind the
    end of its video is left out.

    Raises:
        StoreError: the rows of the store are events, or clips that overlap or leave gaps.
    """

    def __init__(self, store: FeatureStore) -> None:
        super().__init__(store)
        about = store.fingerprint
        self.span = int(about["frames"]) * int(about["stride"])
        self.steps = int(about["token_grid"][0])
        if store.rows != "dense" or about["hop"] != self.span:
            grid = f"every {about['hop']}" if store.rows == "dense" else "at labelled events"
            raise StoreError(
                f"{store.path} has clips of {self.span} frames {grid}; the time steps of their "
                f"tokens are rows of one timeline only where clips follow one another. Extract "
                f"with rows=dense hop={self.span}."
            )

    @property
    def fingerprint(self) -> dict[str, Any]:
        """That of the store."""
        return self.store.fingerprint

    def get(self, video: str | Path) -> VideoFeatures:
        """Read one video's features, a row per time step.

        Raises:
            StoreError: there are none, or the file is damaged.
        """
        found = self.store.get(video)
        values = found.features
        values = values.reshape(*values.shape[:-2], self.steps, -1, values.shape[-1])
        values = values.mean(axis=-2, dtype=np.float32)  # [N, T', D] or [N, V, T', D]
        rows = np.moveaxis(values, -2, 1).reshape(-1, *values.shape[1:-2], values.shape[-1])
        times = self._times(found)
        end = float(found.times[:, 1].max(initial=0.0))
        inside = times[:, 0] < end - 1e-6
        return VideoFeatures(rows[inside], np.minimum(times[inside], end), found.meta)

    def _times(self, found: VideoFeatures) -> np.ndarray:
        """Return the seconds of each time step ``[N T', 2]``, beyond the video's end as well."""
        start, end = found.times.T
        whole = self.span / float(self.store.fingerprint.get("fps") or found.meta["fps"])
        length = end - start
        if len(length):  # only the last clip may be cut off by the end of the video
            length[-1] = max(length[-1], whole)
        edges = np.linspace(0, 1, self.steps + 1)
        at = start[:, None] + length[:, None] * edges
        return np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()], axis=1)


def one_vector(source: Source, *, timeline: bool = False) -> Source:
    """Return features of one vector per row; a store of tokens as their mean, and say so.

    Args:
        source: any features.
        timeline: take each time step as a row where clips follow one another, for tasks that look
            at whole videos.
    """
    if not isinstance(source, FeatureStore) or source.tokens is None:
        return source
    about = source.fingerprint
    dense = source.rows == "dense" and about["hop"] == about["frames"] * about["stride"]
    if timeline and dense:
        found = TokenTimeline(source)
        log.info(
            f"{source.path} holds tokens; each of {found.steps} time steps of a clip is a row."
        )
        return found
    why = " (their clips overlap: with hop= a clip's span, time steps would be rows)"
    log.info(
        f"{source.path} holds {source.n_tokens} tokens per clip; their mean is used"
        f"{why if timeline else ''}."
    )
    return MeanTokens(source)
