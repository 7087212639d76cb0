"""A finding: one thing about a manifest, and where in which file it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from actionspace.events.table import Events

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (``error``), odd (``warning``) or worth knowing (``note``)."""

    severity: Severity
    code: str
    message: str
    file: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        place = (self.file or "") + (f", row {self.row}" if self.row is not None else "")
        return f"{self.severity}: {place + ': ' if place else ''}{self.message} [{self.code}]"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return asdict(self)


class Info(Protocol):
    """What an inspector says of a file; :class:`actionspace.video.inspect.VideoInfo` is one."""

    @property
    def fps(self) -> float: ...  # noqa: D102
    @property
    def frames(self) -> int: ...  # noqa: D102
    @property
    def duration(self) -> float: ...  # noqa: D102
    @property
    def verdict(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102


Inspector = Callable[[Path], Info]


def of_event(events: Events, event_id: str) -> tuple[str | None, int | None]:
    """Return file and row of an event, as far as they are known."""
    origin = events.origin
    if origin is None:
        return None, None
    return str(origin.events_file), origin.event_rows.get(event_id)


def of_video(events: Events, video: str) -> tuple[str | None, int | None]:
    """Return file and row of a video, as far as they are known."""
    origin = events.origin
    if origin is None:
        return None, None
    return str(origin.videos_file or origin.events_file), origin.video_rows.get(video)


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return ``"a, b, c and 4 more"``."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
