"""Predictions of one horizon against the truth: figures of columns and challenge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import DataError
from actionspace.metrics import epic, intervals
from actionspace.metrics.anticipation import guesses, single_anticipation_metrics
from actionspace.metrics.epic_submission import official_columns
from actionspace.metrics.protocol import Protocol

if TYPE_CHECKING:
    from actionspace.anticipation.options import EvaluationConfig
    from actionspace.events.table import Events

LEAST = 1e-12
"""A probability of zero has no logarithm."""


@dataclass(frozen=True)
class Truth:
    """Events to be foretold, and which of them count.

    Attributes:
        events: the events, in the order of scores.
        classes: per column the names that scores have, then those that are true and unknown.
        known: per column how many of them scores have.
        targets: int64 ``[E]`` per column; -1 = no label.
        counted: bool ``[E]``.
        dropped: events left out because their classes never occur in training.
        unseen: events of such a class.
    """

    events: Events
    classes: Mapping[str, list[str]]
    known: Mapping[str, int]
    targets: Mapping[str, np.ndarray]
    counted: np.ndarray
    dropped: int
    unseen: int


def truth_of(
    events: Events,
    classes: Mapping[str, Sequence[str]],
    config: EvaluationConfig,
    pairs: frozenset[tuple[int, ...]] | None = None,
) -> Truth:
    """Return what is true of events, under the protocol for classes that training has not seen.

    Args:
        events: with labels.
        classes: per column what can be foretold.
        config: its ``unseen`` decides.
        pairs: combinations of class numbers that training has, for ``unseen=drop``; None = any.

    Raises:
        DataError: such classes, and they are refused.
    """
    names: dict[str, list[str]] = {}
    targets: dict[str, np.ndarray] = {}
    seen = np.ones(len(events), bool)
    for column, known in classes.items():
        texts = events.rows[column] if column in events.rows else [None] * len(events)
        labels = [text if isinstance(text, str) else None for text in texts]
        extra = sorted({t for t in labels if t is not None} - set(known))
        if extra and config.unseen == "refuse":
            raise DataError(
                f"No training event has the {column} {', '.join(extra[:5])} of the test events. "
                "Correct the labels, or say evaluation.unseen=miss (they count as missed) or drop "
                "(they are left out)."
            )
        names[column] = [*known, *extra]
        number = {name: i for i, name in enumerate(names[column])}
        targets[column] = np.array([number.get(t or "", -1) for t in labels], np.int64)
        seen &= targets[column] < len(known)
    if pairs is not None:
        table = np.stack(list(targets.values()), axis=1)
        seen &= np.array([-1 in row or tuple(row) in pairs for row in table.tolist()], bool)
    drop = config.unseen == "drop"
    return Truth(
        events,
        names,
        {column: len(known) for column, known in classes.items()},
        targets,
        seen if drop else np.ones(len(events), bool),
        int((~seen).sum()) if drop else 0,
        int((~seen).sum()),
    )


def figures(scores: Mapping[str, np.ndarray], truth: Truth) -> dict[str, float]:
    """Return the figures of scores ``[E, C]`` per column; events without scores are left out.

    One column: ``top1_accuracy``, ``mean_top5_recall`` ...; of several each has its name in front,
    ``mean_topk_recall`` is the mean over them, and a verb and a noun without a column of their own
    for the pair make an ``action``.
    """
    found: dict[str, float] = {}
    leading = []
    for column, (values, labels) in counted(scores, truth).items():
        if not len(labels):
            continue
        one = single_anticipation_metrics(values, labels, truth.known[column])
        front = f"{column}_" if len(scores) > 1 else ""
        found |= {f"{front}{name}": value for name, value in one.items()}
        leading.append(one[f"mean_top{guesses(truth.known[column])}_recall"])
    if len(scores) > 1 and leading:
        found = {"mean_topk_recall": float(np.mean(leading)), **found}
    return found | _pairs(scores, truth)


def counted(
    scores: Mapping[str, np.ndarray], truth: Truth
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return scores ``[N, C]`` and labels ``[N]`` of the events that count, per column."""
    found = {}
    for column, values in scores.items():
        labels = truth.targets[column]
        kept = truth.counted & (labels >= 0) & ~np.isnan(values).any(axis=1)
        wide = np.pad(values, ((0, 0), (0, len(truth.classes[column]) - values.shape[1])))
        wide[:, values.shape[1] :] = -1.0  # behind everything that can be foretold
        found[column] = wide[kept], labels[kept]
    return found


def _pairs(scores: Mapping[str, np.ndarray], truth: Truth) -> dict[str, float]:
    """Return top-1 and mean top-5 recall of actions, as the challenge makes them of two columns."""
    if not {"verb", "noun"} <= set(scores) or "action" in scores:
        return {}
    tables = _both(scores, truth)
    if tables is None:
        return {}
    verb, noun, labels, _ = tables
    found = epic.anticipation_metrics(verb, noun, *labels)
    best = epic.action_scores(verb, noun)
    return {
        "action_top1_accuracy": float(best.hits(*labels, 1).mean()),
        "action_mean_top5_recall": found["action_mean_top5_recall"],
    }


def challenge_section(scores: Mapping[str, np.ndarray], truth: Truth) -> dict[str, Any]:
    """Return the entry ``epic100`` of ``metrics.json``: mean top-5 recall, overall, unseen, tail.

    It is there where verb and noun are foretold, and ``prepare epic100`` marked the events.
    """
    if not {"verb", "noun"} <= set(scores):
        return {}
    subsets = epic.subsets_of(truth.events.rows["modifiers"])
    tables = _both(scores, truth)
    if tables is None or not (subsets.unseen | subsets.tail_action).any():
        return {}
    verb, noun, labels, kept = tables
    parts = epic.Subsets(subsets.unseen[kept], subsets.tail_verb[kept], subsets.tail_noun[kept])
    names = [truth.classes[column] for column in ("verb", "noun")]
    actions = None
    if "action" in scores:
        known = truth.classes["action"][: truth.known["action"]]
        actions = actions_of(scores["action"][kept], known, *names)
    found: dict[str, Any] = dict(
        epic.anticipation_metrics(verb, noun, *labels, parts, actions=actions)
    )
    return {"epic100": {**found, "segments": int(kept.sum()), "left_out": int((~kept).sum())}}


def actions_of(
    scores: np.ndarray, names: Sequence[str], verbs: Sequence[str], nouns: Sequence[str]
) -> epic.Actions | None:
    """Return the best actions of a column of its own, whose classes are named ``verb noun``.

    None = a class is not named so.
    """
    number = {f"{v} {n}": (i, k) for i, v in enumerate(verbs) for k, n in enumerate(nouns)}
    if not all(name in number for name in names):
        return None
    return epic.scored_actions(scores, *np.array([number[name] for name in names], np.int64).T)


def _both(
    scores: Mapping[str, np.ndarray], truth: Truth
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], np.ndarray] | None:
    """Return logarithms of verbs and nouns, their labels, and which events these are."""
    kept = truth.counted.copy()
    for column in scores.keys() & {"verb", "noun", "action"}:
        kept &= ~np.isnan(scores[column]).any(axis=1)
    for column in ("verb", "noun"):
        kept &= truth.targets[column] >= 0
    if not kept.any():
        return None
    logs = []
    for column in ("verb", "noun"):
        names = truth.classes[column]
        values = np.log(np.maximum(scores[column][kept].astype(np.float64), LEAST))
        logs.append(official_columns(values, names[: truth.known[column]], names))
    return logs[0], logs[1], (truth.targets["verb"][kept], truth.targets["noun"][kept]), kept


def with_intervals(
    scores: Mapping[str, np.ndarray], truth: Truth, config: EvaluationConfig
) -> dict[str, list[float]]:
    """Return intervals of accuracy and recall, by resampling groups of videos."""
    if not config.bootstrap:
        return {}
    table = truth.events.videos
    group = dict(zip(table["video"], table["group"].fillna(table["video"]), strict=True))
    groups = np.array([str(group[v]) for v in truth.events.rows["video"]])
    found: dict[str, list[float]] = {}
    for column, (values, labels) in counted(scores, truth).items():
        kept = truth.counted & (truth.targets[column] >= 0)
        kept &= ~np.isnan(scores[column]).any(axis=1)
        if not len(labels):
            continue
        front = f"{column}_" if len(scores) > 1 else ""
        k = guesses(truth.known[column])
        pairs = intervals.single_label_intervals(
            values,
            labels,
            groups=groups[kept],
            k=tuple(dict.fromkeys((1, k))),
            n=config.bootstrap,
            level=config.confidence,
        )
        ours = {f"top{n}_accuracy": f"top{n}_accuracy" for n in (1, k)}
        ours |= {f"mean_top{n}_recall": f"macro_top{n}_accuracy" for n in (1, k)}
        for name, theirs in ours.items():
            if not np.isnan(pairs[theirs][0]):
                found[f"{front}{name}_ci"] = list(pairs[theirs])
    return found


def protocol_of(
    truth: Truth,
    config: EvaluationConfig,
    rules: Mapping[str, Any],
    split: str | None,
) -> dict[str, Any]:
    """Return the ``protocol`` entry of ``metrics.json``.

    Args:
        truth: what was to be foretold.
        config: how classes that training lacks are counted.
        rules: horizon, window, anchor, input.
        split: which events.
    """
    columns = list(truth.classes)
    rows = truth.events.rows.loc[truth.counted, ["video", "start", "end", *columns]]
    videos = truth.events.videos
    groups = videos["group"].fillna(videos["video"])
    protocol = Protocol(
        name="anticipation",
        videos=tuple(str(v) for v in videos["video"]),
        classes=tuple(truth.classes[columns[0]]),
        truth=tuple(rows.astype(object).itertuples(index=False, name=None)),
        rules={**rules, "unseen": config.unseen},
    )
    return protocol.as_dict() | {
        "split": split,
        "groups": int(groups.nunique()),
        "guesses": {column: guesses(truth.known[column]) for column in columns},
        "events_of_unseen_classes": truth.unseen,
        "dropped_events": truth.dropped,
        "confidence": config.confidence if config.bootstrap else None,
        "bootstrap": config.bootstrap,
    }
