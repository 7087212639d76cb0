"""Late fusion: what several runs say of the same events becomes one answer."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from actionspace.anticipation.infer import predictions_of
from actionspace.errors import DataError, RunError, UsageError
from actionspace.training.fusing import encoder_name, model_shares
from actionspace.training.predictions import Predictions, read_predictions, write_predictions

PathLike = str | os.PathLike[str]
LEAST = 1e-12


def fuse(
    paths: Sequence[PathLike],
    out: PathLike | None = None,
    *,
    weights: Sequence[float] | None = None,
    average: str = "prob",
    fit_on: Sequence[PathLike] | None = None,
) -> Predictions:
    """Average the predictions of several runs for the same events, found by their ids.

    An event that one of them lacks is answered by the others.

    Args:
        paths: predictions folders of one horizon, at least two.
        out: the folder to write; None = write nothing.
        weights: one per folder, not negative; None = equal ones.
        average: ``prob`` averages probabilities, ``score`` their logarithms.
        fit_on: not possible here.

    Raises:
        UsageError: the weights do not fit, or there are fewer than two folders.
        RunError: a folder holds no predictions.
        DataError: horizons, heads or classes differ.
    """
    if average not in ("prob", "score"):
        raise UsageError(f"average='{average}' is neither 'prob' nor 'score'.")
    if fit_on is not None:
        raise UsageError("Weights of anticipation are not fitted; give weights= or leave it out.")
    if len(paths) < 2:
        raise UsageError(f"There is nothing to fuse: {len(paths)} predictions folder(s), not two.")
    many = [read_predictions(path) for path in paths]
    first = many[0]
    for path, other in zip(paths, many, strict=True):
        _check(first, other, path)
    shares = model_shares(weights, len(many))
    rows = first.events.rows
    for other in many[1:]:
        new = other.events.rows[~other.events.rows["id"].isin(rows["id"])]
        if len(new):
            raise DataError(
                f"{len(new)} events are in one of the folders and not in {paths[0]}, the first is "
                f"'{new['id'].iloc[0]}'. Name the folder that has all events first."
            )
    scores = {head: _blend(many, shares, head, average) for head in first.labels["heads"]}
    classes = {head: first.classes(head) for head in scores}
    truth = first.truth
    if truth is not None:
        labels = truth.drop_duplicates("id").set_index("id")
        rows = rows.assign(**{h: labels[h].reindex(rows["id"]).to_numpy() for h in scores})
    found = predictions_of(
        scores,
        rows,
        first.events,
        classes,
        {
            **first.labels,
            "input": _input(many),
            "encoder": {"name": " + ".join(encoder_name(p) for p in many)},
            "fused": {
                "from": [os.fspath(p) for p in paths],
                "weights": shares.tolist(),
                "average": average,
            },
        },
        truth=truth is not None,
    )
    if out is not None:
        write_predictions(found, out)
    return found


def _check(first: Predictions, other: Predictions, path: PathLike) -> None:
    if other.labels.get("task") != "anticipation":
        raise RunError(f"{path} holds predictions of another task.")
    for name in ("horizon", "anchor"):
        if other.labels.get(name) != first.labels.get(name):
            raise DataError(
                f"{path} is of {name} {other.labels.get(name)}, the first folder of "
                f"{first.labels.get(name)}: these are answers to other questions."
            )
    if set(other.labels["heads"]) != set(first.labels["heads"]):
        raise DataError(f"{path} has other heads than the first folder.")
    for head in first.labels["heads"]:
        if sorted(other.classes(head)) != sorted(first.classes(head)):
            raise DataError(f"{path} has other classes of '{head}' than the first folder.")


def _input(many: Sequence[Predictions]) -> str:
    """Return what was given to any of them."""
    each = {str(found.labels.get("input", "features")) for found in many}
    return each.pop() if len(each) == 1 else "both"


def _blend(many: Sequence[Predictions], shares: np.ndarray, head: str, average: str) -> np.ndarray:
    """Return the mean over those runs that have an event, ``[E, C]``."""
    names, ids = many[0].classes(head), many[0].events.rows["id"]
    total, weight = np.zeros((len(ids), len(names))), np.zeros((len(ids), 1))
    for found, share in zip(many, shares, strict=True):
        number = {name: i for i, name in enumerate(found.events.rows["id"])}
        at = np.array([number.get(name, -1) for name in ids], np.int64)
        order = [found.classes(head).index(name) for name in names]
        values = found.scores[head][:, order].astype(np.float64)
        values = np.log(np.maximum(values, LEAST)) if average == "score" else values
        have = at >= 0
        total[have] += share * values[at[have]]
        weight[have] += share
    mean = total / np.maximum(weight, LEAST)
    mean = np.exp(mean) if average == "score" else mean
    return np.asarray(mean / mean.sum(axis=1, keepdims=True))
