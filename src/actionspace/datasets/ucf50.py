"""UCF50: 6,681 clips of 50 actions in class folders, and four ways to split them.

The published X3D figure (98.60 %) was measured on a random split in which 99.4 % of the test
clips have a sibling from the same recording in training. It is reproduced here, clip by clip, for
comparison; the default keeps recordings whole.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from actionspace.datasets.sources import find_videos
from actionspace.datasets.ucf import Clip, clip_of
from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.splits import split as split_by_group
from actionspace.events.table import Events

log = logging.getLogger("actionspace")
T = TypeVar("T")

COUNTS = {
    "BaseballPitch": 150, "Basketball": 137, "BenchPress": 160, "Biking": 145, "Billiards": 150,
    "BreastStroke": 101, "CleanAndJerk": 112, "Diving": 153, "Drumming": 161, "Fencing": 111,
    "GolfSwing": 142, "HighJump": 123, "HorseRace": 127, "HorseRiding": 197, "HulaHoop": 125,
    "JavelinThrow": 117, "JugglingBalls": 122, "JumpingJack": 123, "JumpRope": 148, "Kayaking": 157,
    "Lunges": 141, "MilitaryParade": 127, "Mixing": 141, "Nunchucks": 150, "PizzaTossing": 114,
    "PlayingGuitar": 160, "PlayingPiano": 105, "PlayingTabla": 124, "PlayingViolin": 100,
    "PoleVault": 160, "PommelHorse": 123, "PullUps": 120, "Punch": 160, "PushUps": 106,
    "RockClimbingIndoor": 148, "RopeClimbing": 130, "Rowing": 137, "SalsaSpin": 133,
    "SkateBoarding": 120, "Skiing": 144, "Skijet": 100, "SoccerJuggling": 156, "Swing": 137,
    "TaiChi": 100, "TennisSwing": 167, "ThrowDiscus": 131, "TrampolineJumping": 119,
    "VolleyballSpiking": 116, "WalkingWithDog": 123, "YoYo": 128,
}  # fmt: skip
"""Clips per class; the classes in the order of their published ids."""

CLASSES = tuple(COUNTS)
"""The classes in the order of their published ids, which is the order in which Windows lists
folders: case apart, so JumpingJack (17) is before JumpRope (18)."""

SORTED_CLASSES = tuple(sorted(CLASSES))
"""The order in which a run here numbers them: plain text order, JumpRope before JumpingJack."""

KAGGLE = "vineethakkinapalli/ucf50-action-recognition-dataset"
_SPLITS = ("groups", "published", "numbers", "leave-one-out")
_PUBLISHED_SEED = 42


def manifest(
    source: Path,
    *,
    split: str = "groups",
    seed: int = 42,
    fold: int = 1,
    order: str = "published",
    download: bool = False,
) -> Events:
    """Return the manifest of the clips under ``source``; the group is (class, group number).

    Args:
        source: a folder somewhere under which the 50 class folders lie.
        split: ``groups`` = 70/15/15 with recordings kept whole and classes spread evenly;
            ``published`` = the random 70/15/15 of the published X3D run, recordings leaking;
            ``numbers`` = groups 1-7 test, 8-10 val, the rest train, as UCF101's first list;
            ``leave-one-out`` = group ``fold`` test, all others train (25 folds, the data set's
            own protocol).
        seed: of ``groups``; the published split has its own, 42.
        fold: the group tested by ``leave-one-out``.
        order: of the classes when the published split is drawn: ``published`` (see
            :data:`CLASSES`) or ``sorted`` (:data:`SORTED_CLASSES`), what the same script makes of
            folders listed in plain text order.
        download: fetch the data set from Kaggle into ``source`` if there is no clip yet; needs the
            ``kagglehub`` package and a network.

    Raises:
        DataError: no clips, an unknown class folder, a file of another name, or clips missing where
            the published split needs all.
        UsageError: an option has another value, or ``kagglehub`` is not installed.
    """
    if split not in _SPLITS or order not in ("published", "sorted"):
        raise UsageError(
            f"split={split}, order={order}: split is {', '.join(_SPLITS)}; order is published or "
            f"sorted."
        )
    if download:
        _download(source)
    clips = find_clips(source)
    if split == "published":
        where = _published(clips, source, order)
    elif split == "numbers":
        where = {c.path: _by_number(c.number) for c in clips}
    elif split == "leave-one-out":
        where = _leave_one_out(clips, fold)
    else:
        where = {}
    events = Events.from_frames(
        [{"video": c.path, "label": c.label} for c in clips],
        [{"video": c.path, "split": where.get(c.path), "group": c.group} for c in clips],
        source,
    )
    return split_by_group(events, seed=seed) if split == "groups" else events


def find_clips(source: Path) -> list[Clip]:
    """Return every clip under ``source``, by class id and then by name.

    Raises:
        DataError: there is none, a folder is no class, or a name has another form.
    """
    by_name = {name.casefold(): name for name in CLASSES}
    clips = []
    for path in find_videos(source).values():
        clip = clip_of(path, str(source))
        label = by_name.get(clip.label.casefold())
        if label is None:
            hint = did_you_mean(clip.label, CLASSES)
            raise DataError(f"{source}: the folder of {path} is no class of UCF50.{hint}")
        clips.append(replace(clip, label=label))
    if not clips:
        raise DataError(
            f"{source} holds no clips of UCF50. Expected <class>/v_<action>_g01_c01.avi in it; "
            f"unpack the data set there, or give download=true to fetch it from Kaggle."
        )
    number = {name: i for i, name in enumerate(CLASSES)}
    return sorted(clips, key=lambda c: (number[c.label], Path(c.path).name.casefold()))


def random_split(items: Sequence[T], seed: int = _PUBLISHED_SEED) -> dict[str, list[T]]:
    """Return train, val and test (70, 15 and 15 %) drawn as the published run drew them.

    Twice scikit-learn's ``train_test_split``: 30 % held out, one half of them tested; a plain
    permutation of NumPy's legacy generator, which never changes.
    """
    held, train = _draw(items, 0.3, seed)
    test, val = _draw(held, 0.5, seed)
    return {"train": train, "val": val, "test": test}


def _draw(items: Sequence[T], share: float, seed: int) -> tuple[list[T], list[T]]:
    """Return the ``share`` held out (rounded up) and the rest, in the order drawn."""
    drawn = [items[i] for i in np.random.RandomState(seed).permutation(len(items))]
    size = math.ceil(share * len(items))
    return drawn[:size], drawn[size:]


def _published(clips: list[Clip], source: Path, order: str) -> dict[str, str]:
    have = Counter(c.label for c in clips)
    wrong = [f"{name} has {have[name]} of {n}" for name, n in COUNTS.items() if have[name] != n]
    if wrong:
        more = f" and {len(wrong) - 3} more classes differ" if len(wrong) > 3 else ""
        raise DataError(
            f"{source} holds {len(clips):,} clips; the published split is drawn from all "
            f"{sum(COUNTS.values()):,} and another for any other number: {', '.join(wrong[:3])}"
            f"{more}. Complete the data set, or use split=groups."
        )
    if order == "sorted":
        clips = sorted(clips, key=lambda c: (c.label, Path(c.path).name))
    parts = random_split(clips)
    trained = {c.group for c in parts["train"]}
    leaking = sum(c.group in trained for c in parts["test"]) / len(parts["test"])
    log.warning(
        "The published split of UCF50 leaks: %.1f %% of the test clips are from a recording that "
        "is also trained on. Use it to compare, split=groups to measure.",
        100 * leaking,
    )
    return {c.path: part for part, members in parts.items() for c in members}


def _by_number(group: int) -> str:
    return "test" if group <= 7 else "val" if group <= 10 else "train"


def _leave_one_out(clips: list[Clip], fold: int) -> dict[str, str]:
    numbers = sorted({c.number for c in clips})
    if fold not in numbers:
        raise UsageError(f"fold={fold}: the groups are numbered {numbers[0]} to {numbers[-1]}.")
    return {c.path: "test" if c.number == fold else "train" for c in clips}


def _download(source: Path) -> None:
    """Fetch the data set into ``source`` unless there are videos already."""
    if find_videos(source):
        return
    with _kaggle_cache(source):
        try:
            import kagglehub  # type: ignore[import-not-found,unused-ignore]
        except ImportError as e:
            raise UsageError(
                f"Fetching UCF50 needs the package 'kagglehub' (pip install kagglehub). Or "
                f"download kaggle.com/datasets/{KAGGLE} yourself and unpack it into {source}."
            ) from e
        try:
            kagglehub.dataset_download(KAGGLE)
        except Exception as e:  # whatever the package raises: no network, no account, no space
            raise DataError(
                f"Kaggle could not be reached or refused ({e}). Download "
                f"kaggle.com/datasets/{KAGGLE} yourself and unpack it into {source}."
            ) from e


@contextlib.contextmanager
def _kaggle_cache(folder: Path) -> Iterator[None]:
    """Let kagglehub keep its files under ``folder``, so that manifest and clips lie together."""
    before = os.environ.get("KAGGLEHUB_CACHE")
    os.environ["KAGGLEHUB_CACHE"] = str(folder.resolve())
    try:
        yield
    finally:
        if before is None:
            del os.environ["KAGGLEHUB_CACHE"]
        else:
            os.environ["KAGGLEHUB_CACHE"] = before
