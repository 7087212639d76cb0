"""The heads of a leaderboard: one way to fit and to ask each of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from actionspace.heads.centroid import fit_centroid
from actionspace.heads.knn import fit_knn
from actionspace.heads.linear import to_probabilities
from actionspace.heads.probe import fit_probe
from actionspace.heads.ridge import fit_ridge
from actionspace.metrics.inputs import Bools, Ints
from actionspace.recognition.leaderboard.plan import Plan, few_labels, inner_splits
from actionspace.recognition.rows import Rows

FIXED_LINEAR, FIXED_RIDGE = 1e-1, 1e-1
"""Strengths of few-shot fits, where next to nothing could be held out to choose them."""

ATTENTIVE_DEPTH = 1
"""Blocks of the attentive probe: the pooling one alone, as data sets here are mostly small."""
ATTENTIVE_LRS, ATTENTIVE_DECAY = (1e-3, 3e-4, 1e-4), 0.1
ATTENTIVE_EPOCHS, ATTENTIVE_STEPS, ATTENTIVE_BATCH = 20, 120, 32
"""Passes over the rows, steps that there are at least, rows per step."""

Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class How:
    """What is the same for all heads.

    Attributes:
        class_weight: ``balanced`` = each class weighs the same in the loss of heads that have one.
        seed: of inner folds and first weights.
        device: where heads with tensors are fitted.
        step: called after each fit.
    """

    class_weight: Literal["balanced"] | None
    seed: int
    device: str
    step: Callable[[], object]


@dataclass(frozen=True)
class Answers:
    """What one head on one encoder said.

    Attributes:
        guess: class number of every event ``[E]``; -1 = not tested.
        chosen: per trial the options that were chosen.
        seconds: to choose and fit, all trials together.
        notes: what the reader should know.
    """

    guess: Ints
    chosen: tuple[dict[str, Any], ...]
    seconds: float
    notes: tuple[str, ...]


def answer(head: str, rows: Rows, plan: Plan, how: How) -> Answers:
    """Fit a head in every trial and let it name the events that it has not seen.

    Args:
        head: its name.
        rows: of all events, numbered as in the plan; for ``attentive`` their tokens.
        plan: the trials.
        how: what is the same for all heads.
    """
    guess = np.full(len(plan.truth), -1, np.int64)
    chosen: list[dict[str, Any]] = []
    notes: list[str] = []
    seconds = 0.0
    for trial in plan.trials:
        learn = rows.where(trial.learn[rows.event])
        held = trial.validation[learn.event]
        splits = inner_splits(learn.targets, learn.groups, held, len(plan.classes), how.seed)
        begun = time.perf_counter()
        predict, options, said = _FIT[head](learn, splits, plan, how)
        seconds += time.perf_counter() - begun
        _name(guess, predict, rows.where(trial.test[rows.event]), len(plan.classes))
        chosen.append(options)
        notes += said
        how.step()
    return Answers(guess, tuple(chosen), seconds, tuple(dict.fromkeys(notes)))


def answer_few(
    head: str, rows: Rows, plan: Plan, shots: Sequence[int], draws: int, how: How
) -> Ints:
    """Return the classes named after learning from few events ``[len(shots), draws, E]``.

    Nothing is chosen: the strengths of linear heads are fixed, as many neighbours vote as a class
    has labels, class means are compared by cosine.
    """
    guess = np.full((len(shots), draws, len(plan.truth)), -1, np.int64)
    for at, trial in enumerate(plan.trials):
        test = rows.where(trial.test[rows.event])
        for which, draw, kept in few_labels(plan, at, shots, draws, how.seed):
            predict = _fit_few(head, rows.where(kept[rows.event]), shots[which], plan, how)
            _name(guess[which, draw], predict, test, len(plan.classes))
            how.step()
    return guess


def _name(guess: Ints, predict: Predict, rows: Rows, classes: int) -> None:
    """Write the class of every event of ``rows``: the likeliest by the mean over its rows."""
    total = np.zeros((len(guess), classes))
    np.add.at(total, rows.event, predict(rows.features))
    tested = np.unique(rows.event)
    guess[tested] = total[tested].argmax(axis=1)


_Fit = tuple[Predict, dict[str, Any], tuple[str, ...]]


def _linear(rows: Rows, splits: list[Bools], plan: Plan, how: How) -> _Fit:
    # A validation split is one inner split; inner folds are dealt by fit_probe in the same way.
    found = fit_probe(
        rows.features,
        rows.targets,
        classes=plan.classes,
        groups=rows.groups,
        validation=~splits[0] if len(splits) == 1 else None,
        sample_weight=rows.weight,
        class_weight=how.class_weight,
        seed=how.seed,
    )
    return found.head.probabilities, {"strength": found.strength}, found.notes


def _knn(rows: Rows, splits: list[Bools], plan: Plan, how: How) -> _Fit:
    found = fit_knn(
        rows.features,
        rows.targets,
        classes=len(plan.classes),
        splits=splits,
        sample_weight=rows.weight,
    )
    return found.probabilities, {"k": found.k}, ()


def _centroid(rows: Rows, splits: list[Bools], plan: Plan, how: How) -> _Fit:
    found = fit_centroid(
        rows.features,
        rows.targets,
        classes=len(plan.classes),
        splits=splits,
        sample_weight=rows.weight,
    )
    return found.probabilities, {"distance": found.distance}, ()


def _ridge(rows: Rows, splits: list[Bools], plan: Plan, how: How) -> _Fit:
    found = fit_ridge(
        rows.features,
        rows.targets,
        classes=len(plan.classes),
        splits=splits,
        sample_weight=rows.weight,
        class_weight=how.class_weight,
    )
    return found.probabilities, {"strength": found.strength}, ()


def _attentive(rows: Rows, splits: list[Bools], plan: Plan, how: How) -> _Fit:
    """Choose the learning rate on the validation rows, or on the first inner fold (all of them
    would take as many times as long), and fit with it on all rows."""
    notes: tuple[str, ...] = ()
    lr = ATTENTIVE_LRS[1]
    if splits:
        train = splits[0]
        tried = _fit_attentive(rows.where(train), rows.where(~train), plan, how, ATTENTIVE_LRS)
        [lr] = [trial["lr"] for trial in tried.trials if trial["chosen"]]
    else:
        notes = (f"Nothing could be held out to choose on; lr {lr:g} was taken.",)
    found = _fit_attentive(rows, None, plan, how, (lr,))

    def predict(x: np.ndarray) -> np.ndarray:
        return to_probabilities(found.scores(x))

    return predict, {"lr": lr}, notes


def _fit_attentive(
    train: Rows,
    held: Rows | None,
    plan: Plan,
    how: How,
    lrs: Sequence[float],
) -> Any:
    from actionspace.heads.attentive_config import AttentiveConfig
    from actionspace.heads.attentive_fit import fit_attentive

    dim = train.features.shape[2]
    heads = max(n for n in range(1, 17) if dim % n == 0)
    steps = math.ceil(len(train.features) / ATTENTIVE_BATCH)
    return fit_attentive(
        train.features,
        train.targets,
        None if held is None else held.features,
        None if held is None else held.targets,
        classes=len(plan.classes),
        config=AttentiveConfig(depth=ATTENTIVE_DEPTH, num_heads=heads),
        lrs=lrs,
        weight_decays=(ATTENTIVE_DECAY,),
        epochs=max(ATTENTIVE_EPOCHS, math.ceil(ATTENTIVE_STEPS / steps)),
        batch_size=ATTENTIVE_BATCH,
        seed=how.seed,
        device=how.device,
        class_weight=how.class_weight,
        sample_weight=train.weight,
        progress=False,
    )


_FIT: dict[str, Callable[[Rows, list[Bools], Plan, How], _Fit]] = {
    "linear": _linear,
    "attentive": _attentive,
    "knn": _knn,
    "centroid": _centroid,
    "ridge": _ridge,
}


def _fit_few(head: str, rows: Rows, shots: int, plan: Plan, how: How) -> Predict:
    x, y, weight, classes = rows.features, rows.targets, rows.weight, len(plan.classes)
    if head == "knn":
        near = fit_knn(x, y, classes=classes, neighbours=[shots], sample_weight=weight)
        return near.probabilities
    if head == "centroid":
        means = fit_centroid(x, y, classes=classes, distances=["cosine"], sample_weight=weight)
        return means.probabilities
    common: dict[str, Any] = {"sample_weight": weight, "class_weight": how.class_weight}
    if head == "ridge":
        return fit_ridge(x, y, classes=classes, strengths=[FIXED_RIDGE], **common).probabilities
    return fit_probe(
        x, y, classes=plan.classes, strengths=[FIXED_LINEAR], **common
    ).head.probabilities
