"""A watch over the processes of one training: who lives, how far each is, who ended it and why.

Each process has a thread that writes what it is doing into the store that the processes met at, and
reads what the others wrote, once a second. The first reason to stop that anybody writes there is
the *verdict*, and all stop with it. Only the thread touches the store, so that a store that hangs
never blocks the training: a broken collective is explained from what the thread saw last.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, Protocol

from actionspace.training.peers import Peer, Said, suspicion

BEAT = 1.0  # seconds between two signs of life
HASTE = 0.05  # the same once the training is ending
SILENCE = 30.0  # seconds without a sign of life after which a process counts as gone ...
SILENCE_BROKEN = 4.0  # ... and after which it does if a collective broke as well
GRACE = 10.0  # seconds the training has to come out of a collective nobody will ever answer
LINGER = 5.0  # seconds to wait for the others to hear of the end


class Store(Protocol):
    """What is used of :class:`torch.distributed.Store`."""

    def set(self, key: str, value: str, /) -> None:
        """Write."""

    def multi_get(self, keys: list[str], /) -> list[bytes]:
        """Read several keys, which exist."""

    def compare_set(self, key: str, expected: str, desired: str, /) -> bytes:
        """Write if the value is as expected; return the value that is there afterwards."""


class Watch:
    """The thread, and what the training (the main thread) may ask of it."""

    def __init__(self, store: Store, name: str, said: Said, world: int, *, patience: float) -> None:
        """Write the first sign of life.

        Args:
            store: shared by the processes; from now on only the thread's.
            name: of this training, the same in all processes and never used before.
            said: who this process is.
            world: number of processes.
            patience: seconds after which a process that the others wait for is stuck.
        """
        self.verdict = ""
        self._store, self._said = store, said
        self._keys = [f"{name}/{rank}" for rank in range(world)]
        self._verdict_key = f"{name}/verdict"
        self._peers: list[Peer] = []
        self._silence, self._patience = SILENCE, patience
        self._charge = ""
        self._news = threading.Condition()  # guards all fields; notified after each look
        self._wake = threading.Event()
        self._looked = time.monotonic()
        self._ending = self._lost = self._over = False
        self._thread = threading.Thread(target=self._run, name="actionspace-watch", daemon=True)
        store.set(self._keys[said.rank], json.dumps(asdict(said)))
        store.compare_set(self._verdict_key, "", "")

    @property
    def who(self) -> str:
        """What messages call this process."""
        return self._said.who

    def start(self) -> None:
        """Start the thread, once all processes have made their watch."""
        self._thread.start()

    def note(self, **changes: Any) -> None:
        """Change what this process says about itself at its next sign of life."""
        with self._news:
            self._said = replace(self._said, **changes)

    def move(self) -> None:
        """Note that a collective is entered."""
        self.note(moves=self._said.moves + 1)

    def charge(self, reason: str) -> str:
        """Give the reason why all must stop; return the one that counts, which is the first."""
        with self._news:
            self._charge = reason
        self._await(lambda: bool(self.verdict), LINGER)
        return self.verdict or reason

    def inquire(self, error: BaseException) -> str:
        """Return why a collective broke, as soon as it shows."""
        with self._news:
            self._silence = SILENCE_BROKEN
        if self._await(lambda: bool(self.verdict), SILENCE_BROKEN + 2 * BEAT):
            return self.verdict
        with self._news:
            self._patience /= 2  # nobody is gone: then whoever is far behind made others time out
        if self._await(lambda: bool(self.verdict), 2 * BEAT):
            return self.verdict
        if time.monotonic() - self._looked > SILENCE_BROKEN:
            return self._unreachable()
        return self.charge(
            "The connection between the processes broke, though all of them answer. "
            f"{self.who} saw: {error}"
        )

    def leave(self) -> str:
        """Wait until all processes are done; return the verdict if one cannot be."""
        self.note(left=True, moves=self._said.moves + 1)
        self._await(lambda: bool(self.verdict) or self._all_left(), None)
        return self.verdict

    def end(self) -> None:
        """End the thread when the others know how the training ended, or cannot be told."""
        self._await(self._all_know, LINGER)
        self._over = True
        self._wake.set()
        self._thread.join(LINGER)

    def _await(self, what: Callable[[], bool], seconds: float | None) -> bool:
        """Wait for something to show, looking often; from now on the main thread reacts."""
        with self._news:
            self._ending = True
            self._wake.set()
            self._news.wait_for(lambda: what() or self._lost, seconds)
            return what()

    def _run(self) -> None:
        """Look once a second; end the process if the training does not react to a verdict."""
        deadline = 0.0
        while not self._over:
            if not self._lost:
                try:
                    self._look()
                except RuntimeError:  # DistNetworkError and its kin
                    self._lose()
            if self.verdict and not self._ending:
                deadline = deadline or time.monotonic() + GRACE
                if time.monotonic() >= deadline:
                    print(f"error: {self.verdict}", file=sys.stderr, flush=True)
                    os._exit(1)  # the main thread may be inside a collective for good
            self._wake.wait(HASTE if self._ending or self.verdict else BEAT)
            self._wake.clear()

    def _look(self) -> None:
        with self._news:
            heard = bool(self.verdict) or self._all_left()
            self._said = replace(self._said, beat=self._said.beat + 1, heard=heard)
            mine = json.dumps(asdict(self._said))
        self._store.set(self._keys[self._said.rank], mine)
        *found, text = self._store.multi_get([*self._keys, self._verdict_key])
        reason = self._hear([Said(**json.loads(one)) for one in found])
        if reason and not text:
            text = self._store.compare_set(self._verdict_key, "", reason)
        with self._news:
            self.verdict = text.decode()
            self._news.notify_all()

    def _hear(self, said: list[Said]) -> str:
        """Take note of what all say; return the reason to stop, ``""`` if there is none."""
        with self._news:
            # If this process was held up, so were others perhaps: no more than two beats count.
            now = time.monotonic()
            passed, self._looked = min(now - self._looked, 2 * BEAT), now
            self._peers = self._peers or [Peer(one) for one in said]
            for peer, one in zip(self._peers, said, strict=True):
                peer.hear(one, passed)
            return self._charge or suspicion(
                self._peers, silence=self._silence, patience=self._patience
            )

    def _lose(self) -> None:
        """Go on without the store: whoever held it is gone, perhaps because all is done."""
        with self._news:
            self._lost = True
            if not self._all_left():
                self.verdict = self.verdict or self._unreachable()
            self._news.notify_all()

    def _unreachable(self) -> str:
        first = self._peers[0].said.who if self._peers else "rank 0"
        return f"{first}, or the launcher that the processes met at, is gone: it does not answer."

    def _all_left(self) -> bool:
        return bool(self._peers) and all(p.said.left for p in self._peers)

    def _all_know(self) -> bool:
        return all(p.said.heard or p.silent >= SILENCE_BROKEN for p in self._peers)
