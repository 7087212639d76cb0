"""Opening the features of a manifest: stores, other people's directories, or its own column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.features.joined import JoinedFeatures, Source, durations_of, listed_features
from actionspace.features.token_rows import one_vector

if TYPE_CHECKING:
    from actionspace.events.table import Events


@dataclass(frozen=True)
class FeatureFiles:
    """How features that other projects made are read; a store of ours says all of it itself.

    Attributes:
        stride: frames between two rows.
        window: frames that a row was computed from; the stride if None.
        fps: frames per second at which both count; None = each video's own.
        offset: frames of the video before the first row's first one.
        fixed: every video was rescaled to a fixed number of rows that share its duration; stride
            and window then mean nothing.
        array: name of the array in files that hold several.
        transpose: files hold ``[D, N]``.
        prefix, suffix: what file names have around the video's name, as ``v_``.
    """

    stride: float | None = None
    window: float | None = None
    fps: float | None = None
    offset: float = 0.0
    fixed: bool = False
    array: str | None = None
    transpose: bool = False
    prefix: str = ""
    suffix: str = ""


def open_source(
    events: Events, places: Sequence[str | Path] = (), files: FeatureFiles | None = None
) -> Source:
    """Return the features of a manifest.

    Args:
        events: the manifest, for the fps and duration of its videos.
        places: stores, directories or ``.h5`` files; several are joined row by row. None at all =
            the files that the manifest's ``features`` column lists.
        files: how features of other makes are read.

    Raises:
        StoreError: nothing of the kind is there.
        UsageError: the options do not say when each row is.
    """
    from actionspace.features.foreign import open_features

    files = files or FeatureFiles()
    known = events.videos[events.videos["fps"].notna()]
    when: dict[str, Any] = {
        "stride": files.stride,
        "window": files.window,
        "fps": files.fps or dict(zip(known["video"], known["fps"].astype(float), strict=True)),
        "offset": files.offset,
    }
    if files.fixed:
        when = {"duration": durations_of(events)}
    if not places:
        return listed_features(events, **when, array=files.array, transpose=files.transpose)
    how = {name: getattr(files, name) for name in ("array", "transpose", "prefix", "suffix")}
    parts = [one_vector(open_features(p, **when, **how), timeline=True) for p in places]
    return parts[0] if len(parts) == 1 else JoinedFeatures(parts)
