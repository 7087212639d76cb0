"""The measures of ``metrics.json`` as the page shows them: named, with interval and chance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEADLINES = ("top1_accuracy", "mean_class_accuracy", "macro_f1", "map", "point_map")
OVER_TIME = ("frame_accuracy", "cohen_kappa", "frame_f1", "segmental_f1@0.50", "edit_score")
NAMES = {
    "top1_accuracy": "Top-1 accuracy",
    "top5_accuracy": "Top-5 accuracy",
    "micro_accuracy": "Micro accuracy",
    "mean_class_accuracy": "Mean class accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "map": "Mean average precision",
    "point_map": "Mean average precision of moments",
    "mmit_map": "Mean average precision per clip",
    "boundary_coverage": "Boundaries within their 80 % interval",
    "ece": "Calibration error",
    "frame_accuracy": "Frame accuracy",
    "frame_f1": "Frame F1",
    "cohen_kappa": "Cohen’s kappa",
    "edit_score": "Edit score",
    "kendall_tau": "Kendall’s tau",
    "kendalls_tau_train": "Kendall’s tau of the training videos",
    "phase_accuracy": "Phase accuracy",
    "progression_r2": "Progression R²",
}
MEANS = {
    "top1_accuracy": "clips named right",
    "top5_accuracy": "clips whose class is among the five best guesses",
    "mean_class_accuracy": "every class counts the same",
    "macro_f1": "precision and recall together, every class alike",
    "map": "how well clips of a class rank before the others",
    "point_map": "how well right moments rank before wrong ones, mean over tolerances",
    "ece": "gap between stated confidence and accuracy; lower is better",
    "frame_accuracy": "share of the annotated time named right",
    "frame_f1": "precision and recall over time, every class alike",
    "cohen_kappa": "agreement beyond chance, at most 1",
    "segmental_f1@0.50": "bouts found with half of them overlapping or more",
    "edit_score": "order of the bouts, 0 to 100",
    "kendall_tau": "do nearest frames of another video keep the order of time; at most 1",
    "phase_accuracy": "frames whose phase a classifier on the embeddings tells",
    "progression_r2": "how far the end of each phase is, by linear regression; at most 1",
    "retrieval_ap@5": "of the 5 nearest frames of other videos, those of the same phase",
}
DETECTED = {
    "map": "how well detections of a class rank right ones before wrong ones, mean over overlaps",
    "map@0.50": "the same, where half of detection and event together is common to both",
    "recall1x@0.50": "events that as many best detections reach",
    "boundary_coverage": "of events that are found; more says that intervals are too wide",
}
"""What the measures of detections say."""
NO_PERCENT = ("cohen_kappa", "kendall", "edit_score", "mcc", "r2", "phase_progression")


@dataclass(frozen=True)
class Measure:
    """One figure: ``value``, interval and chance on the measure's own scale, as stored."""

    key: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    means: str = ""

    @property
    def top(self) -> float:
        """Upper end of the measure's scale."""
        return 100.0 if self.key == "edit_score" else 1.0

    @property
    def unit(self) -> str:
        """``%`` where a share is shown as per cent."""
        return "" if any(word in self.key for word in NO_PERCENT) else "%"

    def show(self, value: float | None) -> str:
        """Return a value of this measure as the page prints it, without its unit."""
        if value is None or not math.isfinite(value):
            return "–"
        if self.unit:
            return f"{100 * value:.1f}"
        return f"{value:.1f}" if self.top > 1 else f"{value:.2f}"


def measures(metrics: Mapping[str, Any], chance: Mapping[str, float]) -> list[Measure]:
    """Return every plain number of ``metrics.json`` as a measure, the important ones first.

    Intervals are read from ``<name>_ci`` or from ``intervals``, chance from ``chance``.
    """
    stored_chance, intervals = metrics.get("chance") or {}, metrics.get("intervals") or {}
    means = DETECTED if "errors" in metrics else MEANS
    found = []
    for key, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_measure(key):
            continue
        low, high = _pair(metrics.get(f"{key}_ci") or intervals.get(key))
        found.append(
            Measure(
                key,
                name_of(key),
                float(value),
                low,
                high,
                stored_chance.get(key, chance.get(key)),
                means.get(key, ""),
            )
        )
    rank = {key: i for i, key in enumerate((*HEADLINES, *OVER_TIME))}
    return sorted(found, key=lambda m: rank.get(m.key, len(rank)))


def is_over_time(measure: Measure) -> bool:
    """Whether a measure compares whole videos moment by moment (else it counts clips)."""
    return measure.key in OVER_TIME or measure.key.startswith(("frame_", "segmental_"))


def headline(every: Sequence[Measure]) -> list[Measure]:
    """Return the measures that are shown big, four at most."""
    chosen = [m for m in every if m.key in (*HEADLINES, *OVER_TIME, *DETECTED)]
    return chosen[:4] or list(every[:4])


def _is_measure(key: str) -> bool:
    return bool(
        re.search(
            r"accuracy|f1|map|ap@|kappa|edit_score|ece|recall|precision|tau|r2|auc|coverage", key
        )
    )


def name_of(key: str) -> str:
    """Return what a measure is called on the page."""
    if key in NAMES:
        return NAMES[key]
    if key.startswith("segmental_f1@"):
        return f"Segmental F1 @ {key.partition('@')[2]}"
    if found := re.fullmatch(r"(map|recall(\d+)x)@([\d.]+)", key):
        what = f"Recall@{found[2]}x" if found[2] else "mAP"
        return f"{what} at overlap {found[3]}"
    if found := re.fullmatch(r"(?:retrieval_ap|AP)@(\d+)", key):
        return f"Retrieval AP@{found[1]}"
    if found := re.fullmatch(r"point_ap@([\d.]+)([sf])", key):
        return f"mAP within {found[1]} {'s' if found[2] == 's' else 'frames'}"
    text = re.sub(r"\btop(\d)", r"top-\1", key.replace("_", " ").replace("f1", "F1"))
    return text[:1].upper() + text[1:]


def _pair(value: Any) -> tuple[float | None, float | None]:
    if isinstance(value, Mapping):
        value = (value.get("low"), value.get("high"))
    if isinstance(value, list | tuple) and len(value) == 2 and None not in value:
        return float(value[0]), float(value[1])
    return None, None
