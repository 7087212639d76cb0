"""What UCF50 and UCF101 share: clips named ``v_<action>_g<group>_c<clip>.avi`` in class folders.

Clips of one group were cut from one recording: the same person, place and camera. Groups are
numbered within a class, so what must stay together is the pair of class and group number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from actionspace.errors import DataError

_CLIP = re.compile(r"^v_(\w+)_g(\d+)_c(\d+)$")


@dataclass(frozen=True)
class Clip:
    """A clip: its path as given, its class (the folder's name) and its group's number."""

    path: str
    label: str
    number: int

    @property
    def group(self) -> str:
        """What must not straddle splits."""
        return f"{self.label}_g{self.number:02d}"


def clip_of(path: str, where: str = "") -> Clip:
    """Return what the path ``.../<class>/v_<action>_gGG_cCC.avi`` says.

    The action in the name may differ from the folder (``Billiards/v_Billards_g01_c01.avi``); the
    folder is right.

    Raises:
        DataError: another form; ``where`` goes in front of the message.
    """
    parts = PurePosixPath(path)
    match = _CLIP.match(parts.stem)
    if match is None or not parts.parent.name:
        raise DataError(
            f"{where + ': ' if where else ''}'{path}' is not a clip of the form "
            f"<class>/v_<action>_g01_c01.avi."
        )
    return Clip(path, parts.parent.name, int(match[2]))
