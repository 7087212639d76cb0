"""What the processes of tests/localization/test_processes.py run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actionspace.localization.fit import train
from tests.localization import untrimmed

#: Sizes of gradients show with plain steps, and so do shares of a normaliser.
PLAIN: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 4,
    "log_every": 1,
    "optimizer": {"name": "sgd", "lr": 0.05},
    "clip_norm": None,
    "evaluate_every": 1,
    "timeout": 60,
}
LOSS: dict[str, Any] = {
    "initial_norm": 20,
    "classification": "quality_focal",
    "regression": "eiou",
    "regression_by_overlap": True,
}


def work(folder: Path, out: Path, **training: Any) -> None:
    """Train with all of the further losses."""
    train(
        untrimmed.recipe(training=PLAIN | training, loss=LOSS),
        out=out,
        data=folder / "events.csv",
        features=folder / "features",
        report=False,
    )
