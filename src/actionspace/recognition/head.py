"""Fit the head on feature rows and calibrate it on rows it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from actionspace.heads.attentive_head import Head
from actionspace.heads.calibrate import f1_thresholds, fit_temperature, rejection_threshold
from actionspace.heads.linear import to_probabilities
from actionspace.heads.logistic import ABSENT
from actionspace.heads.probe import STRENGTHS, fit_probe
from actionspace.recognition.recipe import HeadConfig
from actionspace.recognition.rows import Rows, join


@dataclass(frozen=True)
class Fitted:
    """A fitted head and how it came about.

    Attributes:
        head: the classifier, its temperature folded into weights and bias.
        threshold: least probability of the likeliest class of something that is an event.
        class_thresholds: with several labels, the best threshold of each class.
        trials: per strength tried, or per learning rate and weight decay: held-out loss and
            accuracy, and whether it was chosen.
        notes: what the user should know.
        calibrated: whether there was anything held out to set thresholds and temperature on.
    """

    head: Head
    threshold: float = 0.5
    class_thresholds: tuple[float, ...] = ()
    trials: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calibrated: bool = True


@dataclass(frozen=True)
class Fits:
    """The head that stays, and one per fold that has not seen the fold's videos."""

    final: Fitted
    folds: Sequence[Fitted] = ()


def fit_head(
    train: Rows,
    validation: Rows | None,
    config: HeadConfig,
    classes: Sequence[str],
    multi_label: bool,
    seed: int = 0,
    device: str = "cpu",
) -> Fitted:
    """Choose the strength, fit, calibrate.

    The strength is chosen on ``validation``, or on grouped inner folds of ``train`` where there is
    none; then the head is fitted on both (``refit``) or on ``train`` alone. An attentive head is
    fitted on ``device``, see :class:`.attentive.AttentiveFitter`.
    """
    if config.kind == "attentive":
        from actionspace.recognition.attentive import AttentiveFitter

        return AttentiveFitter(config, classes, multi_label, seed, device).fit(train, validation)
    both = train if validation is None else join([train, validation])
    held = None
    if validation is not None:
        held = np.arange(len(both.videos)) >= len(train.videos)
    strengths = tuple(config.strengths) if config.strengths else STRENGTHS

    def fit(rows: Rows, held: np.ndarray | None, path: Sequence[float]) -> Any:
        return fit_probe(
            rows.features,
            rows.targets,
            classes=list(classes),
            groups=rows.groups,
            validation=held,
            multi_label=multi_label,
            sample_weight=rows.weight,
            class_weight="balanced" if config.class_weight == "balanced" else None,
            strengths=path,
            seed=seed,
        )

    found = fit(both, held, strengths)
    head = found.head
    if validation is not None and not config.refit:
        head = fit(train, None, [found.strength]).head
    trials = [{**trial, "chosen": trial["strength"] == found.strength} for trial in found.path]
    fitted = calibrate(head, both, found.held_out)
    return replace(fitted, trials=trials, notes=[*found.notes, *fitted.notes])


def calibrate(head: Head, rows: Rows, held_out: np.ndarray, *, scale: bool = True) -> Fitted:
    """Set temperature and thresholds.

    Args:
        head: as it was fitted.
        rows: rows with their truth.
        held_out: logits ``[R, C]`` of a head that had not seen the row; NaN where there are none.
        scale: divide scores by the temperature found; False = thresholds alone are set.
    """
    truth, weight = rows.targets, rows.weight
    usable = ~np.isnan(held_out).any(axis=1)
    if not head.multi_label:  # of a class that was not in training, no score can be right
        of_truth = held_out[np.arange(len(truth)), truth]
        usable &= np.nan_to_num(of_truth, nan=ABSENT) > ABSENT / 2
    if not usable.any():
        return as_fitted(head)
    logits, truth, weight = held_out[usable], truth[usable], weight[usable]
    temperature = 1.0
    if scale:
        found = fit_temperature(logits, truth, multi_label=head.multi_label, weights=weight)
        temperature = max(
            1.0, found
        )  # held-out rows that are all right: it would be endlessly sure
    scaled = replace(
        head,
        weight=(head.weight / temperature).astype(np.float32),
        bias=(head.bias / temperature).astype(np.float32),
    )
    probabilities = to_probabilities(logits / temperature, head.multi_label)
    if head.multi_label:
        least = f1_thresholds(probabilities, truth, weights=weight)
        return Fitted(scaled, class_thresholds=least)
    return Fitted(scaled, rejection_threshold(probabilities, truth, weights=weight))


def as_fitted(head: Head) -> Fitted:
    """Return a head for which there is nothing held out to set temperature and thresholds on."""
    note = "There was nothing held out to calibrate on; probabilities are as fitted."
    return Fitted(head, notes=[note], calibrated=False)
