"""Being asked to stop: SIGTERM or Ctrl-C is remembered, and answered between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether this process was asked to stop.

    Attributes:
        signal: number of the first signal that asked for it, None = nobody did.
    """

    signal: int | None = None

    @property
    def name(self) -> str:
        """Name of the signal, ``""`` if none came."""
        return signal.Signals(self.signal).name if self.signal is not None else ""

    @property
    def exit_code(self) -> int:
        """What to exit with: 130 after SIGINT, 143 after SIGTERM or without a signal of our own."""
        return 128 + (self.signal if self.signal is not None else signal.SIGTERM)


@contextlib.contextmanager
def stop_requested() -> Iterator[StopRequest]:
    """Yield what SIGTERM and SIGINT are noted in, and restore their handlers at the end.

    The first signal is only noted. A SIGINT after it raises :class:`KeyboardInterrupt`: whoever
    presses Ctrl-C twice does not want to wait. A second SIGTERM changes nothing: batch systems
    send one to the launcher, which passes it on, and one to each of its processes. In a thread that
    is not the main one signals cannot be caught; there nothing is ever noted.
    """
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if asked.signal is None:
            asked.signal = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            # None: it was not set from Python, and cannot be given back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
