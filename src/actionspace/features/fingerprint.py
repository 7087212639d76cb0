"""What makes two sets of features comparable, and the name of one video's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actionspace.errors import StoreError
from actionspace.paths import sha256_json


def check_same(there: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """Refuse to mix features of two fingerprints.

    Raises:
        StoreError: naming each field that differs, with both values.
    """
    differ = [
        f"{name}: {there.get(name, 'not set')!r} there, {now.get(name, 'not set')!r} now"
        for name in sorted({*there, *now})
        if _plain(there.get(name)) != _plain(now.get(name))
    ]
    if differ:
        raise StoreError(
            f"The store {path} holds features made in another way ({'; '.join(differ)}), and one "
            f"store never mixes two. Choose another place for the new features, use the settings "
            f"of the store, or delete the store."
        )


def video_key(
    content: str,
    crop: Sequence[int] | None = None,
    intervals: Sequence[tuple[float, float]] | None = None,
) -> str:
    """Return the name of one video's features, 32 hex digits.

    Args:
        content: SHA-256 of the video file.
        crop: x, y, width, height in pixels, if the video is cropped.
        intervals: start and end of each event row in seconds, for event-anchored features, so
            that a change of one video's events changes this one name only.
    """
    rows = None if intervals is None else [[repr(s), repr(e)] for s, e in intervals]
    crop = None if crop is None else [int(v) for v in crop]
    return sha256_json({"content": content, "crop": crop, "rows": rows})[:32]


def _plain(value: Any) -> Any:
    """JSON turns tuples into lists; compare what JSON would give back."""
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
