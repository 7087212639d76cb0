"""Events of FineGym's annotation, and cutting them out of the raw videos.

The original cuts with FFmpeg at key frames, so that its clips may begin seconds early and labels
are moved against them; here a clip begins with the frame that is shown at the event's start.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from actionspace.datasets.framewise import FPS
from actionspace.datasets.sources import find_videos
from actionspace.errors import DataError, VideoError
from actionspace.events.formats.manifest import read_lines
from actionspace.progress import bar

log = logging.getLogger("actionspace")

WIDTH, HEIGHT = 640, 360
_ELEMENT = re.compile(r"^((.+)_(E_\d+_\d+))_(A_\d+_\d+)\s+(\d+)$")


@dataclass(frozen=True)
class Event:
    """One event of a video.

    Attributes:
        name: ``<YouTube id>_E_<start>_<end>``.
        youtube_id: the video's.
        apparatus: number of the kind of event.
        start, end: seconds in the video.
        elements: (start, end) in seconds from the event's start, and class number.
    """

    name: str
    youtube_id: str
    apparatus: int
    start: float
    end: float
    elements: tuple[tuple[float, float, int], ...]

    def labels(self, frames: int, fps: float) -> np.ndarray:
        """Return the class of each frame of the cut event, int64; -1 = none.

        As in CARL's tools: from frame ``int(start fps)`` to ``int(end fps)``, both included, a
        later element over an earlier one.
        """
        found = np.full(frames, -1, np.int64)
        for start, end, label in self.elements:
            found[int(start * fps) : int(end * fps) + 1] = label
        return found


class Cut(NamedTuple):
    """Where a cut event lies, and its number of frames."""

    path: str
    frames: int


def listed_events(elements: Path | None, annotation: Mapping[str, Any], info: Path) -> list[Event]:
    """Return the events of a list of elements, in the order of their names.

    Args:
        elements: ``gym99_train_element_v1.0.txt`` and the like; None = the events of the annotation
            that have no elements.
        annotation: content of ``finegym_annotation_info_v1.0.json``.
        info: that file, for messages.

    Raises:
        DataError: a line of another form, or an event or element that is not in the annotation.
    """
    if elements is None:
        return [
            _event(annotation, info, f"{video}_{key}", video, key, {})
            for video in sorted(annotation)
            for key, value in sorted(annotation[video].items())
            if not value.get("segments")
        ]
    labels: dict[tuple[str, str, str], dict[str, int]] = {}
    for _, match in element_lines(elements):
        place = labels.setdefault((match[1], match[2], match[3]), {})
        place[match[4]] = int(match[5])
    return [_event(annotation, info, *place, labels[place]) for place in sorted(labels)]


def element_lines(path: Path) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield row and parts (event, video, E_..., A_..., class) of a list of elements.

    Raises:
        DataError: a line of another form; the row is named.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            match = _ELEMENT.match(line.strip())
            if match is None:
                raise DataError(
                    f"{path}, row {number}: {line.strip()!r} is not "
                    f"'<video>_E_<start>_<end>_A_<start>_<end> class'."
                )
            yield number, match


def _event(
    annotation: Mapping[str, Any],
    info: Path,
    name: str,
    video: str,
    key: str,
    labels: Mapping[str, int],
) -> Event:
    try:
        entry = annotation[video][key]
        start, end = entry["timestamps"][0]
        # An element of several parts is labelled by the last one, as in the original.
        parts = {
            part: segment["timestamps"][-1]
            for part, segment in (entry.get("segments") or {}).items()
            if part in labels
        }
        elements = tuple((float(a), float(b), labels[part]) for part, (a, b) in parts.items())
        if len(elements) < len(labels):
            raise KeyError(min(set(labels) - set(parts)))
        return Event(name, video, int(entry["event"]), float(start), float(end), elements)
    except (KeyError, IndexError, TypeError, ValueError) as e:
        raise DataError(
            f"{info}: {name} is not there as the lists of elements have it ({e}). Take lists and "
            f"annotation of one version."
        ) from e


def cut_events(source: Path, events: Sequence[Event], folder: str, skip: bool) -> dict[str, Cut]:
    """Cut events out of the raw videos under ``source`` into ``folder``; those there are kept.

    Clips are H.264 of 640 x 360 pixels (the shape is not kept) and 25 frames per second.

    Args:
        source: the folder with the videos ``<YouTube id>.<suffix>``.
        events: what to cut.
        folder: where to, under ``source``.
        skip: leave out events whose video is missing or cannot be read.

    Returns:
        Name of the event -> clip.

    Raises:
        DataError: a raw video is missing, unless ``skip``.
        VideoError: it cannot be read, unless ``skip``.
    """
    from actionspace.video.index import frame_index

    raw = {Path(name).stem: path for name, path in find_videos(source).items()}
    cut: dict[str, Cut] = {}
    if not events:
        return cut
    for event in bar(events, what="cut", unit="event"):
        path = source / folder / f"{event.name}.mp4"
        try:
            if not path.exists():
                if event.youtube_id not in raw:
                    raise DataError(
                        f"{source} holds no video {event.youtube_id}.mp4 (.mkv, .webm), from which "
                        f"{event.name} is cut. With missing=skip such events are left out."
                    )
                _cut(source / raw[event.youtube_id], event, path)
            cut[event.name] = Cut(path.relative_to(source).as_posix(), len(frame_index(path)))
        except (DataError, VideoError):
            if not skip:
                raise
    if len(cut) < len(events):
        log.warning("%d of %d events cannot be cut.", len(events) - len(cut), len(events))
    return cut


def _cut(video: Path, event: Event, path: Path) -> None:
    from actionspace.video.index import frame_index
    from actionspace.video.sweep import sweep
    from actionspace.video.transform import FrameTransform, resize_bilinear
    from actionspace.video.write import write_video

    index = frame_index(video)
    if event.start >= index.duration:
        raise VideoError(
            f"{video} lasts {index.duration:.1f} s; {event.name} begins at {event.start:.1f} s. Is "
            f"it the whole video?"
        )
    count = max(1, round((min(event.end, index.duration) - event.start) * FPS))
    shown = np.array([index.frame_at(event.start + k / FPS) for k in range(count)])

    def frames() -> Iterator[np.ndarray]:
        """Yield the clip's frames; one of the video may be several of them, or none."""
        smaller = FrameTransform(short_side=HEIGHT)
        for number, picture in sweep(video, shown, transform=smaller, index=index):
            clip = resize_bilinear(picture, WIDTH, HEIGHT)
            yield from (clip for _ in range(int((shown == number).sum())))

    write_video(path, frames(), FPS)
