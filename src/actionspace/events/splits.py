"""Group-aware, stratified splits and folds, deterministic by seed.

Groups (subject, scene, source video) are kept whole. They are dealt out largest first, each to the
part where the classes are furthest below their share, then moved one by one while that brings the
classes' shares nearer to the wanted ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.labels import split_labels
from actionspace.events.table import Events

PARTS = ("train", "val", "test")
_ROUNDS = 10
_TRIES, _FEW = 20, 200  # deals to choose from, and up to how many groups that is worth the time
# Costs of a class that a part lacks, against squared differences of shares: never in training if
# it can be helped, seldom elsewhere.
_ABSENT_IN_TRAIN = 4.0
_ABSENT = 0.1


@dataclass(frozen=True)
class _Groups:
    """``owner[video]`` = group index; per group the classes it holds and how many events of each.

    Column 0 counts videos, so that sizes are balanced with the classes.
    """

    names: list[str]
    owner: np.ndarray
    classes: list[str]
    places: list[np.ndarray]
    counts: list[np.ndarray]


def split(
    events: Events, *, by: str = "group", ratio: Sequence[float] = (70, 15, 15), seed: int = 0
) -> Events:
    """Return the events with ``videos.split`` filled with train, val and test.

    Args:
        events: the manifest; splits it has are replaced.
        by: the videos column whose values stay together; ``"video"`` = each video alone. A video
            without a value is a group of its own.
        ratio: parts of train, val and test (two numbers: train and test).
        seed: of the order in which equal groups are dealt out.

    A class that lives in one group only stays in train; :func:`single_group_classes` names them.

    Raises:
        UsageError: ``ratio`` or ``by`` is wrong.
    """
    parts = PARTS if len(ratio) == 3 else ("train", "test")
    if len(ratio) not in (2, 3) or min(ratio) < 0 or ratio[0] <= 0:
        raise UsageError(f"ratio={tuple(ratio)}: give train:val:test or train:test, train above 0.")
    groups = _group(events, by)
    lonely = {g for _, g in _single(groups)}
    fixed = dict.fromkeys(lonely, 0)
    where = _deal(groups, np.asarray(ratio, dtype=float) / sum(ratio), seed, fixed, train=0)
    names = np.array(parts, dtype=object)[where[groups.owner]]
    column = pd.Series(names, index=events.videos.index, dtype=object)
    return replace(events, videos=events.videos.assign(split=column))


def folds(
    events: Events, k: int, *, by: str = "group", seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Return the fold (0 to ``k - 1``, int64) of each row of ``events.videos``, and notes.

    Each fold is meant to be tested once while the others train. A note names every class that lives
    in one group only: it is never in training when it is tested, so no model can learn it.

    Raises:
        UsageError: fewer groups than folds, or ``by`` is no column.
    """
    groups = _group(events, by)
    if not 2 <= k <= len(groups.names):
        raise UsageError(
            f"{k} folds need 2 to {len(groups.names)}: there are {len(groups.names)} groups "
            f"(by='{by}')."
        )
    where = _deal(groups, np.full(k, 1 / k), seed, {}, train=None)
    return where[groups.owner].astype(np.int64), notes(events, by=by)


def single_group_classes(events: Events, *, by: str = "group") -> dict[str, str]:
    """Return the classes that live in one group only, each with that group."""
    groups = _group(events, by)
    return {groups.classes[c]: groups.names[g] for c, g in _single(groups)}


def notes(events: Events, *, by: str = "group") -> list[str]:
    """Return a sentence for every class that lives in one group only."""
    return [
        f"The class '{name}' lives in one group only ('{group}'): it cannot be both learnt and "
        f"tested."
        for name, group in single_group_classes(events, by=by).items()
    ]


def _group(events: Events, by: str) -> _Groups:
    videos = events.videos
    if by not in videos.columns:
        hint = did_you_mean(by, videos.columns) or f" There is: {', '.join(videos.columns)}."
        raise UsageError(f"The videos have no column '{by}' to group by.{hint}")
    if len(videos) == 0:
        raise DataError("There are no videos to split.")
    alone = "video: " + videos["video"].astype(object) if by != "video" else videos["video"]
    keys = videos[by].where(videos[by].notna(), alone).astype(str)
    owner, names = pd.factorize(keys)
    classes = events.classes(events.heads[0])
    number = {name: i + 1 for i, name in enumerate(classes)}
    group_of = dict(zip(videos["video"], owner, strict=True))
    tally: list[dict[int, int]] = [{} for _ in names]
    for group in owner:
        tally[group][0] = tally[group].get(0, 0) + 1
    counted = events.rows[events.rows["status"] == "event"]
    for video, text in zip(counted["video"], counted[events.heads[0]], strict=True):
        of_group = tally[group_of[video]]
        for name in split_labels(text):
            of_group[number[name]] = of_group.get(number[name], 0) + 1
    return _Groups(
        [str(n) for n in names],
        owner,
        ["", *classes],
        [np.array(sorted(t), dtype=np.int64) for t in tally],
        [np.array([t[c] for c in sorted(t)], dtype=np.float64) for t in tally],
    )


def _single(groups: _Groups) -> list[tuple[int, int]]:
    """Return (class, group) for the classes that live in one group only."""
    homes: dict[int, list[int]] = {}
    for g, places in enumerate(groups.places):
        for c in places:
            homes.setdefault(int(c), []).append(g)
    return [(c, h[0]) for c, h in sorted(homes.items()) if len(h) == 1 and c != 0]


def _deal(
    groups: _Groups, shares: np.ndarray, seed: int, fixed: dict[int, int], train: int | None
) -> np.ndarray:
    """Return the best of several deals; ``fixed`` groups stay where they are."""
    random = np.random.default_rng(seed)
    tries = _TRIES if len(groups.names) <= _FEW else 1
    best, least = np.empty(0, dtype=np.int64), np.inf
    for _ in range(tries):
        where, cost = _deal_once(groups, shares, random, fixed, train)
        if cost < least - 1e-9:
            best, least = where, cost
    return best


def _deal_once(
    groups: _Groups,
    shares: np.ndarray,
    random: np.random.Generator,
    fixed: dict[int, int],
    train: int | None,
) -> tuple[np.ndarray, float]:
    """Return the part of each group, and what is left of the differences."""
    n, parts = len(groups.names), len(shares)
    total = np.zeros(len(groups.classes))
    for places, counts in zip(groups.places, groups.counts, strict=True):
        total[places] += counts
    have = np.zeros((parts, len(groups.classes)))
    where = np.full(n, -1)
    absent = np.full(parts, _ABSENT)
    if train is not None:
        absent[train] = _ABSENT_IN_TRAIN

    def costs(g: int) -> np.ndarray:
        """Return, per part, the change of the objective if group ``g`` is added to it."""
        places = groups.places[g]
        share = groups.counts[g] / total[places]
        gap = have[:, places] / total[places] - shares[:, None]
        change = ((2 * gap + share) * share).sum(axis=1)
        change -= absent * (have[:, places] == 0).sum(axis=1)
        return np.where(shares == 0, np.inf, change)

    def put(g: int, part: int, sign: int = 1) -> None:
        have[part, groups.places[g]] += sign * groups.counts[g]
        where[g] = part

    order = random.permutation(n)
    weight = np.array(
        [(c / total[p]).sum() for p, c in zip(groups.places, groups.counts, strict=True)]
    )
    weight *= random.uniform(0.5, 1.0, n)
    order = order[np.argsort(-weight[order], kind="stable")]
    for g in order:
        put(g, fixed[g] if g in fixed else int(np.argmin(costs(g))))
    for _ in range(_ROUNDS):
        moved = False
        for g in order:
            if g in fixed:
                continue
            here = int(where[g])
            put(g, here, sign=-1)
            change = costs(g)
            best = int(np.argmin(change))
            best = best if change[best] < change[here] - 1e-9 else here
            moved |= best != here
            put(g, best)
        if not moved:
            break
    where = _fill_empty(groups, where, shares, fixed, train)
    gap = have[:, total > 0] / total[total > 0] - shares[:, None]
    lacking = (have[:, total > 0] == 0) & (shares > 0)[:, None]
    return where, float((gap**2).sum() + (absent[:, None] * lacking).sum())


def _fill_empty(
    groups: _Groups,
    where: np.ndarray,
    shares: np.ndarray,
    fixed: dict[int, int],
    train: int | None,
) -> np.ndarray:
    """Give each part that is wanted but empty (test before val) the smallest group to be spared.

    A part is not emptied for another, and training keeps its last group of every class.
    """
    for part in reversed(np.flatnonzero(shares > 0)):
        if (where == part).any():
            continue
        free = [g for g in range(len(where)) if g not in fixed and _spared(groups, where, g, train)]
        if free:
            where[min(free, key=lambda g: (groups.counts[g][0], g))] = part
    return where


def _spared(groups: _Groups, where: np.ndarray, group: int, train: int | None) -> bool:
    others = np.flatnonzero(where == where[group])
    others = others[others != group]
    if len(others) == 0 or where[group] != train:
        return len(others) > 0
    kept = {int(c) for other in others for c in groups.places[other]}
    return kept >= {int(c) for c in groups.places[group]}
