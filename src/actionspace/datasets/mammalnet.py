"""MammalNet: 18,346 trimmed clips, 12 behaviours, 173 genera.

Lists are ``composition/{train,val,test}.csv`` without a header: ``trimmed_videos/<id>[_k].mp4
<behaviour> <genus>``, or with the genus left out (``{train,val,test}_base.txt``). The behaviour is
the second column: only its values stay below 12. Names come from ``behavior_to_id.txt`` and
``genus_to_id.txt`` where they are there. Clips of one YouTube video are one group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.datasets.sources import find_videos, list_file, only_file
from actionspace.errors import DataError, UsageError
from actionspace.events.formats.manifest import read_lines
from actionspace.events.formats.video_list import read_names
from actionspace.events.labels import join_labels
from actionspace.events.table import Events

CLASSES = (
    "drinks water", "sleeps", "eats food", "mates with other animals",
    "nurses or breastfeeds its baby", "pees", "grooms/cleans itself or other animal", "poops",
    "fights against other animals", "hunts other animals", "vomits", "gives birth to a baby",
)  # fmt: skip
"""The behaviours in the order of their ids."""

SPLITS = ("train", "val", "test")
_SHOTS = ("zero", "one", "five")
_YOUTUBE = 11  # letters of a YouTube id


def manifest(source: Path, *, shots: str | None = None) -> Events:
    """Return the manifest: heads ``label`` (behaviour) and, if listed, ``genus``.

    Args:
        source: the folder with the annotation and ``trimmed_videos``.
        shots: ``zero``, ``one`` or ``five`` for the authors' compositional settings; None = all.

    Raises:
        DataError: no lists, a line of another form, an id out of range; file and row are named.
        UsageError: unknown ``shots``.
    """
    if shots is not None and shots not in _SHOTS:
        raise UsageError(f"shots={shots}: use one of {', '.join(_SHOTS)}, or leave it out.")
    folder = f"composition_{shots}shot_perclass" if shots else "composition"
    behaviours = _names(source, "behavior_to_id.txt") or dict(enumerate(CLASSES))
    genera = _names(source, "genus_to_id.txt")
    clips = find_videos(source)
    rows: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    for split in SPLITS:
        file = list_file(source, f"{folder}/{split}.csv")
        file = file or (only_file(source, f"{split}_base.txt") if shots is None else None)
        if file is None:
            continue
        for number, line in enumerate(read_lines(file), start=1):
            if line.strip():
                row, name = _row(line, behaviours, genera, f"{file}, row {number}")
                path = clips.get(Path(name).name, name)
                rows.append({"video": path, **row})
                videos.append({"video": path, "split": split, "group": youtube_id(name)})
    if not rows:
        raise DataError(
            f"{source} holds neither {folder}/train.csv nor train_base.txt; unpack annotation.tar "
            f"there."
        )
    heads = ("label", "genus") if any("genus" in row for row in rows) else ("label",)
    return Events.from_frames(rows, videos, source, heads)


def _row(
    line: str, behaviours: dict[int, str], genera: dict[int, str] | None, where: str
) -> tuple[dict[str, str], str]:
    fields = line.split()
    numbers = [f for f in fields[1:] if f.isdigit()]
    if len(fields) not in (2, 3) or len(numbers) != len(fields) - 1:
        raise DataError(f"{where}: {line!r} is not 'clip behaviour [genus]'.")
    behaviour = int(numbers[0])
    if behaviour not in behaviours:
        raise DataError(
            f"{where}: there is no behaviour {behaviour} (0 to {max(behaviours)}). The behaviour "
            f"is the second column and the genus the third."
        )
    row = {"label": join_labels([behaviours[behaviour]])}
    if len(numbers) == 2:
        genus = int(numbers[1])
        row["genus"] = join_labels([genera.get(genus, str(genus)) if genera else str(genus)])
    return row, fields[0]


def _names(source: Path, name: str) -> dict[int, str] | None:
    names = read_names(only_file(source, name))
    return {int(k): v for k, v in names.items()} if names else None


def youtube_id(name: str) -> str:
    """Return the YouTube id of a clip ``<id>[_k].mp4`` (ids may hold ``_`` themselves)."""
    stem = Path(name).stem
    return stem[:_YOUTUBE] if len(stem) >= _YOUTUBE else stem.partition("_")[0]
