"""What people ask a prediction for: files, folders, globs or a manifest, as one manifest."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from actionspace.errors import UsageError

if TYPE_CHECKING:
    from actionspace.events.table import Events

Input = str | os.PathLike[str]


def video_files(inputs: Input | Sequence[Input]) -> list[Path]:
    """Return the videos that paths, folders (every video below) and globs mean, each once.

    Raises:
        UsageError: nothing is there, or a glob matches nothing.
    """
    many = _several(inputs)
    files = [file for item in many for path in _expand(os.fspath(item)) for file in _videos(path)]
    if not files:
        where = ", ".join(str(item) for item in many)
        raise UsageError(
            f"There is no video in {where}. A folder of numbered pictures is one if fps.txt in it "
            "says how many there are per second."
        )
    return list(dict.fromkeys(files))


def resolve(inputs: Input | Events | Sequence[Input], root: str | None = None) -> Events:
    """Return the videos meant, with their annotations if a manifest was given.

    A manifest or annotation file stands alone. A folder means every video below it, unless it
    holds a manifest. Videos get paths relative to the deepest folder they share.

    Raises:
        UsageError: nothing matches, or a manifest is mixed with other things.
    """
    from actionspace.events.table import Events

    if isinstance(inputs, Events):
        return inputs
    many = _several(inputs)
    for path in (path for item in many for path in _expand(os.fspath(item))):
        if _is_manifest(path):
            if len(many) > 1:
                raise UsageError(f"{path} is a manifest; give it alone, not among others.")
            from actionspace.events import io

            return io.read(path, root=Path(root) if root else None)
    files = [Path(os.path.abspath(file)) for file in video_files(many)]  # noqa: PTH100
    try:
        base = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError as e:
        raise UsageError("The videos lie on different drives; predict them one by one.") from e
    names = dict.fromkeys(file.relative_to(base).as_posix() for file in files)
    return Events.from_frames([], [{"video": name} for name in names], root=base)


def _several(inputs: Input | Sequence[Input]) -> list[Input]:
    many: list[Input] = [inputs] if isinstance(inputs, (str, os.PathLike)) else list(inputs)
    if not many:
        raise UsageError("Give at least one video, folder, glob or manifest.")
    return many


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.exists():
        return [path]
    if any(c in text for c in "*?["):
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 (absolute patterns too)
        if matches:
            return [Path(m) for m in matches]
        raise UsageError(f"Nothing matches {text}.")
    raise UsageError(f"{text} does not exist.")


def _is_manifest(path: Path) -> bool:
    from actionspace.events.table import VIDEO_SUFFIXES

    if path.is_dir():
        return any((path / f"events.{kind}").is_file() for kind in ("csv", "parquet"))
    return path.suffix.lower() not in VIDEO_SUFFIXES


def _videos(path: Path) -> list[Path]:
    """Return a file, or what is a video below a folder; a folder of pictures is one itself."""
    from actionspace.events.table import VIDEO_SUFFIXES
    from actionspace.video.frame_folder import RATE_FILE

    if path.is_file() or (path / RATE_FILE).is_file():
        return [path]
    return sorted(
        p.parent if p.name == RATE_FILE else p
        for p in path.rglob("*")
        if (p.suffix.lower() in VIDEO_SUFFIXES or p.name == RATE_FILE)
        and p.is_file()
        and not p.name.startswith(".")
    )
