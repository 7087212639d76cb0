"""How a trained head is told that nothing happens, and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actionspace.recognition.head import Fitted
from actionspace.recognition.probe import Background, Probe
from actionspace.recognition.recipe import PredictConfig


def make_probe(
    column: str, fitted: Fitted, config: PredictConfig, *, gaps: bool, clip_seconds: float
) -> Probe:
    """Return the probe of a fitted head, with its rule for nothing happening.

    Args:
        column: head column it answers.
        fitted: the head, with thresholds from calibration.
        config: what was asked for.
        gaps: whether annotated time without events was learnt from.
        clip_seconds: the longest whole-video event of training.
    """
    head = fitted.head
    background = choose(fitted, head.classes, head.multi_label, config, gaps=gaps)
    thresholds = fitted.class_thresholds
    if background.kind == "threshold" and not head.multi_label:
        thresholds = (fitted.threshold if config.threshold is None else config.threshold,)
    return Probe(column, replace(head, thresholds=thresholds), background, clip_seconds)


def choose(
    fitted: Fitted, classes: Sequence[str], multi_label: bool, config: PredictConfig, *, gaps: bool
) -> Background:
    """Return the rule: a trained class, a threshold, or none."""
    label = config.background_label
    if config.background == "none":
        return Background("none", label, "Something always happens (as asked).")
    if label in classes and config.background != "threshold":
        source = "annotated time without events" if gaps else "the events of that name"
        return Background("trained", label, f"Learnt as the class '{label}' from {source}.")
    if multi_label:
        note = "Nothing happens where no class reaches its threshold."
    elif config.threshold is not None:
        note = f"Nothing happens below a probability of {config.threshold:.4g} (as asked)."
    elif not fitted.calibrated:
        note = f"Nothing happens below a probability of {fitted.threshold:.4g} (a guess)."
    else:
        note = (
            f"Nothing happens below a probability of {fitted.threshold:.4g}, which keeps 95 % of "
            "what was rightly recognised among events held out in training; there was no annotated "
            "time without events to learn from."
        )
    return Background("threshold", label, note)
