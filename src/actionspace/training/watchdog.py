"""Signs of life between the processes of a training.

Each process writes a beat (its host, process id and last step) to a store that process 0 hosts,
and reads those of the others. A process that fails leaves its reason there. So when a collective
breaks,
or never comes back, one can say who is gone and why.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist

INTERVAL = 0.5  # seconds between two beats
SILENT = 4.0  # without a beat for so long, a process may be gone: enough once a collective broke
LOST = 60.0  # without a beat for so long it is, whatever its peers are doing
GRACE = 15.0  # seconds that the main thread has to come out of a collective by itself
FAILED = "failed"


@dataclass
class Peer:
    """What is known of another process."""

    rank: int
    host: str = "?"
    pid: int = 0
    step: int = 0
    beat: str = ""
    heard: float = 0.0  # monotonic time of its last new beat
    left: bool = False

    def __str__(self) -> str:
        return f"rank {self.rank} (host {self.host}, process {self.pid}, after step {self.step})"

    def silent(self) -> float:
        """Return the seconds since its last beat."""
        return 0.0 if self.left else time.monotonic() - self.heard


class Watchdog:
    """A thread that beats, listens, and ends the process if its main thread is stuck for good."""

    def __init__(self, rank: int, world: int, address: str, port: int) -> None:
        """Connect to the store; rank 0 makes it (``port`` 0 = any free one)."""
        self.rank = rank
        self.step = 0
        self._store = dist.TCPStore(  # type: ignore[attr-defined]
            address,
            port,
            world_size=None,
            is_master=rank == 0,
            timeout=timedelta(seconds=30),
            wait_for_workers=False,
        )
        self.port = self._store.port
        self._peers = [Peer(r, heard=time.monotonic()) for r in range(world)]
        self._lock = threading.Lock()
        self._count = 0
        self._leaving = threading.Event()
        self._store_gone = 0.0
        self._alarm = 0.0
        self._thread = threading.Thread(target=self._watch, name="actionspace-beat", daemon=True)
        self._beat()
        self._thread.start()

    def leave(self) -> None:
        """Stop; the others are told that this process has ended well."""
        self._leaving.set()
        self._thread.join(timeout=5)
        try:
            self._beat(left=True)
        except RuntimeError:
            return  # process 0 was quicker

    def fail(self, reason: str) -> None:
        """Leave the reason for which this process stops; the first one stays."""
        me = Peer(self.rank, socket.gethostname(), os.getpid(), self.step)
        try:
            with self._lock:
                self._store.compare_set(FAILED, "", json.dumps([self.rank, f"{me}: {reason}"]))
        except RuntimeError:
            return  # process 0 is gone itself

    def verdict(self, least_silence: float = SILENT) -> str | None:
        """Return who failed or is gone, in words, None if all seem well."""
        reason = self._reason()
        if reason is not None:
            return reason
        if self._store_gone:
            return f"{self._peers[0]} is gone: killed, crashed, or cut off from the network."
        gone = [p for p in self._peers if p.rank != self.rank and p.silent() > least_silence]
        if gone:
            names = " and ".join(map(str, gone))
            return f"{names} is gone: killed, crashed, or cut off from the network."
        return None

    def slowest(self) -> str | None:
        """Return the process that is behind the others, in words; None if all are as far."""
        steps = [self.step if p.rank == self.rank else p.step for p in self._peers]
        if min(steps) == max(steps):
            return None
        return str(self._peers[steps.index(min(steps))])

    # ---- the thread ------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._leaving.wait(INTERVAL):
            try:
                self._beat()
                self._listen()
            except RuntimeError:
                self._store_gone = self._store_gone or time.monotonic()
            self._guard()

    def _beat(self, left: bool = False) -> None:
        self._count += 1
        value = [self._count, socket.gethostname(), os.getpid(), self.step, left]
        with self._lock:
            self._store.set(f"beat{self.rank}", json.dumps(value))

    def _listen(self) -> None:
        for peer in self._peers:
            if peer.rank == self.rank:
                continue
            key = f"beat{peer.rank}"
            with self._lock:
                beat = self._store.get(key).decode() if self._store.check([key]) else ""
            if beat and beat != peer.beat:
                _, peer.host, peer.pid, peer.step, peer.left = json.loads(beat)
                peer.beat, peer.heard = beat, time.monotonic()

    def _reason(self) -> str | None:
        """Return why another process failed, if it said so."""
        try:
            with self._lock:
                if not self._store.check([FAILED]):
                    return None
                rank, reason = json.loads(self._store.get(FAILED))
        except RuntimeError:
            return None
        return f"{reason}" if rank != self.rank else None

    def _guard(self) -> None:
        """End this process if another has failed and the main thread cannot notice.

        A collective of NCCL whose peer is gone does not return; nothing else can be done.
        """
        verdict = self.verdict(LOST)
        if verdict is None or self._leaving.is_set():
            self._alarm = 0.0
            return
        self._alarm = self._alarm or time.monotonic()
        if time.monotonic() - self._alarm > GRACE:
            print(f"error: Another process stopped, so this one does: {verdict}", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
