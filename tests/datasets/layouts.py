"""Tiny data sets in the layout of each published one, for tests that need videos in place.

``make(name, folder)`` writes them and returns the folder to give to ``prepare`` (or ``read``).
Classes differ in how a square moves and in its colour, so that any encoder can tell them apart;
the background differs from clip to clip, so that no two files are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from actionspace.paths import write_json, write_text
from actionspace.video.write import write_video

SIZE, FRAMES, FPS = 64, 40, 25.0
PER_SPLIT = {"train": 5, "val": 2, "test": 2}
_MOVES = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, 0.0))
_COLOURS = ((230, 60, 40), (40, 120, 230), (60, 200, 80), (235, 205, 50))


def clip(kind: int, seed: int, frames: int = FRAMES, size: int = SIZE) -> np.ndarray:
    """Return uint8 ``[frames, size, size, 3]``: a square of class ``kind`` over a grey pattern."""
    random = np.random.default_rng([kind, seed])
    small = random.integers(70, 130, (8, 8, 1)).astype(np.uint8)
    ground = np.kron(small, np.ones((size // 8, size // 8, 3), np.uint8))
    side = size // 4
    x, y = random.uniform(0, size, 2)
    dx, dy = np.array(_MOVES[kind % len(_MOVES)]) * random.uniform(1.2, 2.0)
    film = np.repeat(ground[None], frames, axis=0)
    for t, picture in enumerate(film):
        left, top = int(x + dx * t) % (size - side), int(y + dy * t) % (size - side)
        picture[top : top + side, left : left + side] = _COLOURS[kind % len(_COLOURS)]
    return film


def _write(path: Path, kind: int, seed: int, frames: int = FRAMES) -> None:
    write_video(path, clip(kind, seed, frames), FPS, options={"preset": "ultrafast"})


def _each(classes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return (split, class number, clip number) of every clip; the numbers never repeat."""
    out = []
    for kind in range(len(classes)):
        numbers = iter(range(sum(PER_SPLIT.values())))
        out += [(s, kind, next(numbers)) for s, n in PER_SPLIT.items() for _ in range(n)]
    return out


def mammalnet(folder: Path) -> Path:
    """``annotation/composition/{split}.csv`` and ``trimmed_videos/<id>[_k].mp4``."""
    from actionspace.datasets.mammalnet import CLASSES

    used = (0, 1, 2, 6)
    lines: dict[str, list[str]] = {s: [] for s in PER_SPLIT}
    for split, kind, number in _each(used):
        suffix = "_1" if number % 2 else ""
        name = f"trimmed_videos/Vid{kind:02d}_{number:05d}{suffix}.mp4"
        _write(folder / name, kind, number)
        lines[split].append(f"{name} {used[kind]} {100 + kind}\n")
    annotation = folder / "annotation"
    for split, text in lines.items():
        write_text(annotation / "composition" / f"{split}.csv", "".join(text))
    write_text(
        annotation / "behavior_to_id.txt", "".join(f"{n}\t{i}\n" for i, n in enumerate(CLASSES))
    )
    write_text(annotation / "genus_to_id.txt", "".join(f"genus{i}\t{i}\n" for i in range(173)))
    return folder


def chimpbehave(folder: Path) -> Path:
    """``CB_{train,test}_cv{1..5}.txt`` and ``miniclips/<sequence>_<class>_clip_a_b.mp4``."""
    used = ("sitting", "standing", "walking", "hanging")
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for split, kind, number in _each(used):
        name = f"Chimp{number}_{kind}00_{kind}99_{used[kind]}_clip_0_19.mp4"
        _write(folder / "miniclips" / name, kind, number, frames=20)
        lines["train" if split == "train" else "test"].append(f"{name} {kind}\n")
    for fold in range(1, 6):
        for split, text in lines.items():
            write_text(folder / "lists" / f"CB_{split}_cv{fold}.txt", "".join(text))
    return folder


def kinetics700_diff(folder: Path) -> Path:
    """``{train,val,test}/<class>/<id>_<start>_<end>.mp4``, with a class that is not among them."""
    from actionspace.datasets.kinetics700_diff import CLASSES

    used = (*CLASSES[:3], "abseiling")
    for split, kind, number in _each(used):
        name = f"{split}/{used[kind]}/yt{kind:03d}_{number:04d}x_000010_000020.mp4"
        _write(folder / name, kind, number)
    return folder


def class_folders(folder: Path) -> Path:
    """``{train,val,test}/<class>/clip.mp4``: anybody's own clips."""
    used = ("leftward", "rightward", "downward", "still")
    for split, kind, number in _each(used):
        _write(folder / split / used[kind] / f"clip {number}.mp4", kind, number)
    return folder


def chimpbehave_raw(folder: Path) -> Path:
    """What mini-clips are cut from: ``labels.csv``, ``<video>_bboxes.json``, videos of 320 x 240.

    Three windows of 20 frames and 7 frames more; the animal walks into a corner.
    """
    rows = ["video,behaviour"]
    for number, label in enumerate(("sitting", "walking")):
        name = f"Raw{number}_10_90"
        film = np.full((67, 240, 320, 3), 90, np.uint8)
        boxes = []
        for t, picture in enumerate(film):
            x, y = min(20 + 4 * t, 280), min(10 + 3 * t, 200)
            picture[y : y + 40, x : x + 40] = _COLOURS[number]
            boxes.append({"track_bboxes": [[[0, x, y, x + 40, y + 40, 0.9], [1, 0, 0, 5, 5, 0.5]]]})
        write_video(folder / "videos" / f"{name}.mp4", film, FPS, options={"preset": "ultrafast"})
        write_json(folder / "boxes" / f"{name}_bboxes.json", boxes)
        rows.append(f"{name}.mp4,{label}")
    write_text(folder / "labels.csv", "\n".join(rows) + "\n")
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "mammalnet": mammalnet,
    "chimpbehave": chimpbehave,
    "kinetics700-diff": kinetics700_diff,
    "class-folders": class_folders,
}


def make(name: str, folder: Path) -> Path:
    """Write the tiny data set ``name`` into ``folder`` and return the folder to prepare from."""
    return LAYOUTS[name](folder)
