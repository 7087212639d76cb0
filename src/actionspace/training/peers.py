"""What each process of a training says about itself, and what follows from it for the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What a process says about itself.

    Attributes:
        rank, host, pid: who it is.
        beat: counts its signs of life.
        step: optimiser steps it has done.
        moves: collectives it has entered; one whose count is behind is being waited for.
        left: it has done all its collectives.
        heard: it knows how the training ended and needs the store no more.
    """

    rank: int
    host: str
    pid: int
    beat: int = 0
    step: int = 0
    moves: int = 0
    left: bool = False
    heard: bool = False

    @property
    def who(self) -> str:
        """What messages call it."""
        return f"rank {self.rank} (pid {self.pid} on {self.host}, after step {self.step})"


@dataclass
class Peer:
    """A process as seen from here.

    Attributes:
        said: what it said last.
        silent: seconds without a sign of life.
        still: seconds without a collective.
    """

    said: Said
    silent: float = 0.0
    still: float = 0.0

    def hear(self, said: Said, seconds: float) -> None:
        """Take note of what it says now, ``seconds`` after the last time."""
        self.silent = 0.0 if said.beat != self.said.beat else self.silent + seconds
        self.still = 0.0 if said.moves != self.said.moves else self.still + seconds
        self.said = said


def suspicion(peers: Sequence[Peer], *, silence: float, patience: float) -> str:
    """Return the reason to stop that follows from what is seen, ``""`` if there is none.

    Args:
        peers: all processes.
        silence: seconds without a sign of life after which one is gone.
        patience: seconds after which one that the others wait for is stuck.
    """
    here = [p for p in peers if not p.said.left]
    gone = [p for p in here if p.silent >= silence]
    if gone:
        return (
            f"No sign of life for {max(p.silent for p in gone):.0f} s from "
            f"{', '.join(p.said.who for p in gone)}: killed, out of memory, or the machine is "
            "down. Its own output or the kernel's log may say more."
        )
    front = max(p.said.moves for p in peers)
    alive = [p for p in here if p.silent <= silence / 2]  # of the rest one cannot say yet
    stuck = [p for p in alive if p.said.moves < front and p.still >= patience]
    if stuck:
        return (
            f"Stuck for {max(p.still for p in stuck):.0f} s while the other processes wait: "
            f"{', '.join(p.said.who for p in stuck)}. It is alive; its data may be slow or its "
            "device hang. Raise training.timeout if it needs longer."
        )
    return ""
