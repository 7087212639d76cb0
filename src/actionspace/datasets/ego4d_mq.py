"""Ego4D Moment Queries: clips of egocentric videos with 110 activities.

Read from ``ego4d.json`` as ActionFormer's converter writes it, or from the raw release:
``moments_train.json`` and ``moments_val.json``, whose clips become the videos. A clip's times are
laid on the grid of the published features, which have a row every 16 frames of the whole video:
the clip begins at the row before its first frame and ends with a whole number of rows. Of every
annotator the primary labels count, if they last a quarter of a second. The annotation is under
Ego4D's licence and no part of it is in here. Figures are published on the validation split, which
is called ``test``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.datasets import untrimmed
from actionspace.datasets.sources import only_file
from actionspace.errors import DataError
from actionspace.events.formats.manifest import read_lines
from actionspace.events.labels import join_labels
from actionspace.events.table import Events
from actionspace.paths import atomic_path, read_json
from actionspace.progress import bar

CONVERTED = "ego4d.json"
RAW = {"train": "moments_train.json", "val": "moments_val.json"}
LABELS = "ego4d_label_map.txt"

STRIDE, WINDOW = 16, 32  # frames between two rows of the published features, and in one
_SHORTEST = 0.25  # seconds of a label that counts
_RATES = (10.0, 100.0)  # frames per second of a clip that is not damaged


@dataclass(frozen=True)
class Clip:
    """A clip on the grid of its video's features.

    Attributes:
        uid, video: names of the clip and of the video it is cut from.
        start: second of the video at which the annotated clip begins.
        lead: seconds of the first row before that.
        duration: seconds of all rows.
        fps: frames per second.
        rows: first row of the video's features, and the one after the last.
    """

    uid: str
    video: str
    start: float
    lead: float
    duration: float
    fps: float
    rows: tuple[int, int]


def manifest(
    source: Path,
    *,
    features: str = "",
    missing: str = "skip",
    raw: str = "",
    val_as_test: bool = True,
) -> Events:
    """Return the manifest, one video per clip.

    Args:
        source: the folder with the annotation, anywhere under it.
        features: folders of features with one file per clip, see :mod:`.untrimmed`; a clip needs
            a file in each.
        missing: clips without features: ``skip`` or ``raise``.
        raw: folders of the raw release with one ``<video_uid>.pt`` per video, in place of
            ``features``; each is cut into ``<folder>_clips/<clip_uid>.npy`` beside it. Needs the
            raw annotation.
        val_as_test: call the validation split ``test``.

    Raises:
        DataError: no annotation, another layout, or features shorter than a clip.
    """
    splits = {"train": "train", "val": "test" if val_as_test else "val"}
    file = only_file(source, CONVERTED)
    if raw:
        folders = [untrimmed.feature_folder(source, name) for name in raw.split(",")]
        clips = [clip for _, _, clip in _clips(source)]
        for folder in folders:
            cut_features(folder, folder.with_name(f"{folder.name}_clips"), clips)
        features = ",".join(str(f.with_name(f"{f.name}_clips")) for f in folders)
        file = None
    if file:
        events = untrimmed.database(file, source, splits)
    else:
        events = untrimmed.in_splits(_from_raw(source), splits)
    return untrimmed.finish(events, source, features=features, missing=missing, what="clips")


def classes(source: Path) -> dict[str, list[str]]:
    """Return the class names: by ``label_id``, else of ``ego4d_label_map.txt``, else sorted."""
    file = only_file(source, CONVERTED)
    if file:
        return {"label": untrimmed.in_order(untrimmed.class_ids(file))}
    table = only_file(source, LABELS)
    if table is None:
        return {"label": _from_raw(source).classes()}
    ids = {}
    for row, line in enumerate(read_lines(table), start=1):
        number, tab, name = line.strip().partition("\t")
        if line.strip():
            if not tab or not number.isdigit():
                raise DataError(f"{table}, row {row}: {line!r} is not 'id<TAB>name'.")
            ids[name] = int(number)
    return {"label": untrimmed.in_order(ids)}


def clip_of(clip: dict[str, Any], video: str) -> Clip | None:
    """Return a clip of the raw release on the grid, None if its times make no sense."""
    start, end = max(float(clip["video_start_sec"]), 0.0), float(clip["video_end_sec"])
    first, last = max(int(clip["video_start_frame"]), 0), int(clip["video_end_frame"])
    if end <= start or not _RATES[0] <= (fps := (last - first) / (end - start)) <= _RATES[1]:
        return None
    lead = first % STRIDE
    tail = -(last - first + lead - WINDOW) % STRIDE
    rows = (first - lead) // STRIDE, (last + tail - WINDOW) // STRIDE
    duration = (end - start) + lead / fps + tail / fps
    return Clip(str(clip["clip_uid"]), video, start, lead / fps, duration, fps, rows)


def cut_features(folder: Path, out: Path, clips: list[Clip]) -> int:
    """Cut the features of whole videos, ``<video_uid>.pt``, into ``<clip_uid>.npy`` (float32).

    Clips of videos without features, and those that are cut already, are passed over.

    Returns:
        how many clips have features now.

    Raises:
        DataError: a file is no tensor ``[N, D]`` or ends before one of its clips.
    """
    import torch

    files = untrimmed.feature_files(folder)
    by_video: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.video in files:
            by_video.setdefault(clip.video, []).append(clip)
    for video, its in bar(by_video.items(), what="features", unit="video"):
        todo = [clip for clip in its if not (out / f"{clip.uid}.npy").is_file()]
        if not todo:
            continue
        whole = torch.load(files[video], map_location="cpu", weights_only=True)
        if not isinstance(whole, torch.Tensor) or whole.ndim != 2:
            raise DataError(f"{files[video]} is not a tensor [N, D] of features.")
        for clip in todo:
            first, end = clip.rows
            if end > len(whole):
                raise DataError(
                    f"{files[video]} has {len(whole)} rows, but the clip {clip.uid} takes rows "
                    f"{first} to {end}. Download the features again."
                )
            with atomic_path(out / f"{clip.uid}.npy") as tmp, tmp.open("wb") as f:
                np.save(f, whole[first:end].float().numpy(), allow_pickle=False)
    return sum(len(its) for its in by_video.values())


def _clips(source: Path) -> Iterator[tuple[str, dict[str, Any], Clip]]:
    """Yield split, entry and clip of the raw annotation."""
    found = {split: only_file(source, name) for split, name in RAW.items()}
    if not any(found.values()):
        raise DataError(
            f"{source} holds neither {CONVERTED} nor {' and '.join(RAW.values())}. They come with "
            f"Ego4D (`ego4d --datasets annotations --benchmarks MQ`), after signing its licence."
        )
    for file in filter(None, found.values()):
        data = read_json(file)
        for video in data.get("videos", ()) if isinstance(data, dict) else ():
            for entry in video.get("clips", ()):
                try:
                    clip = clip_of(entry, str(video["video_uid"]))
                except (KeyError, TypeError, ValueError) as e:
                    raise DataError(f"{file}: a clip lacks or misspells {e}.") from e
                if clip is not None:
                    yield str(video["split"]), entry, clip


def _from_raw(source: Path) -> Events:
    rows: list[dict[str, Any]] = []
    videos = []
    for split, entry, clip in _clips(source):
        videos.append(
            {
                "video": clip.uid,
                "split": split,
                "group": clip.video,
                "duration": round(clip.duration, 2),
                "fps": round(clip.fps, 2),
            }
        )
        for annotator in entry.get("annotations", ()):
            rows += _labels(annotator, clip)
    return Events.from_frames(rows, videos, source)


def _labels(annotator: dict[str, Any], clip: Clip) -> Iterator[dict[str, Any]]:
    for item in annotator.get("labels", ()):
        if not item.get("primary"):
            continue
        start, end = (
            float(item[key]) - clip.start + clip.lead
            for key in ("video_start_time", "video_end_time")
        )
        if end - start >= _SHORTEST:
            yield {
                "video": clip.uid,
                "start": round(start, 2),
                "end": round(end, 2),
                "label": join_labels([str(item["label"])]),
                "annotator": annotator.get("annotator_uid"),
            }
