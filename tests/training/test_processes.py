"""Several processes learn what one learns, and none waits for one that is gone."""

from __future__ import annotations

import csv
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.processes import ONE_NODE, Child, torchrun
from tests.training.worker import train, work

pytestmark = pytest.mark.slow

SCENARIOS: dict[str, dict[str, Any]] = {
    "even": {"n": 100},
    "uneven": {"n": 103},  # a last step of 3 samples for two processes
    "ragged": {"n": 101},  # and of one: a process has nothing to do
    "broken": {"n": 103, "bad": [4, 50, 99]},
    "table": {"n": 103, "table": True},
}


def launch(folder: Path, scenarios: Mapping[str, Any], *words: str) -> Child:
    """Train every scenario in two processes, or however torchrun's WORDS say."""
    return torchrun(folder, words or ONE_NODE, work, scenarios)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


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
    child = launch(out, {k: {**v, "out": str(out / k)} for k, v in SCENARIOS.items()})
    assert child.end() == 0, child.err.read_text()
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
    outs = [tmp_path / "a", tmp_path / "b"]  # nodes need not share a disk while training
    place = ("--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1")
    port = f"--master-port={free_port()}"
    nodes = [
        launch(
            out, {"n": {**SCENARIOS["uneven"], "out": str(out)}}, *place, port, f"--node-rank={i}"
        )
        for i, out in enumerate(outs)
    ]
    assert [node.end() for node in nodes] == [0, 0], [node.err.read_text() for node in nodes]
    a, b = result(outs[0], 0), result(outs[1], 1)
    assert a["weights"] == b["weights"] == result(two / "uneven")["weights"]


def test_a_signal_to_one_process_stops_all_and_resuming_gives_the_same_bits(
    two: Path, tmp_path: Path
) -> None:
    scenario = {**SCENARIOS["uneven"], "out": str(tmp_path)}
    child = launch(tmp_path, {"term": {**scenario, "fault": "term"}})
    assert child.end() != 0
    said = child.err.read_text()
    assert "rank 0: Stopped by" in said and "rank 1: Stopped by SIGTERM" in said
    assert "--resume" in said
    again = launch(tmp_path, {"again": {**scenario, "resume": True}})
    assert again.end() == 0, again.err.read_text()
    assert result(tmp_path)["weights"] == result(two / "uneven")["weights"]
    assert len(losses(tmp_path)) == len(losses(two / "uneven"))


@pytest.mark.parametrize("fault", ["kill", "memory"])
def test_when_one_process_is_gone_the_others_stop_and_name_it(fault: str, tmp_path: Path) -> None:
    child = launch(tmp_path, {fault: {"n": 103, "out": str(tmp_path), "fault": fault}})
    assert child.end(60) > 0  # it ended by itself
    said = child.err.read_text()
    line = next(line for line in said.splitlines() if line.startswith(f"{fault}: rank 0:"))
    assert "rank 1" in line
    if fault == "memory":
        assert "micro_batch_size" in line
    assert (tmp_path / "state.pt").is_file()
