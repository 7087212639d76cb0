"""HACS Segments: about 50,000 YouTube videos with segments of 200 activities.

Read from TriDet's ``HACS_segments_v1.1.1.json`` (for I3D features) and
``HACS_segments_v1.1.1_slowfast.json`` (for SlowFast features), or from the official file, which has
the first one's name. Features lie in a folder for each split. Figures are published on the
validation split, which is therefore called ``test``.
"""

from __future__ import annotations

from pathlib import Path

from actionspace.datasets import untrimmed
from actionspace.datasets.sources import only_file
from actionspace.errors import DataError, UsageError
from actionspace.events.formats import activitynet
from actionspace.events.table import Events

FILES = {"i3d": "HACS_segments_v1.1.1.json", "slowfast": "HACS_segments_v1.1.1_slowfast.json"}
_SPLITS = ("train", "val", "test")

#: How the pickles of the SlowFast features become arrays.
CONVERT = """\
import pathlib, pickle, numpy, torch
for path in pathlib.Path("slowfast_feature").rglob("*.pkl"):
    both = pickle.loads(path.read_bytes())
    rows = torch.cat([both["slow_feature"], both["fast_feature"]], 1)[0].T
    numpy.save(path.with_suffix(".npy"), rows.numpy())
"""


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
        annotation: ``i3d`` or ``slowfast``; empty = the first of these that is there.
        val_as_test: call the validation split ``test``. The unlabelled test split then is left out.

    Raises:
        DataError: no annotation, or another layout; features are pickles.
        UsageError: an unknown ``annotation``.
    """
    splits = {"train": "train", "val": "test"} if val_as_test else {s: s for s in _SPLITS}
    for name in filter(None, features.split(",")):
        _refuse_pickles(untrimmed.feature_folder(source, name))
    events = untrimmed.database(_file(source, annotation), source, splits)
    rows = untrimmed.without_doubles(events.rows)
    events = Events.from_frames(rows, events.videos, source)
    return untrimmed.finish(events, source, features=features, missing=missing)


def classes(source: Path, *, annotation: str = "") -> dict[str, list[str]]:
    """Return the class names: by ``label_id`` where the file has it, else sorted."""
    file = _file(source, annotation)
    ids = untrimmed.class_ids(file)
    if ids:
        return {"label": untrimmed.in_order(ids)}
    return {"label": activitynet.read(file, source).classes()}


def _file(source: Path, annotation: str) -> Path:
    if annotation and annotation not in FILES:
        raise UsageError(f"annotation={annotation}: use one of {', '.join(FILES)}.")
    names = [FILES[annotation]] if annotation else list(FILES.values())
    for name in names:
        file = only_file(source, name)
        if file:
            return file
    raise DataError(
        f"{source} does not hold {' or '.join(names)}. TriDet's repository has both in "
        f"data/hacs/annotations."
    )


def _refuse_pickles(folder: Path) -> None:
    """Refuse a folder of pickles, which can run any code when they are read."""
    pickles = next(folder.rglob("*.pkl"), None)
    if pickles is not None and not untrimmed.feature_files(folder):
        raise DataError(
            f"{folder} holds pickles ({pickles.name}), which can run code when they are read, so "
            "they are not. If you trust where they are from, make arrays of them once, in the "
            f"folder above, with:\n{CONVERT}"
        )
