"""Findings about the files themselves: missing, unreadable, listed twice, not as described."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actionspace.datasets.finding import Finding, Info, Inspector, of_video
from actionspace.errors import did_you_mean
from actionspace.events.columns import feature_files
from actionspace.events.table import VIDEO_SUFFIXES, Events
from actionspace.progress import bar

_PROBE = 1 << 20  # bytes of the head that are compared before whole files are


def check(events: Events, inspect: Inspector, infos: dict[str, Info]) -> list[Finding]:
    """Return the findings and fill ``infos`` with what each readable video is."""
    found: list[Finding] = []
    there: dict[str, Path] = {}
    videos = events.videos.to_dict("records")
    for video in bar(videos, what="check", unit="video"):
        name = str(video["video"])
        path = events.path(name)
        place = of_video(events, name)
        for file in feature_files(video["features"]):
            if not (events.root / file).is_file():
                message = f"the features {events.root / file} of {name} do not exist."
                found.append(Finding("error", "missing-features", message, *place))
        if not path.is_file() and not path.is_dir():
            if video["features"] is None:
                hint = did_you_mean(path.name, _neighbours(path))
                message = f"the file {path} does not exist.{hint}"
                found.append(Finding("error", "missing-file", message, *place))
            continue
        if path.is_file():  # of folders of pictures, equal ones are not looked for
            there[name] = path
        info = inspect(path)
        if info.verdict == "bad":
            found.append(Finding("error", "unreadable", f"{name}: {info.reason}", *place))
            continue
        if info.verdict == "partial":
            found.append(Finding("warning", "damaged", f"{name}: {info.reason}", *place))
        infos[name] = info
        found += [Finding("warning", *f, *place) for f in _disagreements(name, video, info)]
    return found + list(_twice(events, there))


def _neighbours(path: Path) -> list[str]:
    if not path.parent.is_dir():
        return []
    return [p.name for p in path.parent.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES]


def _disagreements(name: str, video: dict[Any, Any], info: Info) -> Iterator[tuple[str, str]]:
    """Yield (code, message) for what the manifest says differently from the file."""
    duration, fps, frames = video["duration"], video["fps"], video["frames"]
    if duration == duration and abs(duration - info.duration) > max(0.5, 0.02 * info.duration):
        yield (
            "duration-differs",
            f"{name} lasts {info.duration:.2f} s, the manifest says {duration:.2f} s.",
        )
    if fps == fps and info.fps > 0 and not math.isclose(fps, info.fps, rel_tol=0.01):
        yield (
            "fps-differs",
            f"{name} has {info.fps:.3f} frames per second, the manifest says {fps:.3f}; times that "
            f"were made from frame numbers will be wrong.",
        )
    if isinstance(frames, int) and abs(frames - info.frames) > max(1, 0.01 * info.frames):
        yield "frames-differ", f"{name} has {info.frames} frames, the manifest says {frames}."


def _twice(events: Events, there: dict[str, Path]) -> Iterator[Finding]:
    """Yield files that are listed twice by path, or whose content is the same."""
    split = dict(zip(events.videos["video"], events.videos["split"], strict=True))
    for same in _same_content(there):
        splits = list(dict.fromkeys(s for s in (split[v] for v in same) if s is not None))
        names = " and ".join(same)
        place = of_video(events, same[1])
        if len(splits) > 1:
            message = f"{names} are the same file, in {' and '.join(splits)}: remove one."
            yield Finding("error", "split-leak", message, *place)
        else:
            yield Finding("warning", "same-file", f"{names} are the same file.", *place)


def _same_content(there: dict[str, Path]) -> list[list[str]]:
    """Return sets of videos with equal bytes; most files differ in size and are never read."""
    sets: list[list[str]] = [list(there)]
    for key in (_size, _head, _whole):
        split: list[list[str]] = []
        for names in sets:
            by_key: dict[Any, list[str]] = {}
            for name in names:
                by_key.setdefault(key(there[name]), []).append(name)
            split += [group for group in by_key.values() if len(group) > 1]
        sets = split
    return sets


def _size(path: Path) -> int:
    return path.stat().st_size


def _head(path: Path) -> bytes:
    with path.open("rb") as f:
        return hashlib.sha256(f.read(_PROBE)).digest()


def _whole(path: Path) -> str:
    with path.open("rb") as f:
        size = os.fstat(f.fileno()).st_size
        return f"{size}:{hashlib.file_digest(f, 'sha256').hexdigest()}"
