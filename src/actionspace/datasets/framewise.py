"""Videos with a phase for each frame, as lists of them say it, to a manifest."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.datasets.plain_pickle import read_plain_pickle
from actionspace.errors import DataError, UsageError, VideoError
from actionspace.events.phases import phase_events, resampled
from actionspace.events.table import Events
from actionspace.progress import bar

if TYPE_CHECKING:
    from actionspace.video.index import FrameIndex

log = logging.getLogger("actionspace")

#: Frames per second of the videos that the original tools write.
FPS = 25.0


@dataclass(frozen=True)
class FramewiseVideo:
    """A video and the phase of each of its frames.

    Attributes:
        video: its path under the source.
        split: train or val.
        labels: int64 ``[N]``, below 0 = none; None = not labelled.
        group: what must not lie in two splits; None = the video itself.
        columns: further labels of the whole video, such as ``action``.
    """

    video: str
    split: str
    labels: np.ndarray | None = None
    group: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rules:
    """What becomes of videos that are not as they are listed; the options of ``prepare``.

    Attributes:
        missing: ``raise``, or ``skip`` those that are not there or cannot be opened.
        mismatch: ``raise``, or ``resample`` labels to the number of frames.
        val_as_test: call the validation split ``test``, as published figures are given on it.
    """

    missing: str = "raise"
    mismatch: str = "raise"
    val_as_test: bool = True

    def __post_init__(self) -> None:
        if self.missing not in ("raise", "skip") or self.mismatch not in ("raise", "resample"):
            raise UsageError(
                f"missing={self.missing}, mismatch={self.mismatch}: missing is raise or skip, "
                f"mismatch is raise or resample."
            )


def framewise_events(
    source: Path,
    videos: Sequence[FramewiseVideo],
    rules: Rules,
    names: Mapping[int, str] | None = None,
) -> Events:
    """Return the manifest: phases as events that touch, in the column ``phase``.

    Args:
        source: the folder that paths are relative to.
        videos: all with the same ``columns``.
        rules: what to do with those that are not as they are listed.
        names: what phases are called; None = their numbers.

    Raises:
        DataError: a video is missing, or has another number of frames than labels.
    """
    rows: list[Mapping[Any, Any]] = []
    table: list[dict[str, Any]] = []
    absent: list[str] = []
    for one in bar(videos, what="index", unit="video"):
        index = _index(source / one.video, rules)
        if index is None:
            absent.append(one.video)
            continue
        split = "test" if rules.val_as_test and one.split == "val" else one.split
        table.append(
            {
                "video": one.video,
                "split": split,
                "group": one.group,
                "duration": index.duration,
                "fps": index.fps,
                "frames": len(index),
            }
        )
        if one.labels is not None:
            labels = _fitted(one, len(index), rules)
            events = phase_events(labels, index.times, one.video, names)
            rows += events.assign(**one.columns).to_dict("records")
    if absent:
        log.warning(
            "%d of %d videos are not there or cannot be opened, left out: %s%s",
            len(absent), len(videos), ", ".join(absent[:3]), " ..." if len(absent) > 3 else "",
        )  # fmt: skip
    heads = ("phase", *dict.fromkeys(name for one in videos for name in one.columns))
    return Events.from_frames(rows, table, source, heads)


def read_pickle(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a list that the tools of CARL write, in its order.

    Raises:
        DataError: it is not read safely, or has another layout.
    """
    content = read_plain_pickle(path)
    if isinstance(content, tuple):  # entries, and the indices of each action
        content = content[0]
    needed = {"name", "video_file", "seq_len"}
    if not isinstance(content, list) or not all(
        isinstance(entry, dict) and needed <= entry.keys() for entry in content
    ):
        raise DataError(
            f"{path}: expected a list of videos with {', '.join(sorted(needed))}, as CARL's tools "
            f"write it."
        )
    for entry in content:
        labels = entry.get("frame_label")
        if labels is not None and len(labels) != int(entry["seq_len"]):
            raise DataError(
                f"{path}: {entry['name']} has {len(labels)} labels for a length of "
                f"{int(entry['seq_len'])} frames."
            )
    return content


def entry_video(source: Path, pickle: Path, entry: Mapping[str, Any]) -> str:
    """Return where an entry's video lies under ``source``; its path is relative to the pickle."""
    return (pickle.parent / str(entry["video_file"])).relative_to(source).as_posix()


def _index(path: Path, rules: Rules) -> FrameIndex | None:
    from actionspace.video.index import frame_index

    try:
        return frame_index(path)
    except VideoError as e:
        if rules.missing == "skip":
            return None
        raise DataError(f"{e} With missing=skip such videos are left out.") from e


def _fitted(one: FramewiseVideo, frames: int, rules: Rules) -> np.ndarray:
    labels = np.asarray(one.labels)
    if len(labels) == frames:
        return labels
    if rules.mismatch == "raise":
        raise DataError(
            f"{one.video} has {frames} frames, but {len(labels)} labels. With mismatch=resample "
            f"the labels are stretched to the frames."
        )
    log.warning("%s: %d labels stretched to %d frames.", one.video, len(labels), frames)
    return resampled(labels, frames)
