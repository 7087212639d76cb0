"""Learning rates of the other originals: ActionFormer, CARL, the probes of V-JEPA 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actionspace.training.schedules import ScheduleConfig, lr_at
from tests.conftest import golden_dirs

RTOL = 1e-12


def _cases(
    area: str, file: str, entries: Callable[[Any], list[tuple[str, dict[str, Any]]]]
) -> dict[str, dict[str, Any]]:
    """Return the cases of one area by name, of the first folder that has each."""
    found: dict[str, dict[str, Any]] = {}
    for root in golden_dirs():
        path = root / area / file
        if path.is_file():
            for name, case in entries(json.loads(path.read_text(encoding="utf-8"))):
                found.setdefault(f"{area}-{name}", case)
    return found


ACTIONFORMER = _cases(
    "tal",
    "manifest_misc.json",
    lambda m: [(c["id"], c) for c in m["cases"] if c.get("kind") == "lr_schedule"],
)
CARL = _cases(
    "carl",
    "schedule.json",
    lambda m: [(c["case"], c) for c in m["cases"] if "lr_by_epoch" in c["values"]],
)
PROBES = _cases(
    "x3d",
    "manifest_vjepa2_probe.json",
    lambda m: [(f"probe{i}", c) for i, c in enumerate(m.get("schedules", []))],
)


def _table(config: ScheduleConfig, lr: float, steps: int, epochs: int) -> list[float]:
    return [
        lr_at(config, lr, epoch=epoch, step=step, steps_per_epoch=steps, epochs=epochs)
        for epoch in range(epochs)
        for step in range(steps)
    ]


@pytest.mark.skipif(not ACTIONFORMER, reason="no golden/tal schedules here")
@pytest.mark.parametrize("case", ACTIONFORMER.values(), ids=list(ACTIONFORMER))
def test_actionformer(case: dict[str, Any]) -> None:
    opt = case["opt"]
    lr = opt["learning_rate"]
    warmup = opt["warmup_epochs"] if opt["warmup"] else 0
    steps = opt["schedule_type"] == "multistep"
    config = ScheduleConfig(
        name="step" if steps else "cosine",
        milestones=opt["schedule_steps"] if steps else (),
        gamma=opt["schedule_gamma"],
        final=1e-8 / lr if warmup else 0.0,
        warmup_epochs=warmup,
        warmup_inclusive=True,
    )
    ours = _table(config, lr, case["iters_per_epoch"], opt["epochs"] + warmup)
    # The original's tables go on beyond the training, where its cosine rises again.
    np.testing.assert_allclose(ours, case["lr_per_step"][: len(ours)], rtol=RTOL, atol=0)


@pytest.mark.skipif(not CARL, reason="no golden/carl schedules here")
@pytest.mark.parametrize("case", CARL.values(), ids=list(CARL))
def test_carl(case: dict[str, Any]) -> None:
    params = case["params"]
    lr, epochs = params["initial_lr"], params["max_epochs"]
    warmup: dict[str, Any] = {}
    if params["decay"] == "cosinewarmup":
        warmup = {
            "warmup_epochs": params["warmup_epochs"],
            "warmup_start": params["warmup_lr"] / lr,
            "warmup_inclusive": True,
        }
    config = ScheduleConfig(
        name="constant" if params["decay"] == "fixed" else "cosine",
        per="epoch",
        horizon=epochs + 1,
        final=params["final_lr"] / lr,
        **warmup,
    )
    by_epoch = case["values"]["lr_by_epoch"]
    for step in (0, 4):
        ours = [
            lr_at(config, lr, epoch=int(e), step=step, steps_per_epoch=5, epochs=epochs)
            for e in by_epoch
        ]
        np.testing.assert_allclose(ours, list(by_epoch.values()), rtol=RTOL, atol=0)


@pytest.mark.skipif(not PROBES, reason="no golden/x3d probe schedules here")
@pytest.mark.parametrize("case", PROBES.values(), ids=list(PROBES))
def test_vjepa2_probe(case: dict[str, Any]) -> None:
    given = case["kwargs"]
    lr = given["ref_lr"]
    config = ScheduleConfig(
        count_from=1,
        final=given["final_lr"] / lr,
        warmup_epochs=given["warmup"],
        warmup_start=given["start_lr"] / lr,
    )
    ours = _table(config, lr, case["iters_per_epoch"], case["epochs"])
    theirs = [rate for rate, _ in case["lr_wd"]]
    np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=0)
