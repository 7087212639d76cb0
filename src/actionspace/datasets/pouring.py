"""Pouring (Sermanet et al., 2018, with the phases of TCC): 84 videos of pouring in five phases.

The files that CARL publishes, or TCC's TFRecords, which are then written as videos. The phases are
numbered in time; what separates them: the hand touches the bottle, liquid starts to flow, pouring
is complete, the bottle is back on the table (from memory of TCC's paper, not from the files).
"""

from __future__ import annotations

from pathlib import Path

from actionspace.datasets.framewise import (
    FramewiseVideo,
    Rules,
    entry_video,
    framewise_events,
    read_pickle,
)
from actionspace.datasets.sources import list_file
from actionspace.datasets.tfrecord_videos import tfrecord_files, unpack
from actionspace.errors import DataError
from actionspace.events.table import Events

PHASES = 5
_SPLITS = ("train", "val")


def manifest(
    source: Path, *, missing: str = "raise", mismatch: str = "raise", val_as_test: bool = True
) -> Events:
    """Return the manifest, phases ``0`` to ``4`` in the column ``phase``.

    Args:
        source: the folder with ``train.pkl``, ``val.pkl`` and ``videos/`` (as CARL publishes it),
            or with ``pouring_{train,val}-*.tfrecord`` (TCC), whose videos are written into
            ``source/videos``; those that exist are kept.
        missing, mismatch, val_as_test: see :class:`~.framewise.Rules`.

    Raises:
        DataError: neither is there, or a file is not as it should be.
    """
    rules = Rules(missing, mismatch, val_as_test)
    pickles = {split: list_file(source, f"{split}.pkl") for split in _SPLITS}
    records = {} if any(pickles.values()) else tfrecord_files(source, "pouring")
    if not any(pickles.values()) and not records:
        raise DataError(
            f"{source} holds neither train.pkl and val.pkl with videos/ (Pouring as CARL publishes "
            f"it) nor pouring_train-*.tfrecord and pouring_val-*.tfrecord (as TCC does). Put one "
            f"of them there."
        )
    videos = [
        FramewiseVideo(entry_video(source, path, entry), split, entry["frame_label"])
        for split, path in pickles.items()
        if path is not None
        for entry in read_pickle(path)
    ]
    for split, files in records.items():
        for one in unpack(files, source / "videos"):
            video = one.path.relative_to(source).as_posix()
            videos.append(FramewiseVideo(video, split, one.labels))
    return framewise_events(source, videos, rules)


def classes(source: Path) -> dict[str, list[str]]:
    """Return the phases in the order of their numbers."""
    return {"phase": [str(phase) for phase in range(PHASES)]}
