"""A folder of numbered pictures as a video: ``frame_0000000001.jpg`` ... and ``fps.txt``.

Some data sets (EPIC-KITCHENS, Something-Something's older copies) come as pictures. The pictures do
not say at which rate they were taken, so a file ``fps.txt`` beside them does, with one number;
``prepare`` writes it for the data sets it knows. From there on the folder is a video like others.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from actionspace.errors import VideoError

RATE_FILE = "fps.txt"
_PICTURE = re.compile(r"^(\D*)(\d+)\.(jpe?g|png)$", re.IGNORECASE)


@dataclass(frozen=True)
class FrameFolder:
    """The pictures ``prefix`` + number (``digits`` wide) + ``suffix`` of a folder.

    Attributes:
        path: the folder.
        prefix, digits, suffix: how the pictures are named.
        first, count: the first number and how many there are, without a gap.
        fps: pictures per second.
    """

    path: Path
    prefix: str
    digits: int
    suffix: str
    first: int
    count: int
    fps: Fraction

    @property
    def pattern(self) -> str:
        """The name of all pictures as FFmpeg's ``image2`` reader wants it."""
        folder = str(self.path).replace("%", "%%")
        return f"{folder}/{self.prefix}%0{self.digits}d{self.suffix}"


def is_flow_folder(path: Path) -> bool:
    """Whether a folder holds flow in folders ``u`` and ``v``; see :mod:`.flow_folder`."""
    return (path / "u").is_dir() and (path / "v").is_dir()


def read_frame_folder(path: str | os.PathLike[str]) -> FrameFolder:
    """Look at a folder of pictures.

    Raises:
        VideoError: no rate, no pictures, pictures named in two ways, or missing ones.
    """
    path = Path(path)
    return _listed(path, _rate(path.parent if is_flow_folder(path.parent) else path))


def picture_count(path: str | os.PathLike[str]) -> int:
    """Return how many pictures a folder has, with or without a rate file.

    Raises:
        VideoError: none, named in two ways, or missing ones.
    """
    return _listed(Path(path), Fraction(1)).count


def _rate(path: Path) -> Fraction:
    file = path / RATE_FILE
    try:
        rate = Fraction(file.read_text(encoding="utf-8").strip())
    except FileNotFoundError as e:
        raise VideoError(
            f"{path}: this is a folder, not a video file. If it holds the numbered pictures of a "
            f"video, write their number per second into {file}."
        ) from e
    except (OSError, ValueError, ZeroDivisionError) as e:
        raise VideoError(f"{file} must hold one number, the pictures per second: {e}.") from e
    if not 0 < rate <= 1000:
        raise VideoError(f"{file} says {rate} pictures per second; expected more than 0, to 1000.")
    return rate


def _listed(path: Path, fps: Fraction) -> FrameFolder:
    numbers: list[int] = []
    shapes: set[tuple[str, int, str]] = set()
    for entry in os.scandir(path):
        match = _PICTURE.match(entry.name)
        if match and not entry.name.startswith("."):
            numbers.append(int(match[2]))
            shapes.add((match[1], len(match[2]), entry.name[match.end(2) :]))
    if not numbers:
        raise VideoError(f"{path}: there are no numbered pictures such as frame_0000000001.jpg.")
    if len(shapes) > 1:
        names = " and ".join(f"{p}{'0' * n}{s}" for p, n, s in sorted(shapes)[:2])
        raise VideoError(f"{path}: the pictures are named in two ways, as {names}; keep one.")
    first, last = min(numbers), max(numbers)
    prefix, digits, suffix = shapes.pop()
    if len(numbers) != last - first + 1:
        there = set(numbers)
        gap = next(n for n in range(first, last) if n not in there)
        missing = last - first + 1 - len(there)
        raise VideoError(
            f"{path}: {missing} of {last - first + 1} pictures are missing, first "
            f"{prefix}{gap:0{digits}d}{suffix}. Extract or copy the frames again."
        )
    return FrameFolder(path, prefix, digits, suffix, first, len(numbers), fps)
