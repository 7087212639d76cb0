"""Penn Action (Zhang, Zhu & Derpanis, 2013), the 13 actions that TCC has given phases.

The files that CARL publishes; TCC's TFRecords; or the original frames and labels. In the last two
cases videos are written, of 224 x 224 pixels and 25 frames per second, as CARL's are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from actionspace.datasets.framewise import (
    FPS,
    FramewiseVideo,
    Rules,
    entry_video,
    framewise_events,
    read_pickle,
)
from actionspace.datasets.sources import list_file
from actionspace.datasets.tfrecord_videos import tfrecord_files, unpack
from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.phases import resampled
from actionspace.events.table import Events
from actionspace.progress import bar

log = logging.getLogger("actionspace")

#: In the order of CARL's action labels, with the number of phases of each.
ACTIONS = {
    "baseball_pitch": 4, "baseball_swing": 3, "bench_press": 2, "bowl": 3, "clean_and_jerk": 6,
    "golf_swing": 3, "jumping_jacks": 4, "pushup": 2, "pullup": 2, "situp": 2, "squat": 4,
    "tennis_forehand": 3, "tennis_serve": 4,
}  # fmt: skip
_SPELT = {"bowling": "bowl", "pushups": "pushup", "pullups": "pullup", "situps": "situp"}
_SPELT |= {"squats": "squat", "push_ups": "pushup", "pull_ups": "pullup", "sit_ups": "situp"}
_SPLITS = ("train", "val")
_SIZE = 224
_LAYOUTS = (
    "train.pkl and val.pkl with videos/ (as CARL publishes it); *_train*.tfrecord and "
    "*_val*.tfrecord (TCC); or frames/<id>/*.jpg and labels/<id>.mat of Penn_Action with "
    "{train,val}/<action>/<id>*.npy of the phase labels"
)


def manifest(
    source: Path,
    *,
    action: str = "",
    missing: str = "raise",
    mismatch: str = "raise",
    val_as_test: bool = True,
) -> Events:
    """Return the manifest: phases by number in ``phase``, the action in ``action``.

    Args:
        source: a folder of one of the three layouts; videos are written into ``source/videos``,
            those that exist are kept.
        action: one of ``ACTIONS``; "" = all.
        missing, mismatch, val_as_test: see :class:`~.framewise.Rules`.

    Raises:
        DataError: none of the layouts, or a file is not as it should be.
        UsageError: there is no such action.
    """
    if action and action not in ACTIONS:
        hint = did_you_mean(action, ACTIONS) or f" There is: {', '.join(ACTIONS)}."
        raise UsageError(f"Penn Action has no action '{action}'.{hint}")
    rules = Rules(missing, mismatch, val_as_test)
    pickles = {split: list_file(source, f"{split}.pkl") for split in _SPLITS}
    if any(pickles.values()):
        videos = _published(source, pickles)
    elif records := tfrecord_files(source, ""):
        videos = _from_records(source, records)
    else:
        videos = _from_frames(source, action)
    wanted = [one for one in videos if one.columns["action"] in (action or one.columns["action"])]
    return framewise_events(source, wanted, rules)


def classes(source: Path) -> dict[str, list[str]]:
    """Return phases and actions in the order of their numbers."""
    phases = [str(phase) for phase in range(max(ACTIONS.values()))]
    return {"phase": phases, "action": list(ACTIONS)}


def _video(path: str, split: str, labels: np.ndarray | None, action: str) -> FramewiseVideo:
    return FramewiseVideo(path, split, labels, columns={"action": action})


def _published(source: Path, pickles: dict[str, Path | None]) -> list[FramewiseVideo]:
    names = list(ACTIONS)
    return [
        _video(
            entry_video(source, path, entry),
            split,
            entry["frame_label"],
            names[int(entry["action_label"])],
        )
        for split, path in pickles.items()
        if path is not None
        for entry in read_pickle(path)
    ]


def _from_records(source: Path, records: dict[str, list[Path]]) -> list[FramewiseVideo]:
    videos = []
    for split, files in records.items():
        for one in unpack(files, source / "videos"):
            action = _action(one.name[5:])
            if action is not None:
                path = one.path.relative_to(source).as_posix()
                videos.append(_video(path, split, one.labels, action))
    return videos


def _from_frames(source: Path, only: str) -> list[FramewiseVideo]:
    """Write the videos of the original frames that have phases."""
    labels = {path.name[:4]: (split, path) for split, path in _label_files(source)}
    pictures = next((p for p in (source / "frames", *source.glob("*/frames")) if p.is_dir()), None)
    if pictures is None or not labels:
        raise DataError(f"{source} does not hold Penn Action. Expected {_LAYOUTS}.")
    videos: list[FramewiseVideo] = []
    without = []
    for folder in bar(sorted(p for p in pictures.iterdir() if p.is_dir()), unit="video"):
        if folder.name not in labels:
            without.append(folder.name)
            continue
        split, file = labels[folder.name]
        action = _action(_listed_action(pictures.parent / "labels" / f"{folder.name}.mat", file))
        if action is None or (only and action != only):
            continue
        phases = np.load(file, allow_pickle=False)
        path = source / "videos" / f"{folder.name}_{action}.mp4"
        videos.append(
            _video(
                path.relative_to(source).as_posix(), split, _written(folder, phases, path), action
            )
        )
    if without:
        log.warning("%d folders of frames have no phase labels and are left out.", len(without))
    return videos


def _label_files(source: Path) -> Iterator[tuple[str, Path]]:
    for split in _SPLITS:
        for pattern in (f"{split}/*/*.npy", f"*/{split}/*/*.npy"):
            yield from ((split, path) for path in sorted(source.glob(pattern)))


def _listed_action(mat: Path, labels: Path) -> str:
    """Return the action in the original's file, where that is there; else the labels' folder."""
    if not mat.is_file():
        return labels.parent.name
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return str(loadmat(mat, variable_names=["action"])["action"][0])
    except (MatReadError, KeyError, IndexError, ValueError, TypeError, NotImplementedError) as e:
        raise DataError(f"{mat} has no text 'action' ({e}); unpack Penn_Action again.") from e


def _action(name: str) -> str | None:
    """Return the name of an action as CARL spells it; None for one without phases."""
    name = _SPELT.get(name, name)
    return name if name in ACTIONS else None


def _written(folder: Path, phases: np.ndarray, path: Path) -> np.ndarray:
    """Write a video of the frames and return its phases; the longer of both is thinned out."""
    from actionspace.video.transform import resize_bilinear
    from actionspace.video.write import write_video

    files = sorted(folder.glob("*.jpg"))
    if not files or not len(phases):
        raise DataError(f"{folder} has {len(files)} pictures for {len(phases)} labels.")
    if len(files) > len(phases):
        files = [files[k] for k in resampled(np.arange(len(files)), len(phases))]
    elif len(files) < len(phases):
        phases = resampled(phases, len(files))
    if not path.exists():
        frames = (resize_bilinear(_picture(file), _SIZE, _SIZE) for file in files)
        write_video(path, frames, FPS, crf=18)
    return np.asarray(phases)


def _picture(file: Path) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError) as e:
        raise DataError(f"{file} is no picture ({e}); unpack Penn_Action again.") from e
