"""What a number was measured on: two figures compare only if their protocols' hashes are equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from actionspace.paths import sha256_json


@dataclass(frozen=True)
class Protocol:
    """The videos, classes, thresholds and rules behind the figures of ``metrics.json``.

    Attributes:
        name: kind of evaluation ("recognition", "framewise", ...).
        videos: the videos measured on; their order does not matter.
        classes: class names in score-column order.
        thresholds: IoU or other thresholds of the measures.
        truth: what must be labelled right, row by row (for example ``[video, start, end, label]``);
            only its length and hash are kept.
        rules: further choices that change the figures (split, average, background ...), plain JSON.
    """

    name: str
    videos: tuple[str, ...]
    classes: tuple[str, ...]
    thresholds: tuple[float, ...] = ()
    truth: tuple[Any, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the ``protocol`` object of ``metrics.json``: counts in words, the rest as hash."""
        return {
            "name": self.name,
            "videos": len(set(self.videos)),
            "rows": len(self.truth),
            "classes": list(self.classes),
            "thresholds": list(self.thresholds),
            "rules": dict(self.rules),
            "hash": self.hash,
        }

    @property
    def hash(self) -> str:
        """SHA-256 over all of the above, videos and truth rows being sets."""
        return sha256_json(
            {
                "name": self.name,
                "videos": sorted(set(self.videos)),
                "classes": list(self.classes),
                "thresholds": list(self.thresholds),
                "truth": sorted(sha256_json(row) for row in self.truth),
                "rules": dict(self.rules),
            }
        )
