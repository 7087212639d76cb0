"""Which task a recipe, a run or a folder of predictions belongs to, and where its verbs are."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, UsageError, did_you_mean

if TYPE_CHECKING:
    from actionspace.training.run import Run

TASKS = ("recognition", "localization", "alignment", "anticipation")
"""Each has the modules ``fit`` and ``evaluate``; others not all have."""


def verb(task: str, module: str, name: str) -> Any:
    """Return a function of a task, imported now: ``verb("recognition", "fit", "train")``.

    Raises:
        UsageError: the task has no such verb.
    """
    place = f"actionspace.{task}.{module}"
    found = getattr(import_module(place), name, None) if find_spec(place) else None
    if found is None:
        raise UsageError(f"`{module}` is not there for {task}: it was given a run of that task.")
    return found


def task_of(target: str | os.PathLike[str] | Run) -> str:
    """Return the task of a run, of a predictions folder, or of a file.

    A table, JSON file or submission holds detections; a file exported from a run is of recognition.
    What is none of these is left to recognition, whose message says so.
    """
    from actionspace.events.formats import manifest
    from actionspace.paths import read_json
    from actionspace.training.run import Run

    if isinstance(target, Run):
        return _known(target.config.get("task"))
    path = Path(target)
    if path.is_file():
        detections = (*manifest.SUFFIXES, ".json", ".pkl", ".zip")
        return "localization" if path.suffix in detections else TASKS[0]
    try:
        if (path / "config.yaml").is_file():
            return _known(Run(path).config.get("task"))
        if (path / "labels.json").is_file():
            return _known(read_json(path / "labels.json").get("task"))
    except ActionspaceError:
        pass  # the verb says what is wrong
    return TASKS[0]


def _known(name: Any) -> str:
    return name if name in TASKS else TASKS[0]


def known_to(function: Callable[..., Any], given: Mapping[str, Any], skip: int = 0) -> None:
    """Refuse options that a function, its first parameters apart, does not take.

    Raises:
        UsageError: naming the nearest one.
    """
    known(given, list(inspect.signature(function).parameters)[skip:], "option")


def known(given: Mapping[str, Any], names: Sequence[str], what: str) -> None:
    """Refuse options that are none of ``names``.

    Raises:
        UsageError: naming the nearest one.
    """
    for name in given:
        if name not in names:
            hint = did_you_mean(name, names) or f" Known: {', '.join(names)}."
            raise UsageError(f"Unknown {what} '{name}'.{hint}")
