"""A predictions folder: what was predicted, with scores enough to evaluate it again.

``events.parquet``   predicted events, one row each: ``label``, ``score``; for several heads
                     ``<head>``, ``<head>_score`` (in untrimmed videos an event is of one head);
                     ``<head>_true`` where the truth was known
``videos.parquet``   the videos they lie in
``scores.safetensors``  ``<head>``: probabilities ``[events, classes]``, or ``[events]`` where a
                     detection has a score for its own label only; ``<head>.rows``: the raw
                     scores (logits) ``[rows, classes]`` of every feature row and view
``rows.parquet``     the video, time span and view of each raw score
``truth.parquet``    the annotated events of those videos, when there were any
``labels.json``      classes, background rule, averaging, skipped videos, format version
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError, RunError
from actionspace.paths import atomic_folder, read_json, write_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from actionspace.events.table import Events

FORMAT_VERSION = 1
ROW_COLUMNS = ("video", "start", "end", "view", "anchored")


@dataclass(frozen=True)
class Predictions:
    """Predicted events with their scores.

    Attributes:
        events: one row per prediction; ``<head>_true`` beside ``<head>`` where the truth is known.
        scores: per head, float32 probabilities ``[events, classes]``; NaN for events that are not
            of the head. Of detections (``labels["task"]`` is localization) ``[events]``.
        labels: content of ``labels.json``; ``labels["heads"][head]["classes"]`` names the columns.
        rows: what each raw score was made from: ``video``, ``start``, ``end`` in seconds, ``view``
            and ``anchored`` (a row placed in an event, not one of the dense grid).
        raw: per head, float32 logits ``[rows, classes]``.
        truth: annotated events of the same videos, or None.
    """

    events: Events
    scores: dict[str, np.ndarray]
    labels: dict[str, Any]
    rows: pd.DataFrame
    raw: dict[str, np.ndarray] = field(default_factory=dict)
    truth: pd.DataFrame | None = None

    def classes(self, head: str = "label") -> list[str]:
        """Return the class names of a head, in column order.

        Raises:
            RunError: there is no such head.
        """
        heads = self.labels.get("heads", {})
        if head not in heads:
            raise RunError(f"These predictions have no head '{head}'; they have {sorted(heads)}.")
        return [str(name) for name in heads[head]["classes"]]

    def background(self, head: str) -> dict[str, Any]:
        """Return how a head tells that nothing happens (kind, label, note); empty if unknown."""
        about = self.labels.get("heads", {}).get(head) or {}
        return dict(about.get("background") or self.labels.get("background") or {})

    def told(self) -> Predictions:
        """Return those that score enough to be shown, ``labels["threshold"]`` or more."""
        least = self.labels.get("threshold")
        if least is None or self.labels.get("task") != "localization":
            return self
        rows = self.events.rows
        kept = (rows["score"] >= least).to_numpy()
        events = replace(self.events, rows=rows[kept].reset_index(drop=True))
        scores = {head: values[kept] for head, values in self.scores.items()}
        return replace(self, events=events, scores=scores)

    @property
    def skipped(self) -> dict[str, str]:
        """Videos that could not be predicted, with the reason."""
        return dict(self.labels.get("skipped", {}))


def is_predictions(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` looks like a predictions folder."""
    return all((Path(path) / n).is_file() for n in ("events.parquet", "scores.safetensors"))


def write_predictions(predictions: Predictions, path: str | os.PathLike[str]) -> Path:
    """Write the folder whole or not at all; an older predictions folder there is replaced.

    Raises:
        RunError: the folder holds something else.
        ActionspaceError: it cannot be written.
    """
    path = Path(path)
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not is_predictions(path)):
        raise RunError(f"{path} is not a predictions folder; choose a new or an empty folder.")
    with atomic_folder(path) as tmp:
        predictions.events.rows.to_parquet(tmp / "events.parquet", index=False)
        predictions.events.videos.to_parquet(tmp / "videos.parquet", index=False)
        predictions.rows.to_parquet(tmp / "rows.parquet", index=False)
        if predictions.truth is not None:
            predictions.truth.to_parquet(tmp / "truth.parquet", index=False)
        _write_scores(predictions, tmp / "scores.safetensors")
        head = {"format_version": FORMAT_VERSION, "root": str(predictions.events.root)}
        write_json(tmp / "labels.json", {**head, **predictions.labels})
    return path


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Read a predictions folder.

    Raises:
        RunError: a file is missing, damaged, of a newer format, or does not fit the others.
    """
    import pandas as pd
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    if not is_predictions(path):
        raise RunError(f"{path} is no predictions folder (events.parquet, scores.safetensors).")
    try:
        labels = read_json(path / "labels.json")
        frames = {n: pd.read_parquet(path / f"{n}.parquet") for n in ("events", "videos")}
        optional = {
            n: pd.read_parquet(path / f"{n}.parquet")
            for n in ("rows", "truth")
            if (path / f"{n}.parquet").is_file()
        }
        arrays = load_file(path / "scores.safetensors")
    except (OSError, ValueError, SafetensorError, DataError) as e:
        raise RunError(f"{path} is damaged: {e}. Predict again.") from e
    _check(path, labels, len(frames["events"]), arrays)
    heads = tuple(labels["heads"])
    rows = optional.get("rows", pd.DataFrame(columns=list(ROW_COLUMNS)))
    return Predictions(
        events=predicted_events(frames["events"], frames["videos"], labels.get("root", "."), heads),
        scores={head: arrays[head] for head in heads},
        labels=labels,
        rows=rows,
        raw={head: arrays[f"{head}.rows"] for head in heads if f"{head}.rows" in arrays},
        truth=optional.get("truth"),
    )


def predicted_events(
    rows: pd.DataFrame, videos: pd.DataFrame, root: str | os.PathLike[str], heads: Sequence[str]
) -> Events:
    """Return predictions as events; unlike annotations they may have a row without a label.

    ``rows`` may hold ``<head>_score`` and ``<head>_true`` columns, which are kept.
    """
    from actionspace.events.columns import text_column
    from actionspace.events.table import Events

    rows = rows.reset_index(drop=True)
    rows = rows.assign(**{h: None for h in heads if h not in rows.columns})
    beside = [f"{head}_{kind}" for head in heads for kind in ("true", "score")]
    beside = [name for name in beside if name in rows.columns]
    filled = rows.drop(columns=beside).assign(**{h: rows[h].fillna("-") for h in heads})
    events = Events.from_frames(filled, videos, Path(root), tuple(heads))
    columns = {name: text_column(rows[name]) for name in (*heads, *beside) if name[-5:] != "score"}
    scores = {name: rows[name].astype(float) for name in beside if name[-5:] == "score"}
    return replace(events, rows=events.rows.assign(**columns, **scores))


def _write_scores(predictions: Predictions, path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    arrays = {head: np.asarray(s, np.float32) for head, s in predictions.scores.items()}
    arrays |= {f"{head}.rows": np.asarray(s, np.float32) for head, s in predictions.raw.items()}
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path)


def _check(path: Path, labels: Any, n_events: int, arrays: Mapping[str, np.ndarray]) -> None:
    if not isinstance(labels, dict) or not isinstance(labels.get("heads"), dict):
        raise RunError(f"{path / 'labels.json'} names no heads and classes. Predict again.")
    version = labels.get("format_version", 0)
    if version > FORMAT_VERSION:
        raise RunError(f"{path} is of predictions format {version}; update actionspace.")
    for head, about in labels["heads"].items():
        detections = labels.get("task") == "localization"
        shape = (n_events,) if detections else (n_events, len(about["classes"]))
        scores = arrays.get(head)
        if scores is None or scores.shape != shape:
            found = "none" if scores is None else f"{list(scores.shape)}"
            raise RunError(
                f"{path / 'scores.safetensors'}: scores of head '{head}' should be "
                f"{list(shape)}, found {found}. Predict again."
            )
