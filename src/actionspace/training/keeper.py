"""What of a training is kept: its state, its best weights, those of single epochs, the last."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from actionspace.encoders.checkpoint import write_weights
from actionspace.paths import plain
from actionspace.training import checkpoint
from actionspace.training.averages import Averages
from actionspace.training.ema import EMA
from actionspace.training.freeze import load_trainable_state, trainable_state
from actionspace.training.judge import Progress
from actionspace.training.options import TrainingConfig
from actionspace.training.records import Records
from actionspace.training.run import Run


@dataclass
class Keeper:
    """Saves and restores one training.

    Only the main process writes (``writes``): all processes hold the same. Frozen weights are not
    kept; they belong to the encoder.
    """

    run: Run
    config: TrainingConfig
    identity: Mapping[str, Any]
    writes: bool
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None
    ema: EMA | None
    averages: Averages
    _saved_at: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether the state should be saved within the epoch."""
        minutes = self.config.checkpoint.minutes
        return self.writes and time.monotonic() - self._saved_at >= 60 * minutes

    @property
    def message(self) -> str:
        """What is left to go on from, in a sentence."""
        if not self.run.resumable:
            return "Nothing was saved yet."
        return (
            f"The last good state is kept in {self.run.path}; go on with the same command and "
            "--resume."
        )

    def save(self, at: Progress, records: Records, skipped: Mapping[int, str]) -> None:
        """Write ``state.pt``; samples that were left out stay so when the training goes on."""
        self._saved_at = time.monotonic()
        if not self.writes:
            return
        checkpoint.save_state(
            self.run,
            {
                "identity": plain(dict(self.identity)),
                "progress": dict(vars(at)),
                "model": trainable_state(self.model),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict() if self.scaler is not None else None,
                "ema": self.ema.state_dict() if self.ema is not None else None,
                "averages": self.averages.state_dict(),
                "records": records.state(),
                "skipped": dict(skipped),
            },
        )

    def restore(self) -> tuple[Progress, dict[str, Any], dict[int, str]]:
        """Go on from ``state.pt``; return the progress, the state of the records, and ``skipped``.

        Raises:
            RunError: there is no whole state, or it is of another recipe, data or encoder.
        """
        state = checkpoint.load_state(self.run)
        checkpoint.check_identity(self.run, state["identity"], self.identity)
        load_trainable_state(self.model, state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.averages.load_state_dict(state["averages"])
        return Progress(**state["progress"]), state["records"], state["skipped"]

    def averaged(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which the model has the weights that are evaluated and kept."""
        if self.ema is None or not self.config.ema.evaluate:
            return contextlib.nullcontext()
        return self.ema.applied()

    def keep(self, name: str) -> None:
        """Keep the present weights as ``checkpoints/<name>.safetensors``."""
        if self.writes:
            write_weights(self.place(name), trainable_state(self.model))

    def keep_epoch(self, epoch: int) -> None:
        """Keep the weights of every n-th epoch, as asked."""
        every = self.config.checkpoint.every_epochs
        if every and epoch % every == 0:
            with self.averaged():
                self.keep(f"epoch_{epoch:03d}")

    def place(self, name: str) -> Path:
        """Return where weights of a name are kept."""
        return self.run.path / "checkpoints" / f"{name}.safetensors"

    def keep_average(self) -> None:
        """Write ``ema.safetensors``, if there is an average."""
        if self.ema is not None and self.writes:
            with self.ema.applied():
                path = self.run.path / "ema.safetensors"
                write_weights(path, trainable_state(self.model))

    def take_final(self, at: Progress) -> None:
        """Leave the model of the main process with the weights the run ends with."""
        if self.config.checkpoint.keep == "best" and at.best_epoch is not None:
            if self.writes:  # the others may not see its disk
                load_trainable_state(self.model, checkpoint.load_weights(self.place("best")))
        elif self.ema is not None and self.config.ema.evaluate:
            self.ema.copy_to_model()
        self.model.eval()
