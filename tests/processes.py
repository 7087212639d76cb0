"""Processes for tests that need several, forked from one that has imported what they need.

Python and what a training imports take four seconds to start, and these tests start four dozen
processes. Only the start is cheaper here: torchrun's agent, its rendezvous, gloo and the signals
are the real ones. That ``torchrun -m actionspace`` works as it is written is for tests/cli.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "__main__",
        "accelerate",
        "torch._dynamo",  # any optimizer imports it
        "torch.distributed.run",
        "actionspace.cli",
        "actionspace.recognition.fit",
        "actionspace.training.loop",
        "actionspace.training.team",
    ]
)


@dataclass(frozen=True)
class Child:
    """A process, and the files it writes its output to."""

    process: ForkServerProcess
    out: Path
    err: Path

    def end(self, seconds: float = 90) -> int:
        """Wait for its exit code, negative for a signal; kill it if it does not end in time."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode


def start(folder: Path, entry: Callable[..., Any], *args: Any, **environment: str) -> Child:
    """Call ``entry(*args)``, a function of a module, in a new process."""
    folder.mkdir(parents=True, exist_ok=True)
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    process = CONTEXT.Process(target=_run, args=(out, err, variables, entry, args))
    process.start()
    return Child(process, out, err)


# What ``--standalone`` stands for.
ONE_NODE = ("--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0")


def torchrun(
    folder: Path, words: Sequence[str], entry: Callable[..., Any], *args: Any, **environment: str
) -> Child:
    """Start ``torchrun WORDS`` whose workers call ``entry(*args)``."""
    return start(folder, _agent, words, entry, args, **environment)


def _run(
    out: Path, err: Path, variables: Mapping[str, str], entry: Callable[..., Any], args: Any
) -> None:
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        with path.open("w") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(variables)
    torch.set_num_threads(1)
    entry(*args)


def _agent(words: Sequence[str], entry: Callable[..., Any], args: Any) -> None:
    from torch.distributed.launcher import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    config, _, _ = config_from_args(parse_args([*words, "--start-method=fork", "unused.py"]))
    elastic_launch(config, entrypoint=entry)(*args)
