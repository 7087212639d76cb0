"""ActivityNet 1.3: about 20,000 YouTube videos with segments of 200 activities.

Read from the official ``activity_net.v1-3.min.json``, from ActionFormer's
``anet1.3_tsp_filtered.json`` or ``anet1.3_i3d_filtered.json``, or from the lists of BSN and BMN
(``anet_anno_action.json`` with ``video_info_new.csv``). Events shorter than a thousandth of a
second, and repetitions of an event within that, are left out, as in the original evaluations.
Figures are published on the validation split, which is therefore called ``test``.
"""

from __future__ import annotations

from pathlib import Path

from actionspace.datasets import untrimmed
from actionspace.datasets.sources import need_table, only_file
from actionspace.errors import DataError, UsageError
from actionspace.events.columns import split_name
from actionspace.events.formats import activitynet
from actionspace.events.table import Events

OFFICIAL = "activity_net.v1-3.min.json"
FILTERED = {"tsp": "anet1.3_tsp_filtered.json", "i3d": "anet1.3_i3d_filtered.json"}
BSN = ("anet_anno_action.json", "video_info_new.csv")


def manifest(
    source: Path,
    *,
    features: str = "",
    missing: str = "skip",
    annotation: str = "",
    val_as_test: bool = True,
) -> Events:
    """Return the manifest.

    Args:
        source: the folder with the annotation, anywhere under it.
        features: folders of features, see :mod:`.untrimmed`.
        missing: videos without features: ``skip`` or ``raise``.
        annotation: ``official``, ``tsp``, ``i3d`` (ActionFormer's lists) or ``bsn``; empty = the
            first of these that is there.
        val_as_test: call the validation split ``test``. The unlabelled test split then is left out.

    Raises:
        DataError: no annotation, or another layout.
        UsageError: an unknown ``annotation``.
    """
    splits = {"train": "train", "val": "test"} if val_as_test else {s: s for s in _SPLITS}
    kind, file = _file(source, annotation)
    events = _bsn(source, file) if kind == "bsn" else activitynet.read(file, source)
    events = untrimmed.in_splits(events, splits)
    rows = untrimmed.without_doubles(events.rows)
    events = Events.from_frames(rows, events.videos, source)
    return untrimmed.finish(events, source, features=features, missing=missing)


_SPLITS = ("train", "val", "test")


def classes(source: Path, *, annotation: str = "") -> dict[str, list[str]]:
    """Return the class names: by ``label_id`` where the file has it, else sorted."""
    kind, file = _file(source, annotation)
    ids = {} if kind == "bsn" else untrimmed.class_ids(file)
    if ids:
        return {"label": untrimmed.in_order(ids)}
    return {"label": activitynet.read(file, source).classes()}


def _file(source: Path, annotation: str) -> tuple[str, Path]:
    names = {"official": OFFICIAL, **FILTERED, "bsn": BSN[0]}
    if annotation and annotation not in names:
        raise UsageError(f"annotation={annotation}: use one of {', '.join(names)}.")
    wanted = {annotation: names[annotation]} if annotation else names
    for kind, name in wanted.items():
        file = only_file(source, name)
        if file:
            return kind, file
    raise DataError(
        f"{source} does not hold {' or '.join(wanted.values())}. The official file is at "
        f"activity-net.org, ActionFormer's are in its anet_1.3.tar.gz."
    )


def _bsn(source: Path, file: Path) -> Events:
    """Return BSN's lists; its duration is that of the annotation, its rate the one measured."""
    table, info = need_table(source, BSN[1], ("video", "subset", "rfps"))
    about = info.set_index("video")
    events = activitynet.read(file, source)
    unknown = [v for v in events.videos["video"] if v not in about.index]
    if unknown:
        raise DataError(f"{table} has no row of '{unknown[0]}', which {file} annotates.")
    its = about.loc[list(events.videos["video"])]
    bare = {v: v.removeprefix(untrimmed.PREFIX) for v in events.videos["video"]}
    videos = events.videos.assign(
        video=events.videos["video"].map(bare),
        split=its["subset"].map(split_name).to_numpy(),
        fps=its["rfps"].to_numpy(),
    )
    rows = events.rows.assign(video=events.rows["video"].map(bare))
    return Events.from_frames(rows, videos, source)
