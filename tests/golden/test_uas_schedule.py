"""The learning rate of the original recipe, in every step that its table lists."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from actionspace.training.schedules import ScheduleConfig, lr_at
from tests.conftest import golden_dirs


def _cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for root in golden_dirs():
        path = root / "uas" / "lr_schedule.json"
        if path.is_file():
            for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                name = f"uas-{case['epochs']}x{case['iters_per_epoch']}"
                found.setdefault(f"{name}-warmup{case['warmup_epochs']}", case)
    return found


CASES = _cases()


@pytest.mark.skipif(not CASES, reason="no golden/uas schedules here")
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_rate_of_every_step(case: dict[str, Any]) -> None:
    rows = [dict(zip(case["columns"], row, strict=True)) for row in case["values"]]
    for i, lr in enumerate(case["base_lrs"]):
        config = ScheduleConfig(
            per="epoch",
            final=case["min_lr"] / lr,
            warmup="multiply",
            warmup_epochs=case["warmup_epochs"],
            warmup_start=case["warmup_ratio"],
        )
        ours = [
            lr_at(
                config,
                lr,
                epoch=row["epoch"],
                step=row["iter_in_epoch"],
                steps_per_epoch=case["iters_per_epoch"],
                epochs=case["epochs"],
            )
            for row in rows
        ]
        np.testing.assert_allclose(ours, [row[f"lr{i}"] for row in rows], rtol=1e-12, atol=0)
