"""Verbs find the task of what they are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actionspace.config import write_yaml
from actionspace.errors import UsageError
from actionspace.tasks import TASKS, known_to, task_of, verb
from actionspace.training.run import Run


def test_every_task_has_its_verbs() -> None:
    every = (("fit", "train"), ("evaluate", "evaluate"))
    labels = (
        ("predict", "predictions"),
        ("predict", "summary"),
        ("convert", "run_from_checkpoint"),
    )
    for task in TASKS:
        told = {"alignment": every, "anticipation": (*every, *labels[:2])}
        for module, name in told.get(task, (*every, *labels)):
            assert callable(verb(task, module, name))


def test_runs_predictions_and_files_are_told_apart(tmp_path: Path) -> None:
    write_yaml(tmp_path / "config.yaml", {"task": "localization"})
    assert task_of(tmp_path) == task_of(Run(tmp_path)) == "localization"
    write_yaml(tmp_path / "config.yaml", {"task": "alignment"})
    assert task_of(tmp_path) == "alignment"
    write_yaml(tmp_path / "config.yaml", {"name": "old"})
    assert task_of(tmp_path) == "recognition"
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "labels.json").write_text(json.dumps({"task": "localization"}))
    assert task_of(tmp_path) == "localization"
    for name, task in (("a.json", "localization"), ("a.csv", "localization"), ("a.onnx", TASKS[0])):
        (tmp_path / name).touch()
        assert task_of(tmp_path / name) == task
    assert task_of(tmp_path / "nothing") == "recognition"


def test_a_verb_that_a_task_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="`calibrate` is not there for recognition"):
        verb("recognition", "calibrate", "calibrate")
    with pytest.raises(UsageError, match="`convert` is not there"):
        verb("localization", "convert", "weights_from_run")


def test_unknown_options_are_named() -> None:
    def function(run: str, *, window: int = 3) -> None: ...

    known_to(function, {"window": 1}, skip=1)
    with pytest.raises(UsageError, match="Did you mean 'window'"):
        known_to(function, {"windw": 1}, skip=1)
    with pytest.raises(UsageError):
        known_to(function, {"run": 1}, skip=1)
