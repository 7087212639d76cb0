"""Manifests with splits, written beside the one they are made from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from actionspace.errors import UsageError
from actionspace.events import io, splits

log = logging.getLogger("actionspace")


def split_manifest(
    manifest: Path,
    *,
    by: str = "group",
    ratio: str | Sequence[float] = "70:15:15",
    folds: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> list[Path]:
    """Write a manifest with group-aware splits, or one manifest per fold.

    Args:
        manifest: any annotation format.
        by: column of the videos table that must not straddle splits.
        ratio: train:val:test, or train:test.
        folds: make this many manifests instead, each with another test fold.
        seed: same seed, same split.
        out: file to write (with folds, its name gets ``_fold1`` ...); by default beside the
            manifest, so that the paths in it stay below their root.

    Raises:
        UsageError: the ratio is no list of numbers.
    """
    events = io.read(manifest)
    source = manifest / manifest.name if manifest.is_dir() else manifest
    for note in splits.notes(events, by=by):
        log.info(note)
    if folds is None:
        target = out or source.with_name(f"{source.stem}_split.csv")
        made = splits.split(events, by=by, ratio=parse_ratio(ratio), seed=seed)
        return [io.write(made, target)]
    number, _ = splits.folds(events, folds, by=by, seed=seed)
    base = out or source.with_suffix(".csv")
    written = []
    for fold in range(folds):
        names = ["test" if n == fold else "train" for n in number]
        part = replace(events, videos=events.videos.assign(split=names))
        target = base.with_name(f"{base.stem}_fold{fold + 1}{base.suffix}")
        written.append(io.write(part, target))
    return written


def parse_ratio(text: str | Sequence[float]) -> list[float]:
    """Return the numbers of ``70:15:15`` (or with commas, or of a list).

    Raises:
        UsageError: they are none.
    """
    parts = text.replace(",", ":").split(":") if isinstance(text, str) else list(text)
    try:
        return [float(p) for p in parts]
    except ValueError:
        raise UsageError(f"ratio '{text}' is not of the form 70:15:15.") from None
