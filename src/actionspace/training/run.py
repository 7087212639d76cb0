"""A run: the directory a training leaves behind.

``config.yaml`` (resolved recipe), ``metrics.json`` (last evaluation), ``metrics.csv`` (rows of
whatever was tried, or of the steps of a training), ``weights.safetensors``, ``labels.json``,
``predictions/``, ``report.html`` and ``environment.json``. The last is written last: a folder
without it is an unfinished run. A training in the loop also leaves ``state.pt``, from which it is
resumed, ``ema.safetensors``, ``checkpoints/``, ``tensorboard/`` and ``wandb/``, and, if it trained
the encoder as well, ``encoder.safetensors`` or ``adapter/``; with folds it has
such a folder for each in ``folds/``.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, DataError, RunError
from actionspace.paths import atomic_path, read_json, write_json, write_text

if TYPE_CHECKING:
    import numpy as np

FORMAT_VERSION = 1
NEEDED = ("config.yaml", "weights.safetensors", "labels.json", "environment.json")
RUNS = Path("runs")
"""Where runs without a place of their own lie."""
STATES = ("state.pt", "state-before.pt")
"""What a training is resumed from: the newest state and the one before it."""
STALE = (
    *("environment.json", "metrics.json", "metrics.csv", "report.html", "ema.safetensors"),
    *("encoder.safetensors", "calibration.json", "overview.json"),
    *STATES,
)
STALE_FOLDERS = ("predictions", "tensorboard", "checkpoints", "wandb", "folds", "adapter")


@dataclass(frozen=True)
class Run:
    """A run folder; every property reads its file when asked."""

    path: Path

    @classmethod
    def check_free(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> Run:
        """Refuse a place where a new run would destroy something; nothing is written.

        Raises:
            RunError: the folder holds a finished run or one that can be resumed (unless
                ``overwrite``), or other files.
        """
        run = cls(Path(path))
        if run.path.is_file():
            raise RunError(f"{run.path} is a file; a run is a folder. Choose another out.")
        if run.finished and not overwrite:
            raise RunError(
                f"{run.path} already holds a finished run. Choose another out, or say overwrite."
            )
        if run.resumable and not overwrite:
            raise RunError(
                f"{run.path} holds a training that was stopped. Go on with it (--resume), choose "
                "another out, or say overwrite."
            )
        if run.path.is_dir() and not run.finished:
            foreign = [p.name for p in run.path.iterdir() if not _belongs(p.name)]
            if foreign:
                raise RunError(
                    f"{run.path} holds files that are no run's ({', '.join(sorted(foreign)[:3])}). "
                    "Choose an empty or a new folder."
                )
        return run

    @classmethod
    def start(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> Run:
        """Make ready a folder for a new run.

        An unfinished run in the same place is taken over; a finished one, and one that can be
        resumed, is kept unless ``overwrite``.

        Raises:
            RunError: as :meth:`check_free`.
            ActionspaceError: the folder cannot be made.
        """
        run = cls.check_free(path, overwrite=overwrite)
        try:
            for stale in STALE:
                (run.path / stale).unlink(missing_ok=True)
            for stale in STALE_FOLDERS:
                shutil.rmtree(run.path / stale, ignore_errors=True)
            run.path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ActionspaceError(
                f"Cannot write {run.path}: {e.strerror or e}. Choose another out."
            ) from e
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open a finished run.

        Raises:
            RunError: not a run, unfinished, or of a newer format; the message says which.
        """
        run = cls(Path(path))
        if not run.path.is_dir():
            raise RunError(f"{run.path} is not a folder, so it is no run. Train one first.")
        missing = [name for name in NEEDED if not (run.path / name).is_file()]
        if missing:
            kind = "an unfinished run" if len(missing) < len(NEEDED) else "no run"
            raise RunError(f"{run.path} is {kind}: {', '.join(missing)} missing. Train it (again).")
        version = run.environment.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RunError(
                f"{run.path} is of run format {version}; this version reads up to "
                f"{FORMAT_VERSION}. Update actionspace."
            )
        return run

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> Run:
        """Open an unfinished run to go on with its training; nothing in it is changed.

        Raises:
            RunError: it is finished, no run, or stopped before its state was saved.
        """
        run = cls(Path(path))
        if not run.path.is_dir():
            raise RunError(f"{run.path} is not a folder, so there is nothing to resume.")
        if run.finished:
            raise RunError(
                f"{run.path} is finished; there is nothing left to resume. Train into another out, "
                "or say overwrite."
            )
        missing = [] if (run.path / "config.yaml").is_file() else ["config.yaml"]
        missing += [] if run.resumable else [STATES[0]]
        if missing:
            raise RunError(
                f"{run.path} cannot be resumed: {' and '.join(missing)} missing. If it stopped "
                "before its first save, or is fitted without a loop, train it without --resume."
            )
        return run

    @property
    def resumable(self) -> bool:
        """Whether a training stopped here that can be gone on with."""
        folds = self.path.glob("folds/*")
        return not self.finished and (self.has_state or any(Run(path).has_state for path in folds))

    @property
    def has_state(self) -> bool:
        """Whether the state of a training lies here, those of folds apart."""
        return any((self.path / name).is_file() for name in STATES)

    @property
    def finished(self) -> bool:
        """Whether the training that made this folder came to its end."""
        return all((self.path / name).is_file() for name in NEEDED)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved recipe."""
        from actionspace.config import read_yaml

        return read_yaml(self.path / "config.yaml")

    @property
    def labels(self) -> dict[str, Any]:
        """``labels.json``: the heads' classes and how their scores are made."""
        return self._json("labels.json")

    @property
    def environment(self) -> dict[str, Any]:
        """``environment.json``: what the run ran on."""
        return self._json("environment.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """``metrics.json``: the last evaluation; empty when there was none."""
        return self._json("metrics.json") if (self.path / "metrics.json").is_file() else {}

    @property
    def predictions_dir(self) -> Path:
        """The folder whose subfolders are predictions."""
        return self.path / "predictions"

    @property
    def report_path(self) -> Path:
        """Where the report is or would be."""
        return self.path / "report.html"

    def weights(self) -> dict[str, np.ndarray]:
        """Return the trained arrays by name.

        Raises:
            RunError: the weight file cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.path / "weights.safetensors"
        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as e:
            raise RunError(f"{path} cannot be read ({e}). Train the run again.") from e

    def write_weights(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Write the trained arrays atomically."""
        import numpy as np
        from safetensors.numpy import save_file

        with atomic_path(self.path / "weights.safetensors") as tmp:
            save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, tmp)

    def write_config(self, values: Any) -> None:
        """Write the resolved recipe (a pydantic model or a mapping)."""
        from actionspace.config import write_yaml

        write_yaml(self.path / "config.yaml", values)

    def write_labels(self, labels: Mapping[str, Any]) -> None:
        """Write ``labels.json``."""
        write_json(self.path / "labels.json", dict(labels))

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write ``metrics.json``."""
        write_json(self.path / "metrics.json", dict(metrics))

    def write_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write ``metrics.csv``: one line per thing tried (a strength, a fold)."""
        names: dict[str, None] = {name: None for row in rows for name in row}
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "metrics.csv", text.getvalue())

    def finish(self, environment: Mapping[str, Any]) -> Run:
        """Write ``environment.json`` (with the format version), which completes the run."""
        path = self.path / "environment.json"
        write_json(path, {"format_version": FORMAT_VERSION, **environment})
        return self

    def _json(self, name: str) -> dict[str, Any]:
        try:
            value = read_json(self.path / name)
        except DataError as e:
            raise RunError(f"{self.path} is not a whole run: {e}") from e
        if not isinstance(value, dict):
            raise RunError(f"{self.path / name} must hold a JSON object.")
        return value


def _belongs(name: str) -> bool:
    known = {*NEEDED, *STALE, *STALE_FOLDERS, "features"}
    return name in known or name.startswith(".")


def next_run(name: str) -> Path:
    """Return the first of ``runs/NAME``, ``runs/NAME-2``, ``-3`` ... that holds nothing to keep."""
    path, n = RUNS / name, 1
    while Run(path).finished or Run(path).resumable:
        n += 1
        path = RUNS / f"{name}-{n}"
    return path


def stopped_run(name: str) -> Path:
    """Return the run of a recipe in ``runs/`` that was stopped last.

    Raises:
        RunError: there is none.
    """
    ours = [p for p in RUNS.glob(f"{name}*") if re.fullmatch(rf"{name}(-\d+)?", p.name)]
    stopped = [path for path in ours if Run(path).resumable]
    if not stopped:
        finished = sum(Run(path).finished for path in ours)
        raise RunError(
            f"There is no unfinished training of '{name}' in {RUNS.resolve()} ({finished} "
            "finished). Name its folder with --out, or train without --resume."
        )
    return max(stopped, key=lambda path: path.stat().st_mtime)
