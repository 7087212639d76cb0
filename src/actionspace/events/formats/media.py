"""How annotation tools name media files, and how those names become paths under a root."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

from actionspace.events.columns import is_absolute, place_under, video_name
from actionspace.events.table import Events


def local_name(text: str, folder: Path, root: Path) -> str:
    """Return a media file's path relative to ``root``.

    ``text`` is what a tool has written into a file in ``folder``: a path relative to that folder or
    to the root, an absolute path or a ``file://`` address. An absolute path of another machine is
    looked up under the root by as many of its last parts as fit there, else by its name.
    """
    if text.startswith("file:"):
        text = unquote(text[5:]).replace("///", "/", 1)
        text = text[1:] if len(text) > 2 and text[0] == "/" and text[2] == ":" else text
    name = video_name(text)
    inside = place_under(name, folder, root)
    if inside is not None or not is_absolute(name):
        return inside or name
    parts = name.split("/")
    for k in range(1, len(parts)):
        if (root / "/".join(parts[k:])).is_file():
            return "/".join(parts[k:])
    return parts[-1]


def written_name(events: Events, video: str, folder: Path) -> str:
    """Return a video's path as a file in ``folder`` should give it: relative if it lies there."""
    full = os.path.normpath(os.path.join(os.path.abspath(events.root), video))  # noqa: PTH100, PTH118
    base = os.path.abspath(folder)  # noqa: PTH100
    return (
        Path(full).relative_to(base) if Path(full).is_relative_to(base) else Path(full)
    ).as_posix()
