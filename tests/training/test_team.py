"""Processes agree, and none waits for one that is gone."""

from __future__ import annotations

import json
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from actionspace.errors import DataError
from actionspace.training.peers import Peer, Said, suspicion
from actionspace.training.team import Team, Word
from tests.processes import Child, start
from tests.training.team_worker import work

WORLDS = {"agree": 3, "torn": 3, "stuck": 3, "killed": 3, "blocked": 2}


def launch(folder: Path, name: str) -> list[Child]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(WORLDS[name])}
    return [
        start(folder / f"{name}{rank}", work, folder, name, **place, RANK=str(rank))
        for rank in range(WORLDS[name])
    ]


@dataclass(frozen=True)
class Ended:
    """What became of every scenario: they mostly wait, so all of them at the same time."""

    folder: Path
    children: dict[str, list[Child]]
    codes: dict[str, list[int]]

    def pid(self, name: str, rank: int) -> int | None:
        return self.children[name][rank].process.pid

    def found(self, name: str, rank: int) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"{name}{rank}.json").read_text()))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("teams")
    children = {name: launch(folder, name) for name in WORLDS}
    codes = {name: [child.end() for child in some] for name, some in children.items()}
    for name in ("agree", "torn", "stuck"):
        assert set(codes[name]) == {0}, [child.err.read_text() for child in children[name]]
    return Ended(folder, children, codes)


@pytest.mark.slow
def test_all_know_in_the_same_step_that_one_was_asked_to_stop(ended: Ended) -> None:
    for rank in range(3):
        assert ended.found("agree", rank)["words"] == [
            [step == 3, 3 * step + 3] for step in range(5)
        ]


@pytest.mark.slow
def test_values_of_all_processes(ended: Ended) -> None:
    for rank in range(3):
        here = ended.found("agree", rank)
        assert here["gathered"] == [{"rank": r} for r in range(3)]
        assert here["sum"] == [3.0, 3.0]
        assert here["mine"] == [1.0, rank]  # what was summed is left as it was
        assert here["shared"] == [0.0, 0.0]


@pytest.mark.slow
def test_leaving_in_good_order_is_quick_and_accuses_nobody(ended: Ended) -> None:
    assert max(ended.found("agree", rank)["leaving"] for rank in range(3)) < 2.5


@pytest.mark.slow
def test_the_others_stop_with_the_message_of_the_one_that_failed(ended: Ended) -> None:
    pid = ended.pid("torn", 1)
    for rank in (0, 2):
        here = ended.found("torn", rank)
        assert here["kind"] == "RunError"
        assert f"rank 1 (pid {pid} on " in here["message"]
        assert "after step 7) stopped: clip7.mp4 is torn" in here["message"]
        assert here["seconds"] < 5


@pytest.mark.slow
def test_a_process_that_lives_but_does_not_come_on_is_named(ended: Ended) -> None:
    for rank in range(3):  # the one that was stuck learns it too
        here = ended.found("stuck", rank)
        assert "Stuck for" in here["message"], here
        assert "rank 2 (pid" in here["message"]
        assert "after step 3" in here["message"]
        assert "rank 0" not in here["message"] and "rank 1" not in here["message"]
    assert ended.found("stuck", 0)["after"] < 9  # before the sleeper woke up


@pytest.mark.slow
def test_a_killed_process_is_named_by_all_others(ended: Ended) -> None:
    assert ended.codes["killed"] == [0, -signal.SIGKILL, 0]
    pid = ended.pid("killed", 1)
    for rank in (0, 2):
        here = ended.found("killed", rank)
        assert here["kind"] == "RunError"
        assert "No sign of life" in here["message"]
        assert f"rank 1 (pid {pid} on " in here["message"]
        assert "after step 5" in here["message"]
        assert here["seconds"] < 15


@pytest.mark.slow
def test_a_process_that_cannot_come_out_of_a_collective_is_ended(ended: Ended) -> None:
    assert ended.codes["blocked"] == [-signal.SIGKILL, 1]
    last = ended.children["blocked"][1].err.read_text().splitlines()[-1]
    pid = ended.pid("blocked", 0)
    assert last.startswith(f"error: rank 0 (pid {pid} ") and "after step 4" in last, last


def test_alone_everything_is_a_no_op() -> None:
    team = Team.join(timeout=1)
    assert (team.rank, team.world, team.is_main) == (0, 1, True)
    assert team.tell(stop=True, missing=3).wait() == Word(True, 3)
    assert team.gather("a") == ["a"]
    assert team.sum(torch.ones(2)).tolist() == [1.0, 1.0]
    error = RuntimeError("gloo: connection closed by peer")
    assert team.explain(error) is error
    team.share([torch.ones(1)])
    team.beat(1)
    team.wait()
    team.fail(DataError("x"))
    team.leave()


# ---- what follows from what is seen -------------------------------------------------------------


def peer(
    rank: int, *, silent: float = 0, still: float = 0, moves: int = 9, left: bool = False
) -> Peer:
    return Peer(Said(rank, "host", 100 + rank, step=8, moves=moves, left=left), silent, still)


def judge(*peers: Peer) -> str:
    return suspicion(peers, silence=4, patience=60)


def test_nobody_is_accused_while_all_live_and_come_on() -> None:
    assert judge(peer(0), peer(1, silent=3.9, still=59, moves=8)) == ""


def test_all_wait_long_but_nobody_is_behind() -> None:
    assert judge(peer(0, still=500), peer(1, still=500)) == ""


def test_all_that_are_silent_are_named_and_nobody_else() -> None:
    said = judge(peer(0), peer(1, silent=5), peer(2, silent=4, still=90, moves=1))
    assert "rank 1 (pid 101 on host, after step 8), rank 2 (pid 102" in said
    assert "rank 0" not in said


def test_whoever_is_behind_for_too_long_is_stuck() -> None:
    said = judge(peer(0, still=90), peer(1, still=61, moves=8))
    assert "Stuck for 61 s" in said and "rank 1" in said and "rank 0" not in said


def test_of_one_that_has_just_fallen_silent_nothing_can_be_said_yet() -> None:
    assert judge(peer(0), peer(1, silent=3, still=90, moves=8)) == ""


def test_who_has_left_may_be_silent() -> None:
    assert judge(peer(0), peer(1, silent=99, still=99, moves=1, left=True)) == ""


def test_a_beat_ends_silence_and_a_collective_ends_standing_still() -> None:
    one = peer(0, silent=3, still=3)
    one.hear(Said(0, "host", 100, beat=1, moves=9), 1.0)
    assert (one.silent, one.still) == (0.0, 4.0)
    one.hear(Said(0, "host", 100, beat=1, moves=10), 1.0)
    assert (one.silent, one.still) == (1.0, 0.0)
