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


def _write_avi(path: Path, kind: int, seed: int) -> None:
    write_video(path, clip(kind, seed), FPS, codec="mpeg4")


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


def ucf50(folder: Path) -> Path:
    """``UCF50/<class>/v_<class>_gGG_cCC.avi``: six recordings of each class, two clips of each.

    One class is spelt otherwise in its files, and two differ in order when case is told apart.
    """
    used = {"BaseballPitch": "", "Billiards": "Billards", "JumpRope": "", "JumpingJack": ""}
    for kind, (name, spelt) in enumerate(used.items()):
        for group in range(1, 7):
            for number in (1, 2):
                file = f"v_{spelt or name}_g{group:02d}_c{number:02d}.avi"
                _write_avi(folder / "UCF50" / name / file, kind, 10 * group + number)
    return folder


def ucf101(folder: Path) -> Path:
    """``ucfTrainTestlist/{train,test}list0N.txt`` and ``UCF-101/<class>/v_<class>_gGG_cCC.avi``.

    Case differs between a folder, its clips and the lists, as in the distributions.
    """
    from actionspace.datasets.ucf101 import CLASSES

    used = ("ApplyEyeMakeup", "Archery", "HandstandPushups", "YoYo")
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for split, kind, number in _each(used):
        name = used[kind].replace("Handstand", "HandStand")
        path = f"{used[kind]}/v_{name}_g{number + 1:02d}_c01.avi"
        _write_avi(folder / "UCF-101" / path, kind, number)
        path = path.replace("HandStand", "Handstand")
        train = split == "train"
        lines["train" if train else "test"].append(
            f"{path} {CLASSES.index(used[kind]) + 1}\n" if train else f"{path}\n"
        )
    for fold in (1, 2, 3):
        for split, text in lines.items():
            write_text(folder / "ucfTrainTestlist" / f"{split}list{fold:02d}.txt", "".join(text))
    return folder


def kinetics(folder: Path) -> Path:
    """``k400/{train,val}/<id>_<start>_<end>.mp4`` and the official csv files; one clip is gone."""
    used = ("abseiling", "air drumming", "answering questions", "applauding")
    header = "label,youtube_id,time_start,time_end,split,is_cc\n"
    lines = {"train": [header, "abseiling,vanishedxxx,1,11,train,0\n"], "val": [header]}
    for split, kind, number in _each(used):
        name = f"yt-_{kind:03d}{number:04d}"
        split = "train" if split == "train" else "val"
        _write(folder / "k400" / split / f"{name}_000005_000015.mp4", kind, number)
        lines[split].append(f"{used[kind]},{name},5,15,{split},0\n")
    for split, text in lines.items():
        write_text(folder / "k400" / f"{split}.csv", "".join(text))
    return folder


EPIC_VIDEOS = {
    "train": ("P01_01", "P01_02", "P02_101", "P02_102", "P03_03"),
    "val": ("P01_11", "P01_102", "P18_01", "P18_02"),
}
EPIC_KINDS = ((0, 2), (1, 2), (3, 56), (12, 60))  # verb and noun; 12, 56 and 60 are of the tail


def epic100(folder: Path) -> Path:
    """``annotations/EPIC_100_*.csv`` and ``P01/videos/P01_01.MP4``; four segments in a video."""
    length = FRAMES / FPS
    epic100_annotations(folder, length)
    info = ["video_id,duration,fps,resolution\n"]
    for number, name in enumerate(v for names in EPIC_VIDEOS.values() for v in names):
        film = np.concatenate([clip(kind, number) for kind in range(len(EPIC_KINDS))])
        path = folder / name.partition("_")[0] / "videos" / f"{name}.MP4"
        write_video(path, film, FPS, options={"preset": "ultrafast"})
        info.append(f"{name},{len(EPIC_KINDS) * length},{FPS},64x64\n")
    write_text(folder / "annotations" / "EPIC_100_video_info.csv", "".join(info))
    return folder


def epic100_frames(folder: Path) -> Path:
    """``epic100`` with ``P01/rgb_frames/P01_01/frame_0000000001.jpg`` instead, at 60 or 50 fps."""
    epic100_annotations(folder, 0.5)
    for number, name in enumerate(v for names in EPIC_VIDEOS.values() for v in names):
        frames = 30 if len(name) == 6 else 25
        film = np.concatenate([clip(kind, number, frames) for kind in range(len(EPIC_KINDS))])
        _write_pictures(folder / name.partition("_")[0] / "rgb_frames" / name, film)
    return folder


def epic100_flow(folder: Path) -> Path:
    """``epic100`` with ``P01/flow_frames/P01_01/{u,v}/``, one flow picture per two frames of 2018.

    The picture shows its own number, counted from 0, in ``u``, and 200 less it in ``v``.
    """
    epic100_annotations(folder, 0.5)
    for name in (v for names in EPIC_VIDEOS.values() for v in names):
        numbers = np.arange(60 if len(name) == 6 else 100, dtype=np.uint8)
        place = folder / name.partition("_")[0] / "flow_frames" / name
        for part, values in (("u", numbers), ("v", 200 - numbers)):
            _write_pictures(place / part, np.repeat(values, 32 * 32).reshape(-1, 32, 32))
    return folder


def _write_pictures(folder: Path, film: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for i, picture in enumerate(film, start=1):
        Image.fromarray(picture).save(folder / f"frame_{i:010d}.jpg", quality=95)


def epic100_annotations(folder: Path, length: float) -> None:
    """The official files but the video list: segments of ``length`` seconds, one by one.

    Verbs are ``verb0`` ... ``verb96`` and nouns ``noun:0`` ... ``noun:299`` here: the real names
    are not ours to give away.
    """
    place = folder / "annotations"
    head = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp"
    head += ",start_frame,stop_frame"
    for split, file in (("train", "train"), ("val", "validation"), ("test", "test_timestamps")):
        labelled = split != "test"
        more = ",narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
        lines = [head + (more if labelled else "") + "\n"]
        for name in EPIC_VIDEOS.get(split, ("P33_101",)):
            fps = 60 if len(name) == 6 else 50
            for i, (verb, noun) in enumerate(EPIC_KINDS):
                start, stop = i * length, (i + 1) * length
                cells = [f"{name}_{i}", name.partition("_")[0], name, "", _stamp(start)]
                cells += [_stamp(stop), str(max(1, int(fps * start))), str(int(fps * stop))]
                if labelled:
                    said = f"say it,said,{verb},thing,{noun},\"['thing', 'x']\",\"[{noun}, 5]\""
                    cells.append(said)
                lines.append(",".join(cells) + "\n")
        write_text(place / f"EPIC_100_{file}.csv", "".join(lines))
    for what, name, count in (("verb", "verb{}", 97), ("noun", "noun:{}", 300)):
        rows = (f"{i},{name.format(i)},\"['a', 'b']\",kind\n" for i in range(count))
        write_text(
            place / f"EPIC_100_{what}_classes.csv", "id,key,instances,category\n" + "".join(rows)
        )
    write_text(place / "EPIC_100_tail_verbs.csv", "verb\n10\n12\n")
    write_text(place / "EPIC_100_tail_nouns.csv", "noun\n56\n60\n")
    write_text(
        place / "EPIC_100_unseen_participant_ids_validation.csv", "participant_id\nP18\nP32\n"
    )


def _stamp(seconds: float) -> str:
    return f"00:{int(seconds // 60):02d}:{seconds % 60:05.2f}"


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
    "ucf50": ucf50,
    "ucf101": ucf101,
    "kinetics": kinetics,
    "epic100": epic100,
    "class-folders": class_folders,
}


def make(name: str, folder: Path) -> Path:
    """Write the tiny data set ``name`` into ``folder`` and return the folder to prepare from."""
    return LAYOUTS[name](folder)
