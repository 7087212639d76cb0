"""Files that a run is exported to: formats, endings, and what writing them needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from actionspace.errors import RunError, UsageError, did_you_mean

META = "actionspace"
"""Where a file keeps its description: a key of ONNX metadata, ``<META>.json`` in a ``.pt2``."""
SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
"""Formats and how their files end."""


def place(run: Path, out: str | os.PathLike[str] | None, format: str | None) -> tuple[str, Path]:
    """Return format and path of the file that a run is exported to.

    Raises:
        UsageError: an unknown format, or an ending that is another's.
    """
    if format is not None and format not in SUFFIXES:
        hint = did_you_mean(format, SUFFIXES)
        raise UsageError(f"Unknown format '{format}'.{hint} Known: {', '.join(SUFFIXES)}.")
    if out is None:
        format = format or "onnx"
        return format, run.parent / f"{run.resolve().name}{SUFFIXES[format]}"
    path = Path(out)
    of_ending = {suffix: name for name, suffix in SUFFIXES.items()}.get(path.suffix.lower())
    if of_ending is None or (format or of_ending) != of_ending:
        ends = " or ".join(SUFFIXES.values()) if format is None else SUFFIXES[format]
        raise UsageError(f"{path} must end in {ends}, by which the file is recognised.")
    return of_ending, path


def need(name: str) -> Any:
    """Import a package of the extra ``export``.

    Raises:
        RunError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise RunError(
            f"ONNX needs {name}, which cannot be imported ({e}): pip install "
            "'actionspace[export]', or use torch-export, which needs nothing more."
        ) from e
