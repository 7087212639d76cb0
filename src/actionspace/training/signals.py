"""SIGTERM and Ctrl-C as a request that is met after the step at hand."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

WATCHED = (signal.SIGTERM, signal.SIGINT)


@dataclass
class StopRequest:
    """Which signal asked to stop, if any did."""

    signal: int | None = None

    @property
    def name(self) -> str:
        """Name of the signal, ``""`` if there was none."""
        return "" if self.signal is None else signal.Signals(self.signal).name

    @property
    def exit_code(self) -> int:
        """What a process stopped by the signal exits with: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGTERM)


@contextlib.contextmanager
def stop_requested() -> Iterator[StopRequest]:
    """Yield what says whether SIGTERM or SIGINT came; a second SIGINT interrupts at once.

    Only the main thread may handle signals; elsewhere nothing ever asks. The handlers that were
    there before are put back.
    """
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and asked.signal == signal.SIGINT:
            raise KeyboardInterrupt
        asked.signal = number

    before = {number: signal.signal(number, ask) for number in WATCHED}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
