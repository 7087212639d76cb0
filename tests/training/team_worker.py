"""What the processes of tests/training/test_team.py run."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from actionspace.errors import DataError
from actionspace.training import watchdog
from actionspace.training.team import Team

STEPS = 300


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def agree(team: Team) -> dict[str, Any]:
    words = []
    for step in range(5):
        word = team.tell(stop=team.rank == 1 and step == 3, missing=step + team.rank).wait()
        words.append([word.stop, word.missing])
    mine = torch.tensor([1.0, team.rank])
    shared = torch.full((2,), float(team.rank))
    team.share([shared])
    found = {
        "words": words,
        "gathered": team.gather({"rank": team.rank}),
        "sum": team.sum(mine).tolist(),
        "mine": mine.tolist(),
        "shared": shared.tolist(),
    }
    began = time.perf_counter()
    for _ in range(STEPS):
        team.tell(stop=False, missing=0).wait()
    found["us_waiting"] = (time.perf_counter() - began) / STEPS * 1e6
    launch = 0.0
    for _ in range(STEPS):
        began = time.perf_counter()
        word = team.tell(stop=False, missing=0)
        launch += time.perf_counter() - began
        word.wait()
    found["us_launching"] = launch / STEPS * 1e6
    began = time.perf_counter()
    team.leave()
    return {**found, "leaving": time.perf_counter() - began}


def explained(team: Team, error: Exception) -> dict[str, Any]:
    began = time.monotonic()
    found = team.explain(error)
    return {
        "kind": type(found).__name__,
        "message": str(found),
        "saw": str(error),
        "seconds": time.monotonic() - began,
    }


def torn(team: Team) -> dict[str, Any]:
    """Rank 1 cannot read a clip."""
    team.beat(7)
    if team.rank == 1:
        team.explain(DataError("clip7.mp4 is torn"))  # its own: the others are told
        return {}
    time.sleep(0.1 * team.rank)
    return explained(team, RuntimeError("gloo: connection closed by peer"))


def stuck(team: Team) -> dict[str, Any]:
    """Rank 2 does not come on for longer than the time limit."""
    team.beat(3)
    began = time.monotonic()
    time.sleep(9 if team.rank == 2 else 0)
    try:
        team.wait()
    except RuntimeError as e:
        return {**explained(team, e), "after": time.monotonic() - began}
    return {}


def killed(team: Team) -> dict[str, Any]:
    """Rank 1 vanishes between two steps."""
    try:
        for step in range(1000):
            if team.rank == 1 and step == 5:
                time.sleep(2.5)  # until the others have seen how far it is
                kill()
            team.tell(stop=False, missing=0).wait()
            team.beat(step + 1)
    except RuntimeError as e:
        return explained(team, e)
    return {}


def blocked(team: Team) -> dict[str, Any]:
    """Rank 0, which holds the store, vanishes; rank 1 is in something that never returns."""
    watchdog.GRACE = 1.0
    team.beat(4)
    time.sleep(2.5)
    if team.rank == 0:
        kill()
    time.sleep(60)
    return {}


def work(folder: Path, name: str) -> None:
    """Play one of the scenarios above; leave what was found in ``folder``."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    team = Team.join(timeout=4.0 if name == "stuck" else 60.0)
    found = globals()[name](team)
    (folder / f"{name}{team.rank}.json").write_text(json.dumps(found))
    os._exit(0)  # the group is broken on purpose; taking it down in order would say so
