"""Where a run's data lies, so that the run does not depend on the folder it was started from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def places(data: Any, features: Any, root: str | None) -> dict[str, Any]:
    """Return the recipe's fields ``data``, ``features`` and ``root`` as absolute paths.

    Args:
        data: a manifest; what is no path (events in memory) is left out.
        features: a store, its path, or several.
        root: folder of the videos.
    """
    store = getattr(features, "path", features)
    found: dict[str, Any] = {}
    for name, value in (("data", data), ("features", store), ("root", root)):
        if isinstance(value, (str, os.PathLike)):
            found[name] = absolute(value)
        elif name == "features" and isinstance(value, (list, tuple)):
            found[name] = tuple(absolute(part) for part in value)
    return found


def absolute(place: str | os.PathLike[str]) -> str:
    """Return the absolute path of a place; ``module:function`` stays as it is."""
    text = os.fspath(place)
    here = Path(text).exists() or ":" not in text
    return os.path.abspath(text) if here else text  # noqa: PTH100 (links stay as they are)
