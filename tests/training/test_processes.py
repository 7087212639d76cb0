"""Several processes learn what one learns, and none waits for one that is gone."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.worker import train

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

SCENARIOS: dict[str, dict[str, Any]] = {
    "even": {"n": 100},
    "uneven": {"n": 103},  # a last step of 3 samples for two processes
    "ragged": {"n": 101},  # and of one: a process has nothing to do
    "broken": {"n": 103, "bad": [4, 50, 99]},
    "table": {"n": 103, "table": True},
}


def launch(
    scenarios: Mapping[str, Any], *, nodes: int = 1, node: int = 0, port: int = 0, each: int = 2
) -> subprocess.Popen[str]:
    place = ["--standalone"] if nodes == 1 else [f"--master-addr=127.0.0.1:{port}"]
    if nodes > 1:
        place = ["--master-addr=127.0.0.1", f"--master-port={port}", f"--node-rank={node}"]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}"),
            *(f"--nproc-per-node={each}", *place),
            *("tests/training/worker.py", json.dumps(scenarios)),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def finish(child: subprocess.Popen[str], seconds: float = 120) -> str:
    try:
        _, said = child.communicate(timeout=seconds)
    finally:
        child.kill()
    return said


def losses(out: Path) -> list[float]:
    with (out / "metrics.csv").open() as f:
        return [float(row["train/loss"]) for row in csv.DictReader(f) if row["train/loss"]]


def result(out: Path, rank: int = 0) -> dict[str, Any]:
    return dict(json.loads((out / f"rank{rank}.json").read_text()))


def far(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return max(float(np.abs(np.array(a[k]) - np.array(b[k])).max()) for k in a)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every scenario, trained by two processes."""
    out = tmp_path_factory.mktemp("two")
    said = launch({k: {**v, "out": str(out / k)} for k, v in SCENARIOS.items()})
    errors = finish(said)
    assert said.returncode == 0, errors
    return out


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_processes_learn_what_one_learns(name: str, two: Path, tmp_path: Path) -> None:
    alone = train(tmp_path, **SCENARIOS[name])
    together = result(two / name)
    assert alone["steps"] == together["steps"] >= 20
    np.testing.assert_allclose(losses(two / name), losses(tmp_path), atol=1e-5)
    for metric, value in alone["metrics"].items():
        assert together["metrics"][metric] == pytest.approx(value, abs=1e-6), metric
    assert together["metrics"]["seen"] == 37
    assert far(alone["weights"], together["weights"]) < 1e-5
    assert together["skipped"] == alone["skipped"]
    assert result(two / name, 1)["weights"] == together["weights"]


def test_two_nodes_finish_with_the_same_weights(two: Path, tmp_path: Path) -> None:
    port = free_port()
    outs = [tmp_path / "a", tmp_path / "b"]  # nodes need not share a disk while training
    nodes = [
        launch(
            {"uneven": {**SCENARIOS["uneven"], "out": str(out)}},
            nodes=2,
            node=i,
            port=port,
            each=1,
        )
        for i, out in enumerate(outs)
    ]
    said = [finish(node) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    a, b = result(outs[0], 0), result(outs[1], 1)
    assert a["weights"] == b["weights"] == result(two / "uneven")["weights"]


def test_a_signal_to_one_process_stops_all_and_resuming_gives_the_same_bits(
    two: Path, tmp_path: Path
) -> None:
    scenario = {**SCENARIOS["uneven"], "out": str(tmp_path)}
    child = launch({"term": {**scenario, "fault": "term"}})
    said = finish(child)
    assert child.returncode != 0
    assert "rank 0: Stopped by" in said and "rank 1: Stopped by SIGTERM" in said
    assert "--resume" in said
    again = launch({"again": {**scenario, "resume": True}})
    errors = finish(again)
    assert again.returncode == 0, errors
    assert result(tmp_path)["weights"] == result(two / "uneven")["weights"]
    assert len(losses(tmp_path)) == len(losses(two / "uneven"))


@pytest.mark.parametrize("fault", ["kill", "memory"])
def test_when_one_process_is_gone_the_others_stop_and_name_it(fault: str, tmp_path: Path) -> None:
    began = time.monotonic()
    child = launch({fault: {"n": 103, "out": str(tmp_path), "fault": fault}})
    said = finish(child, 60)
    assert child.returncode != 0
    assert time.monotonic() - began < 60
    line = next(line for line in said.splitlines() if line.startswith(f"{fault}: rank 0:"))
    assert "rank 1" in line
    if fault == "memory":
        assert "micro_batch_size" in line
    assert (tmp_path / "state.pt").is_file()
