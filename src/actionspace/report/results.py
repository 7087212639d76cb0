"""What the predictions say when the truth is known: confusions, classes, mistakes, chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actionspace.report.scores import RowScores

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from actionspace.events.table import Events
    from actionspace.training.predictions import Predictions

MOST_MISTAKES = 12
MOST_OF_ONE_KIND = 3
MOST_CLASSES_DRAWN = 40


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
    path: Path
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

    ``rows`` (video, start, end in seconds, truth) are the events, ``targets`` is their truth table
    ``[N, C]``; ``events`` are the predictions they belong to; ``multi`` says whether a row may have
    several labels.
    """

    events: Events
    rows: pd.DataFrame
    scores: np.ndarray
    classes: tuple[str, ...]
    targets: np.ndarray
    multi: bool

    @property
    def truth(self) -> np.ndarray:
        """Class number per row ``[N]``; only for one label per row."""
        numbers: np.ndarray = self.targets.argmax(axis=1)
        return numbers


def scored(predictions: Predictions, head: str) -> Scored | None:
    """Return the events of ``predictions`` whose truth is known and a class of the head.

    Labelled clips bring it along; of untrimmed videos these are the annotated events, with the
    mean score of the time they cover. A trained background class is left out unless events are
    labelled so. None when there are no such events.
    """
    import numpy as np
    import pandas as pd

    from actionspace.events.table import split_labels

    if predictions.labels.get("task") == "localization":
        return None  # a detection is no event that was asked for
    tables = [_clips(predictions, head), *_annotated(predictions, head)]
    rows = pd.concat([t for t, _ in tables], ignore_index=True)
    values = np.concatenate([v for _, v in tables])
    true = [split_labels(text) for text in rows["truth"]]
    about = predictions.labels["heads"][head]
    multi = bool(about.get("multi_label", any(len(names) > 1 for names in true)))
    background = predictions.labels.get("background")
    nothing = background if isinstance(background, Mapping) else {}
    drop = nothing.get("label") if nothing.get("kind") == "trained" else None
    kept = [
        (i, name)
        for i, name in enumerate(predictions.classes(head))
        if name != drop or any(name in names for names in true)
    ]
    values, classes = values[:, [i for i, _ in kept]], tuple(name for _, name in kept)
    if not multi and drop is not None:
        values = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-30)
    targets = np.array([[c in names for c in classes] for names in true]).reshape(values.shape)
    known = targets.any(axis=1) & np.isfinite(values).all(axis=1)
    if not known.any():
        return None
    rows = rows[known].reset_index(drop=True)
    return Scored(predictions.events, rows, values[known], classes, targets[known], multi)


def _clips(predictions: Predictions, head: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the predicted events whose truth is written beside them, and their scores."""
    rows = predictions.events.rows
    truth = rows[f"{head}_true"] if f"{head}_true" in rows else rows[head].map(lambda _: None)
    have = truth.notna().to_numpy()
    table = rows.loc[have, ["video", "start", "end"]].assign(truth=truth[have])
    scores = predictions.scores.get(head)
    return table, (scores[have] if scores is not None else _nothing(predictions, head))


def _annotated(predictions: Predictions, head: str) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield, per untrimmed video, its annotated events and their mean scores."""
    if predictions.truth is None or head not in predictions.truth:
        return
    scores = RowScores.of(predictions, head)
    searched = predictions.labels.get("untrimmed", [])
    rows = predictions.truth
    rows = rows[rows["video"].isin(searched) & rows["start"].notna() & rows[head].notna()]
    for video, part in rows[rows["status"] == "event"].groupby("video", sort=False):
        values = scores.of_events(str(video), part["start"].to_numpy(), part["end"].to_numpy())
        yield part[["video", "start", "end"]].assign(truth=part[head]), values


def _nothing(predictions: Predictions, head: str) -> np.ndarray:
    import numpy as np

    return np.zeros((0, len(predictions.classes(head))))


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
        "weighted_f1": float((share * f1).sum()),
        "micro_f1": 1 / n,
        "map": float(share[true].mean()),
        "cohen_kappa": 0.0,
    }


def class_rows(data: Scored) -> list[ClassRow]:
    """Return precision, recall, F1 and support of each class that is true or predicted somewhere.

    With several labels per row a label counts as predicted from a probability of 0.5 on.
    """
    from actionspace.metrics.classification import per_class_average_precision, per_class_table

    if not data.multi:
        table = per_class_table(data.scores, data.truth, data.classes)
        figures = ("support", "predicted", "precision", "recall", "f1", "ap")
        return [
            ClassRow(str(row["class"]), i, *(row[k] for k in figures))
            for i, row in enumerate(table)
            if row["support"] or row["predicted"]
        ]
    guess = data.scores >= 0.5
    ap = per_class_average_precision(data.scores, data.targets)
    rows = []
    for i, name in enumerate(data.classes):
        support, predicted = int(data.targets[:, i].sum()), int(guess[:, i].sum())
        right = int((data.targets[:, i] & guess[:, i]).sum())
        precision = right / predicted if predicted else 0.0
        recall = right / support if support else math.nan
        if not support + predicted:
            continue
        f1 = 2 * right / (support + predicted)
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
    kept = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    seen = len(kept)
    if len(kept) > MOST_CLASSES_DRAWN:
        trouble = wrong.sum(axis=0) + wrong.sum(axis=1)
        worst = kept[np.argsort(-trouble[kept], kind="stable")]
        kept = np.sort(worst[:MOST_CLASSES_DRAWN])
    return Confusion(
        counts[np.ix_(kept, kept)],
        tuple(data.classes[i] for i in kept),
        seen - len(kept),
        tuple(pairs),
    )


def mistakes(data: Scored) -> tuple[list[Mistake], int]:
    """Return the most confident wrong rows and how many wrong rows there are in all.

    At most :data:`MOST_OF_ONE_KIND` of one pair of classes, so that more kinds are seen. With
    several labels per row a mistake is a row whose best label is none of its true ones.
    """
    import numpy as np

    best = data.scores.argmax(axis=1)
    everything = np.arange(len(best))
    wrong = np.flatnonzero(~data.targets[everything, best])
    wrong = wrong[np.argsort(-data.scores[wrong, best[wrong]], kind="stable")]
    videos = data.events.videos
    crops = dict(zip(videos["video"], videos["crop"], strict=True))
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
                data.events.path(str(row["video"])),
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


def _seconds(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
