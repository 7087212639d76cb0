"""The leaderboard as plain values: rows in order of accuracy, few-shot curves, how to go on."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from actionspace.metrics.inputs import Ints
from actionspace.recognition.leaderboard.encoders import Cost
from actionspace.recognition.leaderboard.options import Options
from actionspace.recognition.leaderboard.plan import Plan, scarce
from actionspace.recognition.leaderboard.scores import Judge, Score


@dataclass(frozen=True)
class Entry:
    """One head on one encoder.

    Attributes:
        cost: of the encoder.
        head: its name.
        answers: ``guess [E]``, ``chosen``, ``seconds`` and ``notes``.
        few: answers after learning from few labels ``[shots, draws, E]``; None = not asked.
    """

    cost: Cost
    head: str
    answers: Mapping[str, Any]
    few: Ints | None


def tabulate(
    entries: Sequence[Entry],
    plan: Plan,
    asked: Options,
    *,
    failed: Mapping[str, str],
    left_out: Mapping[str, str],
    data: str | None,
    recipe: str,
) -> dict[str, Any]:
    """Return the leaderboard, JSON-ready.

    Keys: ``rows`` (one per head and encoder, best first, each with its difference to the best and
    whether the two are told apart), ``encoders``, ``failed``, ``left_out``, ``few_shot``,
    ``protocol``, ``notes``, ``command``.
    """
    tested = plan.tested
    judge = Judge(
        plan.truth[tested], plan.groups[tested], len(plan.classes), asked.bootstrap, asked.seed
    )
    guesses = [np.asarray(entry.answers["guess"])[tested] for entry in entries]
    scores = [judge.mean_class_accuracy(guess) for guess in guesses]
    order = sorted(range(len(entries)), key=lambda i: (-scores[i].value, entries[i].cost.gmacs))
    best = scores[order[0]]
    rows = [
        _row(entries[i], scores[i], judge.top1_accuracy(guesses[i]), scores[i].minus(best))
        for i in order
    ]
    costs = {entry.cost.encoder: asdict(entry.cost) for entry in entries}
    return {
        "rows": rows,
        "encoders": list(costs.values()),
        "failed": dict(failed),
        "left_out": dict(left_out),
        "few_shot": _few(entries, asked.shots, judge, tested),
        "protocol": {
            "how": plan.how,
            "classes": list(plan.classes),
            "events": int(tested.sum()),
            "groups": judge.groups,
            "chance": 1 / len(np.unique(plan.truth[tested])),
            "bootstrap": asked.bootstrap,
            "confidence": 0.95,
            "draws": asked.draws if asked.shots else 0,
            "seed": asked.seed,
        },
        "notes": _notes(plan, entries, asked.shots),
        "command": _command(_best(rows), plan, data, recipe),
        "command_note": _command_note(_best(rows), rows[0]),
    }


def _row(entry: Entry, score: Score, top1: Score, behind: Score) -> dict[str, Any]:
    low, high = behind.interval
    cost = entry.cost
    return {
        "encoder": cost.encoder,
        "head": entry.head,
        "mean_class_accuracy": score.value,
        "mean_class_accuracy_ci": score.interval,
        "top1_accuracy": top1.value,
        "top1_accuracy_ci": top1.interval,
        "behind_best": behind.value,
        "behind_best_ci": behind.interval,
        "apart_from_best": bool(high < 0 or low > 0),
        "fit_seconds": float(entry.answers["seconds"]),
        "gmacs": cost.gmacs,
        "clips_per_second": cost.clips_per_second,
        "parameters": cost.parameters,
        "dim": cost.dim,
        "store_bytes": cost.store_bytes,
        "licence": cost.licence,
        "random_weights": cost.random,
        "chosen": list(entry.answers["chosen"]),
    }


def _few(
    entries: Sequence[Entry], shots: Sequence[int], judge: Judge, tested: np.ndarray
) -> list[dict[str, Any]]:
    curves = []
    for entry in entries:
        if entry.few is None:
            continue
        points = []
        for at, n in enumerate(shots):
            score = judge.mean_class_accuracy(entry.few[at][:, tested])
            points.append({"shots": n, "value": score.value, "interval": score.interval})
        curves.append({"encoder": entry.cost.encoder, "head": entry.head, "points": points})
    return curves


def _notes(plan: Plan, entries: Sequence[Entry], shots: Sequence[int]) -> list[str]:
    notes = list(plan.notes)
    if any(entry.cost.random for entry in entries):
        notes.append(
            "Encoders with random weights say what their architecture alone is worth; they are a "
            "baseline, not a choice."
        )
    for n in shots:
        if names := scarce(plan, n):
            notes.append(
                f"Fewer than {n} labels to learn from, so all are used: {', '.join(names)}"
            )
    for entry in entries:
        notes += [f"{entry.cost.encoder}, {entry.head}: {n}" for n in entry.answers["notes"]]
    return list(dict.fromkeys(notes))


def _best(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the first row whose weights are not random, if there is one."""
    return next((row for row in rows if not row["random_weights"]), rows[0])


def _command(best: Mapping[str, Any], plan: Plan, data: str | None, recipe: str) -> str:
    """Return what trains a classifier on the best encoder."""
    folds = [f"folds={len(plan.trials)}"] if len(plan.trials) > 1 else []
    rest = [f"data={data or 'MANIFEST'}", f"encoder={best['encoder']}", *folds]
    return f"actionspace train {recipe} {shlex.join(rest)}"


def _command_note(best: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """Return what the reader should know of that command."""
    text = "Trains a linear classifier on "
    if best is first:
        text += "the first encoder"
    else:
        text += "the first encoder whose weights are not random"
    return f"{text}, with a report, a calibrated threshold and the means to predict new videos."


def table(board: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows as the terminal prints them; accuracies in per cent."""
    shown = []
    for row in board["rows"]:
        low, high = row["behind_best_ci"]
        behind = f"{100 * row['behind_best']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        if row is board["rows"][0]:
            behind = "best"
        elif not row["apart_from_best"]:
            behind += " not told apart"
        low, high = row["mean_class_accuracy_ci"]
        shown.append(
            {
                "encoder": row["encoder"] + (" *" if row["random_weights"] else ""),
                "head": row["head"],
                "mean class": f"{100 * row['mean_class_accuracy']:.1f}",
                "95 %": f"{100 * low:.1f} - {100 * high:.1f}",
                "top-1": f"{100 * row['top1_accuracy']:.1f}",
                "fit s": f"{row['fit_seconds']:.2f}",
                "GMACs": _number(row["gmacs"]),
                "clips/s": _number(row["clips_per_second"]),
                "M param": f"{row['parameters'] / 1e6:.1f}",
                "behind the best": behind,
            }
        )
    return shown


def _number(value: float) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.3g}"
