"""UCF101: 13,320 clips of 101 actions, with the three official pairs of lists.

``trainlist0N.txt`` holds ``<class>/<clip>.avi <id>`` lines with ids from 1, ``testlist0N.txt`` the
paths alone. Recordings are kept whole in each pair; there is no validation list (``actionspace
split`` makes one). One class is spelt ``HandstandPushups`` as a folder and ``HandStandPushups`` in
its clips' names, differently from one distribution to the next: case is not told apart.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from actionspace.datasets.sources import find_videos, need_file
from actionspace.datasets.ucf import clip_of
from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.formats import video_list
from actionspace.events.table import Events

CLASSES = (
    "ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching",
    "BaseballPitch", "Basketball", "BasketballDunk", "BenchPress", "Biking", "Billiards",
    "BlowDryHair", "BlowingCandles", "BodyWeightSquats", "Bowling", "BoxingPunchingBag",
    "BoxingSpeedBag", "BreastStroke", "BrushingTeeth", "CleanAndJerk", "CliffDiving",
    "CricketBowling", "CricketShot", "CuttingInKitchen", "Diving", "Drumming", "Fencing",
    "FieldHockeyPenalty", "FloorGymnastics", "FrisbeeCatch", "FrontCrawl", "GolfSwing",
    "Haircut", "Hammering", "HammerThrow", "HandstandPushups", "HandstandWalking",
    "HeadMassage", "HighJump", "HorseRace", "HorseRiding", "HulaHoop", "IceDancing",
    "JavelinThrow", "JugglingBalls", "JumpingJack", "JumpRope", "Kayaking", "Knitting",
    "LongJump", "Lunges", "MilitaryParade", "Mixing", "MoppingFloor", "Nunchucks",
    "ParallelBars", "PizzaTossing", "PlayingCello", "PlayingDaf", "PlayingDhol", "PlayingFlute",
    "PlayingGuitar", "PlayingPiano", "PlayingSitar", "PlayingTabla", "PlayingViolin",
    "PoleVault", "PommelHorse", "PullUps", "Punch", "PushUps", "Rafting", "RockClimbingIndoor",
    "RopeClimbing", "Rowing", "SalsaSpin", "ShavingBeard", "Shotput", "SkateBoarding", "Skiing",
    "Skijet", "SkyDiving", "SoccerJuggling", "SoccerPenalty", "StillRings", "SumoWrestling",
    "Surfing", "Swing", "TableTennisShot", "TaiChi", "TennisSwing", "ThrowDiscus",
    "TrampolineJumping", "Typing", "UnevenBars", "VolleyballSpiking", "WalkingWithDog",
    "WallPushups", "WritingOnBoard", "YoYo",
)  # fmt: skip
"""The classes in the order of their ids, which are from 1 in the lists."""

_BY_NAME = {name.casefold(): i for i, name in enumerate(CLASSES)}


def manifest(source: Path, *, fold: int = 1) -> Events:
    """Return the manifest of an official pair of lists, splits train and test.

    Args:
        source: a folder with the lists and the class folders, anywhere under it.
        fold: 1, 2 or 3: which pair.

    Raises:
        DataError: a list is missing, a path or class is unknown, or an id contradicts its folder;
            file and row are named.
        UsageError: there is no such pair.
    """
    if fold not in (1, 2, 3):
        raise UsageError(f"fold={fold}: the official lists are 1, 2 and 3.")
    there = {name.casefold(): path for name, path in find_videos(source).items()}
    rows: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    for split in ("train", "test"):
        file = need_file(source, f"{split}list{fold:02d}.txt")
        for number, path, ids in video_list.text_lines(file):
            where = f"{file}, row {number}"
            clip = clip_of(path.replace("\\", "/"), where)
            label = _label(clip.label, ids, where)
            video = there.get(Path(clip.path).name.casefold(), clip.path)
            rows.append({"video": video, "label": label})
            group = replace(clip, label=label).group
            videos.append({"video": video, "split": split, "group": group})
    return Events.from_frames(rows, videos, source)


def _label(folder: str, ids: list[str], where: str) -> str:
    index = _BY_NAME.get(folder.casefold())
    if index is None:
        hint = did_you_mean(folder, CLASSES)
        raise DataError(f"{where}: '{folder}' is no class of UCF101.{hint}")
    if ids and ids != [str(index + 1)]:
        raise DataError(
            f"{where}: the id of {CLASSES[index]} is {index + 1}, the list says {' '.join(ids)}."
        )
    return CLASSES[index]
