"""Raw video, or features of it, in; what comes next, moment by moment, out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.anticipation.evaluate import recipe_of
from actionspace.anticipation.infer import predictions_of, scores_of
from actionspace.anticipation.prepare import Prepared, prepare
from actionspace.anticipation.saved import classes_in, heads_of, load_network
from actionspace.anticipation.timeline import UNKNOWN, Asked, Timeline, asked, usable
from actionspace.errors import ActionspaceError, UsageError
from actionspace.training.environment import pick_device
from actionspace.training.export import export
from actionspace.training.inputs import Input, resolve
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from actionspace.events.table import Events


def predict(
    run: Run | str | os.PathLike[str], inputs: Input | Events | Sequence[Input], **options: Any
) -> Events:
    """Return what comes next as events; see :func:`predictions` for the options."""
    return predictions(run, inputs, **options).events


def predictions(
    run: Run | str | os.PathLike[str],
    inputs: Input | Events | Sequence[Input],
    *,
    out: str | os.PathLike[str] | None = None,
    format: str | None = None,
    split: str | None = None,
    root: str | None = None,
    features: Any = None,
    horizon: float | None = None,
    every: float | None = None,
    at: str = "times",
    device: str | None = None,
) -> Predictions:
    """Tell what comes next: at moments on a grid over videos, or before each annotated event.

    At a moment ``t`` an event from ``t`` to ``t + horizon`` says what begins at its end, if
    anything does; its score is the probability of the label under that condition. Only what lies
    before ``t`` is looked at. Annotations of a manifest are the past where the run was trained on
    labels, and must then be there.

    Args:
        run: a run folder.
        inputs: videos, folders, globs, a manifest or annotation file, or events in memory.
        out: a folder, or one file (``.csv``, ``.json``, ``.boris``).
        format: format of that file, if its ending does not say.
        split: only this split of a manifest.
        root: folder the manifest's paths are relative to.
        features: of these videos, instead of the encoder.
        horizon: seconds until the event; None = the recipe's ``horizon.report``.
        every: seconds between two moments; None = the recipe's.
        at: ``times``: a grid. ``events``: before each event of the manifest, with a label or
            without; what a challenge asks.
        device: where all runs, if not as in the recipe.

    Raises:
        UsageError: there is nothing to predict; the run needs labels and there are none.
        RunError: not a run, features of another make, or its encoder cannot be had.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    recipe = recipe_of(run, device)
    if at not in ("times", "events"):
        raise UsageError(f"at={at}: use times (a grid) or events (before each annotated one).")
    if recipe.encoder is not None:
        recipe = recipe.model_copy(update={"features": None})
    events = resolve(inputs, root)
    if split is not None:
        events = events.select(split=split)
    annotated = set(recipe.columns) <= set(events.heads) and usable(events, recipe.columns).any()
    if recipe.knows and not annotated:
        raise UsageError(
            f"The run was trained on the labels of past events (input={recipe.input}): give a "
            f"manifest whose columns {', '.join(recipe.columns)} hold what has happened so far."
        )
    found = prepare(
        recipe,
        events,
        features=features,
        expect=run.labels.get("encoder"),
        classes=classes_in(run, recipe),
        split=False,
    )
    ahead = horizon or recipe.horizon.report
    if at == "events":
        ask, rows = _before_events(found)
    else:
        ask, rows = _grid(found, ahead, every or recipe.predict.every)
    network = load_network(run, recipe, pick_device(recipe.device))
    scores, skipped = scores_of(network, found.questions(ask, ahead), found.recipe)
    labels = {
        "task": "anticipation",
        "heads": heads_of(recipe, found.classes),
        "horizon": ahead,
        "split": split,
        "input": recipe.input,
        "anchor": recipe.window.anchor,
        "encoder": found.encoder,
        "evaluation": recipe.evaluation.model_dump(),
        "skipped": found.skipped | skipped,
        "run": run.path.name,
        "at": at,
    }
    told = predictions_of(
        scores, rows, events, found.classes, labels, truth=at == "events" and bool(annotated)
    )
    if out is not None:
        if format is None and Path(out).suffix == "":
            write_predictions(told, out)
        else:
            export(told.events, out, format)
    return told


def _before_events(found: Prepared) -> tuple[Asked, pd.DataFrame]:
    events = found.events
    kept = ((events.rows["status"] == "event") & events.rows["start"].notna()).to_numpy()
    if not kept.any():
        raise UsageError("at=events needs a manifest whose events have a start and an end.")
    return asked(events, found.classes, found.recipe.history.by, all_=True), events.rows[kept]


def _grid(found: Prepared, horizon: float, every: float) -> tuple[Asked, pd.DataFrame]:
    """Return moments over all videos, of each subject where its own past is known."""
    import pandas as pd

    recipe, width = found.recipe, len(found.classes)
    known = asked(found.events, found.classes, recipe.history.by, all_=True)
    lines: dict[str, list[int]] = {}
    if recipe.knows:
        for video, line in zip(map(str, known.videos), known.sequence.tolist(), strict=True):
            lines.setdefault(video, [])
            lines[video] += [] if line in lines[video] else [line]
    nothing = Timeline(np.zeros(0), np.zeros(0), np.zeros((0, width), np.int64))
    table, sequence = [], []
    for video in map(str, found.events.videos["video"]):
        moments = np.arange(every, _end(found, video) + 1e-9, every)
        for line in lines.get(video) or [len(known.timelines)]:
            table += [(video, float(t), float(t) + horizon) for t in moments]
            sequence += [line] * len(moments)
    if not table:
        raise UsageError("No video has anything to look at; its features could not be made.")
    rows = pd.DataFrame(table, columns=["video", "start", "end"])
    rows.insert(0, "id", [str(i) for i in range(len(rows))])
    begins = rows["end"].to_numpy(np.float64)
    ask = Asked(
        rows["id"].to_numpy(object),
        rows["video"].to_numpy(object),
        begins,
        begins,
        np.full((len(rows), width), UNKNOWN, np.int64),
        np.array(sequence, np.int64),
        (*known.timelines, nothing),
    )
    return ask, rows


def _end(found: Prepared, video: str) -> float:
    """Return the second at which a video's features end, or its annotation; 0 = unreadable."""
    if found.stores:
        try:
            return float(found.stores[0].get(video)[1][-1, 1])
        except ActionspaceError:
            return 0.0
    ends = found.events.for_video(video)["end"]
    return float(ends.max()) if ends.notna().any() else 0.0


def summary(found: Predictions) -> str:
    """Return in a few lines what was foretold."""
    rows, heads = found.events.rows, list(found.labels["heads"])
    lines = []
    for video in found.events.videos["video"]:
        if video in found.skipped:
            lines.append(f"{video}: skipped, {found.skipped[video]}")
            continue
        part = rows[rows["video"] == video]
        told = []
        for head in heads:
            counts = part[head].value_counts()
            told.append(", ".join(f"{n} x {name}" for name, n in counts.items()) or "nothing")
        lines.append(f"{video}: {len(part)} moments ({'; '.join(told)})")
    lines.append(
        f"Each is the likeliest label of an event that begins {found.labels['horizon']:g} s later."
    )
    return "\n".join(lines)
