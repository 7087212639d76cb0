"""Lists of whole videos, one ``relative/path.mp4 label [label ...]`` per line (Kinetics, mmaction).

Carries one event per whole video with one or several labels, and the split if the file's name says
it (``val.txt``, ``CB_train_cv1.txt``). Labels are ids; their names come from ``names=`` or from a
file ``<list>.labels.txt``, ``labels.txt``, ``label_map.txt`` or ``classes.txt`` beside the list.
Without names the id is the name. Paths may hold spaces. mmaction's JSON variant, a list of
``{"filename": ..., "label": [...]}``, is read and written too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from actionspace.errors import DataError
from actionspace.events.columns import split_name
from actionspace.events.formats.manifest import read_lines
from actionspace.events.labels import join_labels, split_labels
from actionspace.events.table import VIDEO_SUFFIXES, Events, Origin
from actionspace.paths import read_json, write_json, write_text

ROWS = ("label",)
VIDEOS = ("split",)

_SUFFIX = "|".join(re.escape(s) for s in VIDEO_SUFFIXES)
_WITH_SUFFIX = re.compile(rf"^(.*(?:{_SUFFIX}))\s+(\S.*)$", re.IGNORECASE)
_NAMES = ("labels.txt", "label_map.txt", "classes.txt")


def matches(path: Path) -> bool:
    """Say whether the file is a list: ``.txt``, a header-less ``.csv``, or mmaction's JSON."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".json":
        data = read_json(path)
        return (
            isinstance(data, list)
            and bool(data)
            and all(isinstance(d, dict) and ("filename" in d or "frame_dir" in d) for d in data)
        )
    if path.suffix.lower() not in (".txt", ".csv"):
        return False
    first = next((line for line in read_lines(path) if line.strip()), "")
    return path.suffix.lower() == ".txt" or bool(re.fullmatch(r"[^,;\t]+ \d+", first.strip()))


def read(path: Path, root: Path, names: str | Path | None = None) -> Events:
    """Read a list; ``names`` is a file with one label name per line (or ``id name``).

    Raises:
        DataError: a line without a label, a label that is no known id; the row is named.
    """
    label_names = read_names(_names_file(path, names))
    read_lines = _json_lines if path.suffix.lower() == ".json" else text_lines
    rows: list[dict[str, str]] = []
    lines: dict[str, int] = {}
    for number, video, labels in read_lines(path):
        where = f"{path}, row {number}"
        if video in lines:
            raise DataError(f"{where}: '{video}' is listed in row {lines[video]} already.")
        lines[video] = number
        if labels:
            rows.append({"video": video, "label": _named(labels, label_names, where)})
    split = split_of_name(path.stem)
    videos = [{"video": video, "split": split} for video in lines]
    by_id = {str(i): lines[str(row["video"])] for i, row in enumerate(rows)}
    return Events.from_frames(rows, videos, root, origin=Origin(path, None, by_id, lines))


def text_lines(path: Path) -> list[tuple[int, str, list[str]]]:
    """Return (row, path, label ids) of each line.

    Raises:
        DataError: a line of another form; the row is named.
    """
    found = []
    for number, line in enumerate(read_lines(path), start=1):
        text = line.strip()
        if not text:
            continue
        match = _WITH_SUFFIX.match(text)
        if match:
            video, labels = match[1], match[2].replace(",", " ").split()
        elif text.lower().endswith(VIDEO_SUFFIXES):
            video, labels = text, []
        else:
            video, _, last = text.rpartition(" ")
            labels = [last]
        if not video.strip() or not all(label.isdigit() for label in labels):
            raise DataError(
                f"{path}, row {number}: {text!r} is not 'path label' with a whole number as label."
            )
        found.append((number, video.strip(), labels))
    return found


def _json_lines(path: Path) -> list[tuple[int, str, list[str]]]:
    found = []
    for number, item in enumerate(read_json(path), start=1):
        labels = item.get("label", [])
        labels = labels if isinstance(labels, list) else [labels]
        found.append((number, str(item.get("filename", item.get("frame_dir"))), labels))
    return [(n, video, [str(label) for label in labels]) for n, video, labels in found]


def _named(labels: list[str], names: dict[str, str] | None, where: str) -> str:
    if names is None:
        return join_labels(labels)
    for label in labels:
        if label not in names and label not in names.values():
            raise DataError(
                f"{where}: there is no name for the label id {label} (of {len(names)})."
            )
    return join_labels(names.get(label, label) for label in labels)


def _names_file(path: Path, names: str | Path | None) -> Path | None:
    if names is not None:
        if not Path(names).is_file():
            raise DataError(f"The label names file {names} does not exist.")
        return Path(names)
    beside = [path.with_name(f"{path.stem}.labels.txt"), *(path.with_name(n) for n in _NAMES)]
    return next((f for f in beside if f.is_file() and f != path), None)


def read_names(path: Path | None) -> dict[str, str] | None:
    """Return id -> name from one name per line, or ``id name`` / ``name<TAB>id`` lines."""
    if path is None:
        return None
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    pairs = [re.fullmatch(r"(\d+)[\s,]+(.+)", line) for line in lines]
    if lines and all(pairs):
        return {str(int(p[1])): p[2].strip() for p in pairs if p}
    pairs = [re.fullmatch(r"(.+)\t(\d+)", line) for line in lines]
    if lines and all(pairs):
        return {str(int(p[2])): p[1].strip() for p in pairs if p}
    return {str(i): line for i, line in enumerate(lines)}


def split_of_name(stem: str) -> str | None:
    """Return the one split that a file name speaks of (``CB_train_cv1`` -> train), else None."""
    words = {split_name(word) for word in re.split(r"[^A-Za-z]+", stem)} - {None}
    return words.pop() if len(words) == 1 else None


def write(events: Events, path: Path) -> None:
    """Write a list, and ``<list>.labels.txt`` with an ``id name`` line per label.

    A path without suffix becomes a folder with one list per split and one ``labels.txt``.

    Raises:
        DataError: an interval, a video without a label or with several events, or a split that
            the file's name does not say.
    """
    if path.suffix == "":
        splits = events.videos["split"]
        if splits.isna().any():
            raise DataError(f"{splits.isna().sum()} videos have no split; write one .txt file.")
        for split in splits.unique():
            _write_list(events.select(split=split), path / f"{split}.txt", events.classes())
        write_names(events.classes(), path / "labels.txt")
        return
    _write_list(events, path, events.classes())
    write_names(events.classes(), path.with_name(f"{path.stem}.labels.txt"))


def write_names(classes: list[str], path: Path) -> None:
    """Write ``id name`` lines, ids being places in ``classes``.

    Raises:
        DataError: a name holds a line end.
    """
    for name in classes:
        if "\n" in name or "\r" in name:
            raise DataError(f"The label {name!r} holds a line end, which a list cannot.")
    write_text(path, "".join(f"{i}\t{name}\n" for i, name in enumerate(classes)))


def _write_list(events: Events, path: Path, classes: list[str]) -> None:
    says = split_of_name(path.stem)
    other = events.videos["split"].map(lambda s: s != says)
    if other.any():
        video = events.videos[other].iloc[0]
        raise DataError(
            f"{path.name} as a name says the split {says}, but {video['video']} has "
            f"{video['split']}; write to a folder for one list per split."
        )
    ids = {name: i for i, name in enumerate(classes)}
    items: list[dict[str, Any]] = []
    for video, rows in events.by_video():
        if len(rows) != 1 or rows["start"].notna().any():
            raise DataError(
                f"{video['video']}: a list holds whole videos with one event each, not {len(rows)}."
            )
        labels = [ids[name] for name in split_labels(rows["label"].iloc[0])]
        items.append({"filename": video["video"], "label": labels})
    if path.suffix.lower() == ".json":
        write_json(path, items)
        return
    lines = []
    for item in items:
        name = item["filename"]
        if "\n" in name or "\r" in name:
            raise DataError(f"{name!r} holds a line end, which a list cannot.")
        if not name.lower().endswith(VIDEO_SUFFIXES) and len(item["label"]) > 1:
            raise DataError(f"{name}: several labels need a path that ends like a video file.")
        lines.append(f"{name} {' '.join(map(str, item['label']))}\n")
    write_text(path, "".join(lines))
