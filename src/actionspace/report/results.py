"""The numbers of the report: measures with intervals and chance, confusions, classes, mistakes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from actionspace.training.predictions import Predictions

MOST_MISTAKES = 12
MOST_OF_ONE_KIND = 3
MOST_CLASSES_DRAWN = 40

HEADLINES = ("top1_accuracy", "mean_class_accuracy", "macro_f1", "map", "cohen_kappa", "frame_f1")
NAMES = {
    "top1_accuracy": "Top-1 accuracy",
    "top5_accuracy": "Top-5 accuracy",
    "micro_accuracy": "Micro accuracy",
    "mean_class_accuracy": "Mean class accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "map": "Mean average precision",
    "mmit_map": "Mean average precision per clip",
    "ece": "Calibration error",
    "frame_accuracy": "Frame accuracy",
    "frame_f1": "Frame F1",
    "cohen_kappa": "Cohen’s kappa",
    "edit_score": "Edit score",
}
MEANS = {
    "top1_accuracy": "clips named right",
    "top5_accuracy": "clips whose class is among the five best guesses",
    "mean_class_accuracy": "every class counts the same",
    "macro_f1": "precision and recall together, every class alike",
    "map": "how well clips of a class rank before the others",
    "ece": "gap between stated confidence and accuracy; lower is better",
    "frame_accuracy": "share of the annotated time named right",
    "frame_f1": "precision and recall over time, every class alike",
    "cohen_kappa": "agreement beyond chance, at most 1",
    "edit_score": "order of the bouts, 0 to 100",
}
NO_PERCENT = ("cohen_kappa", "kendall_tau", "edit_score", "mcc", "r2")


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


@dataclass(frozen=True)
class ClassRow:
    """One line of the per-class table; shares in [0, 1], NaN where they mean nothing."""

    name: str
    colour: int
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    ap: float


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another: counts ``[C, C]``, rows are truth."""

    counts: np.ndarray
    classes: tuple[str, ...]
    left_out: int
    pairs: tuple[tuple[str, str, int, int], ...]


@dataclass(frozen=True)
class Mistake:
    """One wrong clip; times in seconds, None for a whole video."""

    video: str
    start: float | None
    end: float | None
    truth: str
    predicted: str
    score: float
    truth_score: float | None
    crop: str | None = None


@dataclass(frozen=True)
class Scored:
    """Predictions of one head whose truth is known, ready to be counted.

    ``targets`` is a truth table ``[N, C]``; ``multi`` says whether a row may have several labels.
    """

    rows: pd.DataFrame
    scores: np.ndarray
    classes: tuple[str, ...]
    targets: np.ndarray
    multi: bool

    @property
    def truth(self) -> np.ndarray:
        """Class number per row ``[N]``; only for one label per row."""
        return self.targets.argmax(axis=1)


def scored(predictions: Predictions, head: str) -> Scored | None:
    """Return the rows of ``predictions`` whose truth is known and a class of the head.

    None when there are none, which is so for videos nobody annotated.
    """
    import numpy as np

    from actionspace.events.table import split_labels

    column = f"{head}_true"
    if column not in predictions.events.rows.columns:
        return None
    rows, classes = predictions.events.rows, predictions.classes(head)
    number = {name: i for i, name in enumerate(classes)}
    targets = np.zeros((len(rows), len(classes)), dtype=bool)
    for i, text in enumerate(rows[column]):
        if isinstance(text, str):
            targets[i, [number[n] for n in split_labels(text) if n in number]] = True
    known = targets.any(axis=1) & np.isfinite(predictions.scores[head]).all(axis=1)
    if not known.any():
        return None
    about = predictions.labels["heads"][head]
    multi = bool(about.get("multi_label", (targets.sum(axis=1) > 1).any()))
    return Scored(
        rows[known].reset_index(drop=True),
        predictions.scores[head][known],
        tuple(classes),
        targets[known],
        multi,
    )


def chance_levels(data: Scored) -> dict[str, float]:
    """Return what guessing each class equally often would reach, for the measures where that is
    a definite number given how common the classes are.
    """
    share = data.targets.mean(axis=0)
    if data.multi:
        return {"map": float(share[share > 0].mean())}
    n = len(data.classes)
    true = share > 0
    f1 = 2 * share / n / (share + 1 / n)
    return {
        "top1_accuracy": 1 / n,
        "micro_accuracy": 1 / n,
        "top5_accuracy": min(5 / n, 1.0),
        "mean_class_accuracy": float(true.sum() / n / n),
        "macro_f1": float(f1.sum() / n),
        "map": float(share[true].mean()),
        "cohen_kappa": 0.0,
    }


def measures(metrics: Mapping[str, Any], chance: Mapping[str, float]) -> list[Measure]:
    """Return every plain number of ``metrics.json`` as a measure, the important ones first.

    Intervals are read from ``<name>_ci`` or from ``intervals``, chance from ``chance``.
    """
    stored_chance, intervals = metrics.get("chance") or {}, metrics.get("intervals") or {}
    found = []
    for key, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_measure(key):
            continue
        low, high = _pair(metrics.get(f"{key}_ci") or intervals.get(key))
        found.append(
            Measure(
                key,
                _name(key),
                float(value),
                low,
                high,
                stored_chance.get(key, chance.get(key)),
                MEANS.get(key, ""),
            )
        )
    rank = {key: i for i, key in enumerate(HEADLINES)}
    return sorted(found, key=lambda m: rank.get(m.key, len(rank)))


def headline(every: Sequence[Measure]) -> list[Measure]:
    """Return the one to four measures that are shown big."""
    chosen = [m for m in every if m.key in HEADLINES][:4]
    return chosen or list(every[:3])


def class_rows(data: Scored) -> list[ClassRow]:
    """Return precision, recall, F1 and support of each class.

    With several labels per row a label counts as predicted from a probability of 0.5 on.
    """
    from actionspace.metrics.classification import per_class_average_precision, per_class_table

    if not data.multi:
        table = per_class_table(data.scores, data.truth, data.classes)
        return [
            ClassRow(
                str(row["class"]),
                i,
                *(row[k] for k in ("support", "predicted", "precision", "recall", "f1", "ap")),
            )
            for i, row in enumerate(table)
        ]
    guess = data.scores >= 0.5
    ap = per_class_average_precision(data.scores, data.targets)
    rows = []
    for i, name in enumerate(data.classes):
        support, predicted = int(data.targets[:, i].sum()), int(guess[:, i].sum())
        right = int((data.targets[:, i] & guess[:, i]).sum())
        precision = right / predicted if predicted else 0.0
        recall = right / support if support else math.nan
        f1 = 2 * right / (support + predicted) if support + predicted else 0.0
        rows.append(ClassRow(name, i, support, predicted, precision, recall, f1, float(ap[i])))
    return rows


def confusion(data: Scored) -> Confusion | None:
    """Return the confusion matrix; of many classes only those that are confused most.

    None where a row may have several labels.
    """
    import numpy as np

    from actionspace.metrics.classification import score_confusion

    if data.multi:
        return None
    counts = score_confusion(data.scores, data.truth).astype(int)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:8]
    pairs = [
        (data.classes[i], data.classes[j], int(wrong[i, j]), int(counts[i].sum()))
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    kept = np.arange(len(data.classes))
    if len(kept) > MOST_CLASSES_DRAWN:
        trouble = wrong.sum(axis=0) + wrong.sum(axis=1)
        kept = np.sort(np.argsort(-trouble, kind="stable")[:MOST_CLASSES_DRAWN])
    return Confusion(
        counts[np.ix_(kept, kept)],
        tuple(data.classes[i] for i in kept),
        len(data.classes) - len(kept),
        tuple(pairs),
    )


def mistakes(data: Scored, videos: pd.DataFrame) -> tuple[list[Mistake], int]:
    """Return the most confident wrong rows and how many wrong rows there are in all.

    At most :data:`MOST_OF_ONE_KIND` of one pair of classes, so that more kinds are seen. With
    several labels per row a mistake is a row whose best label is none of its true ones.
    """
    import numpy as np

    best = data.scores.argmax(axis=1)
    everything = np.arange(len(best))
    wrong = np.flatnonzero(~data.targets[everything, best])
    wrong = wrong[np.argsort(-data.scores[wrong, best[wrong]], kind="stable")]
    crops = dict(zip(videos["video"], videos["crop"], strict=True)) if "crop" in videos else {}
    chosen: list[Mistake] = []
    kinds: dict[tuple[str, str], int] = {}
    for i in wrong:
        true = np.flatnonzero(data.targets[i])
        kind = (", ".join(data.classes[t] for t in true), data.classes[best[i]])
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > MOST_OF_ONE_KIND:
            continue
        row = data.rows.iloc[int(i)]
        chosen.append(
            Mistake(
                str(row["video"]),
                _seconds(row.get("start")),
                _seconds(row.get("end")),
                *kind,
                float(data.scores[i, best[i]]),
                float(data.scores[i, true].max()),
                _text(crops.get(row["video"])),
            )
        )
        if len(chosen) == MOST_MISTAKES:
            break
    return chosen, len(wrong)


def _is_measure(key: str) -> bool:
    return bool(
        re.search(r"accuracy|f1|map|ap@|kappa|edit_score|ece|recall|precision|tau|r2|auc", key)
    )


def _name(key: str) -> str:
    if key in NAMES:
        return NAMES[key]
    text = key.replace("_", " ").replace("f1", "F1").replace("macro top", "macro top-")
    return text[:1].upper() + text[1:]


def _pair(value: Any) -> tuple[float | None, float | None]:
    if isinstance(value, Mapping):
        value = (value.get("low"), value.get("high"))
    if isinstance(value, list | tuple) and len(value) == 2 and None not in value:
        return float(value[0]), float(value[1])
    return None, None


def _seconds(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
