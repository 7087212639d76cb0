"""Fitting a linear probe: choose the penalty on held-out groups, then refit on everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import DataError, UsageError
from actionspace.heads.folds import group_folds
from actionspace.heads.linear import LinearHead
from actionspace.heads.logistic import ClassWeight, LogisticPath, fit_logistic, loss_weights
from actionspace.metrics.classification import average_precision, mean_class_accuracy
from actionspace.metrics.inputs import Bools, Floats, as_targets, as_weights, mean_or_nan

STRENGTHS = tuple(float(s) for s in np.logspace(-5, 1, 13))
"""Default path: half decades from 1e-5 (hardly any penalty) to 10 (only the class shares left)."""

ROUGH = 1e-2
"""Tolerance of the fits that only choose the penalty; they run in float32."""

FINE = 1e-4
"""Tolerance of the final fit, in float64."""

Select = Literal["loss", "accuracy"]


@dataclass(frozen=True)
class Probe:
    """A fitted linear probe and how it came about.

    Attributes:
        head: the classifier, fitted on all rows.
        strength: its penalty.
        path: one entry per strength tried: ``strength``, held-out ``loss`` and ``accuracy`` (mean
            class accuracy, or mAP with several labels). Empty if there was nothing to choose on.
        held_out: logits ``[N, C]`` of each row by a fit (at the chosen strength) that had not seen
            its group; NaN for rows that were never held out. For calibration.
        notes: what the user should know, in words.
    """

    head: LinearHead
    strength: float
    path: list[dict[str, float]]
    held_out: Floats
    notes: tuple[str, ...]


def fit_probe(
    x: ArrayLike,
    y: ArrayLike,
    *,
    classes: Sequence[str],
    groups: ArrayLike | None = None,
    validation: ArrayLike | None = None,
    folds: int = 5,
    multi_label: bool = False,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    strengths: Sequence[float] = STRENGTHS,
    select: Select = "loss",
    standardize: bool = True,
    seed: int = 0,
    device: str = "cpu",
) -> Probe:
    """Fit a linear probe on cached features.

    Args:
        x: features ``[N, D]``.
        y: class numbers ``[N]`` or, with ``multi_label``, zeros and ones ``[N, C]``.
        classes: class names; a class without rows gets scores that never win.
        groups: what must not straddle the held-out border ``[N]`` (subject, session, video);
            None treats every row as its own group.
        validation: which rows ``[N]`` to choose the penalty on; None uses ``folds`` grouped folds.
        folds: number of inner folds without ``validation``.
        multi_label: several labels per row.
        sample_weight: importance of each row ``[N]``, for example one over the rows of its event.
        class_weight: see :func:`fit_logistic`.
        strengths: penalties to choose from (one: nothing is chosen).
        select: "loss" takes the lowest held-out log loss (weighted as in fitting), "accuracy" the
            highest held-out mean class accuracy, with several labels mAP. Of equals the larger
            penalty wins.
        standardize: give every feature the same variance before the penalty.
        seed: order of equally large groups in the folds.
        device: torch device.

    Raises:
        DataError: arrays that do not fit, or a validation mask that leaves nothing on one side.
        UsageError: an unknown ``select``, no strength.
    """
    if select not in ("loss", "accuracy"):
        raise UsageError(f"select is 'loss' or 'accuracy', not {select!r}.")
    features = np.asarray(x)
    rows, count = len(features), len(classes)
    targets = as_targets(y, rows, count)
    weight = as_weights(sample_weight, rows)

    def fit(kept: Bools, path: Sequence[float], rough: bool) -> LogisticPath:
        return fit_logistic(
            features[kept],
            targets[kept] if multi_label else targets[kept].argmax(axis=1),
            classes=count,
            strengths=path,
            multi_label=multi_label,
            sample_weight=weight[kept],
            class_weight=class_weight,
            standardize=standardize,
            device=device,
            double=not rough,
            tolerance=ROUGH if rough else FINE,
        )

    notes: list[str] = []
    path: list[dict[str, float]] = []
    held_out = np.full((rows, count), np.nan)
    ordered = sorted({float(s) for s in strengths})
    strength = ordered[len(ordered) // 2]
    splits = list(_splits(targets, groups, validation, folds, seed))
    if splits and len(ordered) > 1:
        scores = np.full((len(ordered), rows, count), np.nan)
        counted = np.zeros((rows, count), bool)
        for train in splits:
            fitted = fit(train, ordered, rough=True)
            scores[:, ~train] = _logits(features[~train], fitted)
            counted[~train] = targets[train].any(axis=0)
        importance = loss_weights(targets, weight / weight.sum(), class_weight, multi_label)
        path = [
            {"strength": s, **_held_out(z, targets, importance, weight, counted, multi_label)}
            for s, z in zip(ordered, scores, strict=True)
        ]
        chosen = _choose(path, select)
        if chosen is not None:
            strength, held_out = ordered[chosen], scores[chosen]
    if len(ordered) > 1 and np.isnan(held_out).all():
        notes.append(
            f"No group could be held out whose classes occur elsewhere too: the penalty was not "
            f"chosen, {strength:g} was taken."
        )
    fitted = fit(np.ones(rows, bool), [strength], rough=False)
    if not fitted.converged[0]:
        notes.append(f"The fit did not converge within {fitted.iterations[0]} iterations.")
    absent = [str(name) for name, n in zip(classes, weight @ targets, strict=True) if n == 0]
    if absent:
        notes.append(f"No training row of: {', '.join(absent)}. Never predicted.")
    head = LinearHead(
        fitted.weight[0].astype(np.float32),
        fitted.bias[0].astype(np.float32),
        tuple(classes),
        multi_label,
    )
    return Probe(head, strength, path, held_out, tuple(notes))


def _splits(
    targets: Bools,
    groups: ArrayLike | None,
    validation: ArrayLike | None,
    folds: int,
    seed: int,
) -> Iterator[Bools]:
    """Yield masks of training rows; nothing if there is but one group."""
    if validation is not None:
        held = np.asarray(validation, dtype=bool)
        if held.shape != (len(targets),) or held.all() or not held.any():
            raise DataError(
                f"The validation mask must hold out some of {len(targets)} rows and leave others; "
                f"its shape is {held.shape} and it holds out {int(held.sum())}."
            )
        yield ~held
        return
    members = np.arange(len(targets)) if groups is None else np.asarray(groups)
    if members.shape != (len(targets),):
        raise DataError(f"Expected one group per row ({len(targets)}), got {members.shape}.")
    fold = group_folds(members, targets, folds, seed)
    if fold.any():
        yield from (fold != f for f in range(int(fold.max()) + 1))


def _logits(x: NDArray[np.generic], path: LogisticPath) -> Floats:
    """Return logits ``[S, N, C]``."""
    count, classes, dim = path.weight.shape
    flat = x.astype(np.float32) @ path.weight.reshape(-1, dim).T.astype(np.float32)
    scores: Floats = flat.reshape(-1, count, classes).transpose(1, 0, 2) + path.bias[:, None]
    return scores


def _held_out(
    logits: Floats,
    targets: Bools,
    importance: Floats,
    weight: Floats,
    counted: Bools,
    multi_label: bool,
) -> dict[str, float]:
    """Return log loss and accuracy of held-out logits ``[N, C]``.

    ``counted`` marks the row-class pairs that were held out and whose class the fit had seen: of a
    class it had not seen no penalty can be right.
    """
    if multi_label:
        loss = np.logaddexp(0, np.where(targets, -logits, logits)[counted])
        parts = [
            average_precision(z[rows], t[rows], weight[rows])
            for z, t, rows in zip(logits.T, targets.T, counted.T, strict=True)
            if weight[rows].any()
        ]
        accuracy = mean_or_nan(np.array([v for v in parts if v == v]))
        return {"loss": _average(loss, importance[counted]), "accuracy": accuracy}
    rows = (targets & counted).any(axis=1)
    logits, truth, share = logits[rows], targets[rows].argmax(axis=1), importance[rows, 0]
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    loss = total - logits[np.arange(len(truth)), truth]
    seen = bool(weight[rows].any())
    accuracy = mean_class_accuracy(logits, truth, weight[rows]) if seen else float("nan")
    return {"loss": _average(loss, share), "accuracy": accuracy}


def _average(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total else float("nan")


def _choose(path: list[dict[str, float]], select: Select) -> int | None:
    """Return the best entry, of equals the last (largest penalty); None if none could be judged."""
    values = np.array([-p["loss"] if select == "loss" else p["accuracy"] for p in path])
    if np.isnan(values).all():
        return None
    return int(np.flatnonzero(values >= np.nanmax(values))[-1])
