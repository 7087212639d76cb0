"""What a training leaves for people to look at: ``metrics.csv``, TensorBoard, Weights & Biases.

All three get the same numbers under the same names: ``lr``, ``train/<loss part>`` (means since the
row before), ``train_smooth/<loss part>`` (moving averages), ``val/<metric>`` and the speeds.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, RunError, UsageError
from actionspace.training.metrics_csv import MetricsCSV
from actionspace.training.run import Run

if TYPE_CHECKING:
    import numpy as np

FLUSH_SECONDS = 20
QUEUE = 1000  # events that may wait for the writing thread, so that the training does not


def learning_rates(groups: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the learning rates of an optimiser's groups under the names they are recorded by.

    That of the group with the highest peak is ``lr``; one of a tenth of it, say, ``lr/x0.1``.

    Args:
        groups: with ``lr`` (now) and ``base_lr`` (at the peak of the schedule).
    """
    now = {float(group["base_lr"]): float(group["lr"]) for group in groups}
    peak = max(now)
    return {"lr" if base == peak else f"lr/x{base / peak:g}": lr for base, lr in now.items()}


class Records:
    """The records of one training; on every process but the main one nothing is written."""

    def __init__(
        self,
        run: Run,
        *,
        tensorboard: bool,
        wandb: str | None,
        main: bool,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin, or go on from a ``state``: what was recorded after it is cut.

        Args:
            run: the folder.
            tensorboard: write ``tensorboard/``.
            wandb: project of Weights & Biases; None = it is not even imported.
            main: whether this process writes.
            state: what :meth:`state` returned when the training's state was saved.

        Raises:
            UsageError: ``wandb`` is asked for and not installed.
            RunError: Weights & Biases refuses.
            ActionspaceError: a file cannot be written.
        """
        before = state or {}
        self._began = time.monotonic() - float(before.get("seconds", 0.0))
        self._step = int(before.get("step", 0))
        self._wandb_id: str | None = before.get("wandb")
        self._table: MetricsCSV | None = None
        self._boards: list[_TensorBoard | _WandB] = []
        if not main:
            return
        if wandb:
            board = _WandB(run, wandb, self._wandb_id)
            self._wandb_id = board.id
            self._boards.append(board)
        self._table = MetricsCSV(run.path / "metrics.csv", keep=int(before.get("rows", 0)))
        if tensorboard:
            purge = self._step + 1 if state is not None else None
            self._boards.append(_TensorBoard(run.path / "tensorboard", purge))

    def train(
        self,
        step: int,
        epoch: float,
        losses: Mapping[str, float],
        rates: Mapping[str, float],
        *,
        smooth: Mapping[str, float] | None = None,
        **speeds: float,
    ) -> None:
        """Record how the training went since the last time.

        Args:
            step: optimiser steps done.
            epoch: epochs done, with a fraction within one.
            losses: mean of every loss part.
            rates: what :func:`learning_rates` returned.
            smooth: moving average of every loss part.
            speeds: further numbers, such as ``samples_per_second`` and ``data_wait``.
        """
        if self._table is None:
            return
        values = dict(rates)
        values |= {f"train/{name}": value for name, value in losses.items()}
        values |= {f"train_smooth/{name}": value for name, value in (smooth or {}).items()}
        values |= {name: round(value, 4) for name, value in speeds.items()}
        self._write(step, epoch, values, {})

    def evaluation(
        self,
        step: int,
        epoch: float,
        metrics: Mapping[str, float],
        images: Mapping[str, Callable[[], np.ndarray]] | None = None,
    ) -> None:
        """Record an evaluation and make sure that all so far can be looked at.

        Args:
            step: optimiser steps done.
            epoch: epochs done.
            metrics: values by name.
            images: what draws uint8 ``[H, W, 3]``, by title; not for ``metrics.csv``.
        """
        self._write(step, epoch, {f"val/{k}": v for k, v in metrics.items()}, images or {})
        self._flush()

    def state(self) -> dict[str, Any]:
        """Return plain values to go on from; what was recorded before is on disk by then."""
        self._flush()
        return {
            "step": self._step,
            "rows": self._table.rows if self._table is not None else 0,
            "seconds": self.seconds,
            "wandb": self._wandb_id,
        }

    @property
    def seconds(self) -> float:
        """Wall time of the training over all sessions that states were saved in."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Write what is pending and close everything."""
        for board in self._boards:
            board.close()
        self._boards.clear()

    def _write(
        self,
        step: int,
        epoch: float,
        values: Mapping[str, float],
        images: Mapping[str, Callable[[], np.ndarray]],
    ) -> None:
        if self._table is None:
            return
        self._step = step
        seconds = round(self.seconds, 3)
        self._table.append({"step": step, "epoch": epoch, **values, "seconds": seconds})
        pictures = {title: draw() for title, draw in images.items()} if self._boards else {}
        for board in self._boards:
            board.write(step, values, pictures)

    def _flush(self) -> None:
        for board in self._boards:
            board.flush()


def _tag(name: str) -> str:
    """Return the tag of a number; speeds sort behind what one looks at first."""
    return name if "/" in name or name == "lr" else f"train_speed/{name}"


class _TensorBoard:
    """Event files; TensorBoard drops what earlier files hold from ``purge_step`` on."""

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self._summary: Any = Summary
        with self._explained():
            self._writer: Any = SummaryWriter(
                str(folder), purge_step=purge_step, max_queue=QUEUE, flush_secs=FLUSH_SECONDS
            )

    def write(
        self, step: int, values: Mapping[str, float], images: Mapping[str, np.ndarray]
    ) -> None:
        # All numbers of a row in one event: a tenth of the time of one add_scalar each.
        row = [
            self._summary.Value(tag=_tag(name), simple_value=value)
            for name, value in values.items()
            if value == value
        ]
        with self._explained():
            self._writer.file_writer.add_summary(self._summary(value=row), step)
            for title, picture in images.items():
                self._writer.add_image(f"val/{title}", picture, step, dataformats="HWC")

    def flush(self) -> None:
        with self._explained():
            self._writer.flush()

    def close(self) -> None:
        with self._explained():
            self._writer.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise ActionspaceError(
                f"Cannot write {self._folder}: {e.strerror or e}. Free space and go on with "
                "--resume, or set training.tensorboard=false."
            ) from e


class _WandB:
    """A run of Weights & Biases; ``WANDB_MODE=offline`` and the like are for it to obey."""

    def __init__(self, run: Run, project: str, id: str | None) -> None:
        try:
            self._wandb = importlib.import_module("wandb")
        except ImportError as e:
            raise UsageError(
                f"training.wandb={project} needs a package that is not installed: pip install "
                '"actionspace[wandb]", or leave training.wandb empty.'
            ) from e
        try:
            self._run = self._wandb.init(
                project=project,
                dir=str(run.path),
                name=run.path.name,
                config=run.config if (run.path / "config.yaml").is_file() else None,
                id=id,
                resume="allow" if id else None,
            )
        except self._wandb.errors.Error as e:
            raise RunError(
                f"Weights & Biases cannot be logged to ({e}). Run `wandb login`, set "
                "WANDB_MODE=offline, or leave training.wandb empty."
            ) from e
        self.id = str(self._run.id)
        # Its own step may never go back, which it does where a resumed training repeats steps.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(
        self, step: int, values: Mapping[str, float], images: Mapping[str, np.ndarray]
    ) -> None:
        pictures = {f"val/{title}": self._wandb.Image(p) for title, p in images.items()}
        self._run.log({"step": step, **values, **pictures})

    def flush(self) -> None:
        """Nothing to do: it sends by itself."""

    def close(self) -> None:
        self._run.finish()
