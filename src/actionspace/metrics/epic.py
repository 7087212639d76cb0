"""EPIC-KITCHENS-100: what the challenges score, from one table of verbs and one of nouns.

Verbs and nouns are ranked as they are; an action is a verb and a noun, scored by the product of
their probabilities (Damen et al. 2022, "Rescaling Egocentric Vision", and the published scorer).
Recognition counts segments: top-1 and top-5 over all, top-1 over the participants that training
has not seen, and over the tail classes. Anticipation averages top-5 recall over classes.

Scores are ``[N, 97]`` verbs and ``[N, 300]`` nouns, columns in the order of the official ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError
from actionspace.metrics.classification import top_k_hits
from actionspace.metrics.inputs import Bools, Floats, Ints, as_labels, as_scores, mean_or_nan

VERBS, NOUNS = 97, 300
KEPT = 100  # verbs, nouns and actions that take part in scoring an action
_VERB_STEP = 1000  # an action's number is verb * 1000 + noun


@dataclass(frozen=True)
class Subsets:
    """Segments ``[N]`` that are also scored apart.

    Attributes:
        unseen: by participants who do not occur in training.
        tail_verb, tail_noun: of a class among those that make up the last fifth of training.
    """

    unseen: Bools
    tail_verb: Bools
    tail_noun: Bools

    @property
    def tail_action(self) -> Bools:
        """Segments whose verb or noun is of the tail."""
        either: Bools = self.tail_verb | self.tail_noun
        return either


def subsets_of(modifiers: Iterable[str | None]) -> Subsets:
    """Return the subsets that ``prepare epic100`` marked in the events' ``modifiers``."""
    marks = [set((text or "").split("|")) for text in modifiers]
    unseen, verb, noun = (
        np.array([mark in of for of in marks], dtype=bool)
        for mark in ("unseen", "tail_verb", "tail_noun")
    )
    return Subsets(unseen, verb, noun)


@dataclass(frozen=True)
class Actions:
    """The ``[N, 100]`` best actions of each segment, best first: their verb, noun and score."""

    verbs: Ints
    nouns: Ints
    scores: Floats

    def hits(self, verbs: Ints, nouns: Ints, k: int) -> Bools:
        """Return, per segment, whether the true action is among the first ``k``."""
        right = (self.verbs[:, :k] == verbs[:, None]) & (self.nouns[:, :k] == nouns[:, None])
        found: Bools = right.any(axis=1)
        return found


def action_scores(verb: ArrayLike, noun: ArrayLike, kept: int = KEPT) -> Actions:
    """Return the best actions from scores of verbs and nouns.

    Of each segment the ``kept`` highest verbs and nouns become probabilities (softmax among the
    kept), the products of all pairs are ranked and the first ``kept`` stay. (The published scorer
    takes the softmax over all segments at once: other numbers, the same ranking in each segment.)
    """
    verbs, verb_p = _kept(as_scores(verb), kept)
    nouns, noun_p = _kept(as_scores(noun), kept)
    if len(verbs) != len(nouns):
        raise DataError(f"There are {len(verbs)} rows of verb scores and {len(nouns)} of nouns.")
    products = (verb_p[:, :, None] * noun_p[:, None, :]).reshape(len(verbs), -1)
    order: Ints = np.argsort(products, axis=1, kind="stable")[:, ::-1][:, :kept]
    row = np.arange(len(verbs))[:, None]
    width = nouns.shape[1]
    return Actions(verbs[row, order // width], nouns[row, order % width], products[row, order])


def scored_actions(
    scores: ArrayLike, verbs: ArrayLike, nouns: ArrayLike, kept: int = KEPT
) -> Actions:
    """Return the best actions of a network that scores actions itself.

    Args:
        scores: ``[N, A]``.
        verbs, nouns: class numbers of each action ``[A]``.
        kept: how many stay, if there are as many.
    """
    array = as_scores(scores)
    order: Ints = np.argsort(array, axis=1, kind="stable")[:, ::-1][:, :kept]
    best = np.take_along_axis(array, order, axis=1)
    return Actions(np.asarray(verbs)[order], np.asarray(nouns)[order], best)


def _kept(scores: Floats, kept: int) -> tuple[Ints, Floats]:
    """Return classes and probabilities ``[N, kept]`` of the highest scores, highest first."""
    order: Ints = np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :kept]
    best = np.take_along_axis(scores, order, axis=1)
    weights = np.exp(best - best[:, :1])
    return order, weights / weights.sum(axis=1, keepdims=True)


def recognition_metrics(
    verb: ArrayLike,
    noun: ArrayLike,
    verb_labels: ArrayLike,
    noun_labels: ArrayLike,
    subsets: Subsets | None = None,
) -> dict[str, float]:
    """Return the figures of the recognition challenge, as fractions.

    ``{verb,noun,action}_top{1,5}_accuracy`` over all segments and, with ``subsets``,
    ``{unseen,tail}_{verb,noun,action}_top1_accuracy`` (NaN where a subset is empty).
    """
    truth = _Truth.of(verb, noun, verb_labels, noun_labels)
    metrics = {
        f"{what}_top{k}_accuracy": float(truth.hits(what, k).mean())
        for what in ("verb", "noun", "action")
        for k in (1, 5)
    }
    for part, what, rows in _parts(subsets):
        metrics[f"{part}_{what}_top1_accuracy"] = mean_or_nan(
            truth.hits(what, 1)[rows].astype(np.float64)
        )
    return metrics


def anticipation_metrics(
    verb: ArrayLike,
    noun: ArrayLike,
    verb_labels: ArrayLike,
    noun_labels: ArrayLike,
    subsets: Subsets | None = None,
    *,
    actions: Actions | None = None,
) -> dict[str, float]:
    """Return the figures of the anticipation challenge, as fractions: mean top-5 recall.

    ``{verb,noun,action}_mean_top5_recall``, and the same with ``unseen_`` and ``tail_`` in front;
    recall is averaged over the classes that the segments of the part truly have. ``actions`` are
    those of a network that scores them itself; None = made of verbs and nouns.
    """
    truth = _Truth.of(verb, noun, verb_labels, noun_labels)
    truth = truth if actions is None else replace(truth, actions=actions)
    metrics = {
        f"{what}_mean_top5_recall": truth.mean_recall(what, 5)
        for what in ("verb", "noun", "action")
    }
    for part, what, rows in _parts(subsets):
        metrics[f"{part}_{what}_mean_top5_recall"] = truth.mean_recall(what, 5, rows)
    return metrics


def _parts(subsets: Subsets | None) -> list[tuple[str, str, Bools]]:
    """Return (subset, what is scored, rows)."""
    if subsets is None:
        return []
    unseen = [("unseen", what, subsets.unseen) for what in ("verb", "noun", "action")]
    tail = [
        ("tail", "verb", subsets.tail_verb),
        ("tail", "noun", subsets.tail_noun),
        ("tail", "action", subsets.tail_action),
    ]
    return unseen + tail


@dataclass(frozen=True)
class _Truth:
    """Scores of each kind beside what is true."""

    verb: Floats
    noun: Floats
    actions: Actions
    verbs: Ints
    nouns: Ints

    @staticmethod
    def of(verb: ArrayLike, noun: ArrayLike, verbs: ArrayLike, nouns: ArrayLike) -> _Truth:
        verb_scores, noun_scores = as_scores(verb), as_scores(noun)
        return _Truth(
            verb_scores,
            noun_scores,
            action_scores(verb_scores, noun_scores),
            as_labels(verbs, *verb_scores.shape),
            as_labels(nouns, *noun_scores.shape),
        )

    def hits(self, what: str, k: int) -> Bools:
        if what == "verb":
            return top_k_hits(self.verb, self.verbs, k)
        if what == "noun":
            return top_k_hits(self.noun, self.nouns, k)
        return self.actions.hits(self.verbs, self.nouns, k)

    def mean_recall(self, what: str, k: int, rows: Bools | None = None) -> float:
        labels = {"verb": self.verbs, "noun": self.nouns}.get(
            what, self.verbs * _VERB_STEP + self.nouns
        )
        hits = self.hits(what, k).astype(np.float64)
        if rows is not None:
            labels, hits = labels[rows], hits[rows]
        _, number, support = np.unique(labels, return_inverse=True, return_counts=True)
        return mean_or_nan(np.bincount(number, weights=hits) / support)
