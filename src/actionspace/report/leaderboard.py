"""The page of a leaderboard: which encoder for these videos, how sure, and at what cost."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actionspace.paths import plain, write_text
from actionspace.report.html import fill
from actionspace.report.leaderboard_svg import Curve, Dot

NAME = "report.html"
TEMPLATE = "leaderboard.html.j2"


@dataclass(frozen=True)
class View:
    """What the template shows.

    Attributes:
        board: the leaderboard, plain values.
        colours: colour of each encoder.
        costs: the best head of each encoder against its multiply-adds.
        few: per head the few-shot curves of all encoders.
        curves: all of them, for one scale.
        tied: how many rows are not told apart from the first.
    """

    board: Mapping[str, Any]
    colours: Mapping[str, int]
    costs: tuple[Dot, ...]
    few: tuple[tuple[str, tuple[Curve, ...]], ...]
    curves: tuple[Curve, ...]
    tied: int


def write_leaderboard(folder: str | os.PathLike[str], board: Mapping[str, Any]) -> Path:
    """Write ``report.html`` into a folder and return its path.

    Args:
        folder: where.
        board: what ``leaderboard.json`` holds.
    """
    target = Path(folder) / NAME
    write_text(target, fill(TEMPLATE, c=view(plain(board))))
    return target


def view(board: Mapping[str, Any]) -> View:
    """Return what the template shows of a leaderboard of plain values."""
    colours = {facts["encoder"]: i for i, facts in enumerate(board["encoders"])}
    random = {facts["encoder"]: facts["random"] for facts in board["encoders"]}
    best: dict[str, Mapping[str, Any]] = {}
    for row in board["rows"]:
        best.setdefault(row["encoder"], row)
    costs = tuple(
        Dot(
            f"{name}, {row['head']}",
            row["gmacs"],
            row["mean_class_accuracy"],
            *_pair(row["mean_class_accuracy_ci"]),
            colours[name],
            random[name],
        )
        for name, row in best.items()
        if row["gmacs"] is not None and row["gmacs"] > 0 and math.isfinite(row["gmacs"])
    )
    heads = dict.fromkeys(curve["head"] for curve in board["few_shot"])
    few = tuple(
        (head, tuple(_curve(c, colours) for c in board["few_shot"] if c["head"] == head))
        for head in heads
    )
    tied = sum(not row["apart_from_best"] for row in board["rows"][1:])
    curves = tuple(curve for _, several in few for curve in several)
    return View(board, colours, costs, few, curves, tied)


def _pair(interval: Sequence[float | None]) -> tuple[float | None, float | None]:
    low, high = interval
    return low, high


def _curve(curve: Mapping[str, Any], colours: Mapping[str, int]) -> Curve:
    name = curve["encoder"]
    dots = tuple(
        Dot(name, p["shots"], p["value"], *_pair(p["interval"]), colours[name])
        for p in curve["points"]
    )
    return Curve(name, colours[name], dots)
