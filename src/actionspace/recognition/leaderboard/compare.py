"""Which encoder for my videos: frozen encoders and heads compared on one manifest.

Every encoder's features are made once; every head is fitted on them and tested on the same events
that it has not seen; its options are chosen on other events than those. What is finished is kept in
the folder, so that the same command goes on where it was stopped, and does not do again what it did
when an encoder or head is added.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import ActionspaceError, Interrupted, RunError, UsageError
from actionspace.features.bags import bags
from actionspace.metrics.inputs import Ints
from actionspace.progress import bar
from actionspace.recognition import data as manifest
from actionspace.recognition.leaderboard.encoders import Made, make_features
from actionspace.recognition.leaderboard.files import Kept, write_results
from actionspace.recognition.leaderboard.heads import How, answer, answer_few
from actionspace.recognition.leaderboard.options import FEW_SHOT, Options
from actionspace.recognition.leaderboard.plan import Plan, make_plan
from actionspace.recognition.leaderboard.table import Entry, tabulate
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.rows import Rows
from actionspace.training.environment import pick_device

if TYPE_CHECKING:
    from actionspace.events.table import Events

VERSION = 1
"""Raised whenever the same question gets another answer; part of what results are kept by."""


def compare(
    recipe: RecognitionRecipe,
    encoders: Sequence[str],
    *,
    data: str | os.PathLike[str] | Events,
    out: Path,
    options: Options | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare encoders and heads, and leave ``leaderboard.csv``, ``.json`` and ``report.html``.

    Args:
        recipe: how clips are cut and encoded; a linear probe's.
        encoders: their names. One that cannot be used is listed with the reason.
        data: the manifest; one label per event.
        out: the folder; finished parts in it are taken over.
        options: how they are compared.
        overrides: what was laid over the packaged recipe, for the command to go on with.

    Returns:
        What ``leaderboard.json`` holds; see :func:`~.table.tabulate`.

    Raises:
        UsageError: no encoder, several label columns, an option that makes no sense.
        DataError: the manifest cannot be learnt from.
        RunError: not one encoder could be used.
    """
    asked = (options or Options()).checked()
    names = list(dict.fromkeys(encoders))
    if not names:
        raise UsageError("Give at least one encoder; `actionspace list encoders` names them.")
    if len(recipe.head.columns) > 1:
        raise UsageError(f"Compare on one label column at a time, not {recipe.head.columns}.")
    column = recipe.head.columns[0]
    events = manifest.load(data, recipe.root)
    make_plan(events, column, asked.folds, asked.seed)  # says what is wrong before hours of work
    kept = Kept(out / "parts")
    made, failed = _make_all(names, recipe, events, kept, "attentive" in asked.heads)
    common = _common(events, list(made.values()))
    plan = make_plan(common, column, asked.folds, asked.seed)
    entries = _answer_all(made, recipe, common, plan, asked, kept)
    board = tabulate(
        entries,
        plan,
        asked,
        failed=failed,
        left_out=_left_out(made),
        data=None if not isinstance(data, (str, os.PathLike)) else os.fspath(data),
        recipe=shlex.join([recipe.name, *overrides]),
    )
    write_results(out, board)
    from actionspace.report.leaderboard import write_leaderboard

    write_leaderboard(out, board)
    return board


def _make_all(
    names: Sequence[str], recipe: RecognitionRecipe, events: Events, kept: Kept, tokens: bool
) -> tuple[dict[str, Made], dict[str, str]]:
    """Return the features of every encoder that can be used, and why others cannot."""
    made: dict[str, Made] = {}
    failed: dict[str, str] = {}
    for name in names:
        try:
            made[name] = make_features(name, recipe, events, kept, tokens=tokens)
        except Interrupted:
            raise
        except ActionspaceError as e:
            failed[name] = str(e)
    if not made:
        why = "\n".join(f"{name}: {reason}" for name, reason in failed.items())
        raise RunError(f"None of the encoders could be used.\n{why}")
    return made, failed


def _common(events: Events, made: Sequence[Made]) -> Events:
    """Return the manifest with the videos that all encoders gave features of."""
    videos = [v for v in events.videos["video"] if all(v in one.store for one in made)]
    return events if len(videos) == len(events.videos) else events.select(videos=videos)


def _left_out(made: dict[str, Made]) -> dict[str, str]:
    """Return the videos that an encoder gave no features of, with its name and the reason."""
    return {
        video: f"{name}: {why}" for name, one in made.items() for video, why in one.skipped.items()
    }


def _answer_all(
    made: dict[str, Made],
    recipe: RecognitionRecipe,
    events: Events,
    plan: Plan,
    asked: Options,
    kept: Kept,
) -> list[Entry]:
    """Return what every head said on every encoder, from the folder where it is known there."""
    column = recipe.head.columns[0]
    question = {
        "version": VERSION,
        "data": manifest.content_hash(events, column),
        "column": column,
        "folds": asked.folds,
        "seed": asked.seed,
        "class_weight": recipe.head.class_weight,
    }
    few = FEW_SHOT if asked.shots else ()
    fits = sum(1 + (head in few) * len(asked.shots) * asked.draws for head in asked.heads)
    entries: list[Entry] = []
    with bar(total=len(made) * len(plan.trials) * fits, what="fits", unit="fit") as progress:
        for one in made.values():
            about = {**question, "features": one.key}
            asking = _Asking(one, about, events, plan, recipe, kept, asked, progress.update)
            for head in asked.heads:
                found = asking.whole(head)
                entries.append(
                    Entry(one.cost, head, found, asking.few(head) if head in few else None)
                )
    return entries


class _Asking:
    """One encoder being asked; its features are read when first needed."""

    def __init__(
        self,
        made: Made,
        question: dict[str, Any],
        events: Events,
        plan: Plan,
        recipe: RecognitionRecipe,
        kept: Kept,
        asked: Options,
        step: Callable[[int], object],
    ) -> None:
        self.made, self.question, self.events, self.plan = made, question, events, plan
        self.recipe, self.kept, self.asked, self.step = recipe, kept, asked, step
        self._rows: dict[bool, Rows] = {}

    def whole(self, head: str) -> dict[str, Any]:
        """Return a head's answers after learning from all labels, JSON-ready."""
        name = f"{self.made.cost.encoder}.{head}"
        found = self.kept.get(name, self.question)
        if found is None:
            rows = self.rows(tokens=head == "attentive")
            found = vars(answer(head, rows, self.plan, self._how))
            self.kept.put(name, self.question, found)
        else:
            self.step(len(self.plan.trials))
        return dict(found)

    def few(self, head: str) -> Ints:
        """Return its answers after learning from few labels ``[shots, draws, E]``."""
        name, shots, draws = (
            f"{self.made.cost.encoder}.{head}.few",
            self.asked.shots,
            self.asked.draws,
        )
        question = {**self.question, "shots": shots, "draws": draws}
        found = self.kept.get(name, question)
        if found is None:
            rows = self.rows(tokens=False)
            found = answer_few(head, rows, self.plan, shots, draws, self._how)
            self.kept.put(name, question, found)
        else:
            self.step(len(self.plan.trials) * len(shots) * draws)
        return np.asarray(found, dtype=np.int64)

    @property
    def _how(self) -> How:
        balanced = self.recipe.head.class_weight == "balanced"
        return How(
            class_weight="balanced" if balanced else None,
            seed=self.asked.seed,
            device=pick_device(self.recipe.device),
            step=lambda: self.step(1),
        )

    def rows(self, *, tokens: bool) -> Rows:
        """Return the feature rows of all events, or their tokens ``[R, L, D]``."""
        if tokens not in self._rows:
            column = self.recipe.head.columns[0]
            targets = manifest.Targets(list(self.plan.classes), False, self.plan.truth)
            rows = Rows.gather(self.events, self.made.store, column, targets)
            if tokens:
                found = bags(self.events, self.made.store, column, tokens=True)
                rows = replace(rows, features=found.features)
            self._rows[tokens] = rows
        return self._rows[tokens]
