"""The progress line of a training: epoch, loss, speed, time spent waiting for data, time left."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from actionspace.progress import bar
from actionspace.training.averages import TOTAL

LAYOUT = "{desc}  {percentage:3.0f}%|{bar}|"
WINDOW = 20.0  # seconds that the shown speed looks back on


class _Mark(NamedTuple):
    """How far the training was at one moment; all counts are of this session."""

    seconds: float
    steps: int
    samples: int
    waited: float


class Line:
    """Shows how a training goes.

    Time spent in :meth:`paused` (evaluation, saving) is no part of the speed, but of the time left.
    """

    def __init__(self, total: int, *, initial: int = 0, epochs: int, show: bool = True) -> None:
        """Begin at step ``initial`` of ``total``; without ``show`` nothing is drawn."""
        self._total, self._initial, self._epochs = total, initial, epochs
        self._per_epoch = max(total // epochs, 1)
        drawn = bar(total=total, unit="step", initial=initial, layout=LAYOUT) if show else None
        # Switched off by TQDM_DISABLE, a bar lacks half of its attributes.
        self._bar = None if drawn is None or drawn.disable else drawn
        self._interval = self._bar.mininterval if self._bar is not None else float("inf")
        self._loss: float | None = None
        self._began = time.perf_counter()
        self._paused = 0.0
        self._steps = self._samples = 0
        self._waited = 0.0
        self._redraw_at = self._began
        self._read = start = _Mark(0.0, 0, 0, 0.0)
        self._marks = deque([start])

    def step(self, samples: int, waited: float) -> None:
        """Count one optimiser step; cheap, the line is redrawn now and then only.

        Args:
            samples: samples of the step over all processes.
            waited: seconds this process has waited for training data, over the whole session.
        """
        self._steps += 1
        self._samples += samples
        self._waited = waited
        if time.perf_counter() >= self._redraw_at:
            self._redraw()

    def show(self, losses: Mapping[str, float]) -> None:
        """Take the loss that is shown from now on (``losses["loss"]``, a mean over steps)."""
        self._loss = losses.get(TOTAL, self._loss)

    def speeds(self) -> dict[str, float]:
        """Return ``samples_per_second`` and ``data_wait`` (a share) since they were last asked.

        Empty where no time has passed.
        """
        now = self._now()
        before, self._read = self._read, now
        return _speeds(before, now)

    @contextlib.contextmanager
    def paused(self, what: str = "") -> Iterator[None]:
        """Stop the clock of the speed while something else is done; a terminal is told ``what``."""
        began = time.perf_counter()
        if what and self._bar is not None and sys.stderr.isatty():
            self._draw(f"{self._where()}  {what}")
            self._redraw_at = began
        try:
            yield
        finally:
            self._paused += time.perf_counter() - began

    def close(self) -> None:
        """Draw the line as it is at the end, and end it."""
        if self._bar is not None:
            self._redraw()
            self._bar.close()

    def _now(self) -> _Mark:
        seconds = time.perf_counter() - self._began - self._paused
        return _Mark(seconds, self._steps, self._samples, self._waited)

    def _redraw(self) -> None:
        self._redraw_at = time.perf_counter() + self._interval
        if self._bar is None:
            return
        now = self._now()
        while len(self._marks) > 1 and now.seconds - self._marks[1].seconds > WINDOW:
            self._marks.popleft()
        self._draw(_text(self._where(), self._loss, self._marks[0], now, self._left(now)))
        self._marks.append(now)

    def _draw(self, text: str) -> None:
        assert self._bar is not None
        self._bar.set_description_str(text, refresh=False)
        self._bar.n = self._initial + self._steps
        self._bar.refresh()

    def _where(self) -> str:
        epoch = min((self._initial + self._steps) // self._per_epoch + 1, self._epochs)
        return f"epoch {epoch}/{self._epochs}"

    def _left(self, now: _Mark) -> float | None:
        """Return the seconds that are left: steps as fast as of late, pauses as often as so far."""
        if not self._steps:
            return None
        then = self._marks[0]
        pace = (now.seconds - then.seconds) / max(now.steps - then.steps, 1)
        pauses = self._paused / max(self._steps, self._per_epoch)  # as a rule one per epoch
        return (pace + pauses) * (self._total - self._initial - self._steps)


def _speeds(before: _Mark, now: _Mark) -> dict[str, float]:
    seconds = now.seconds - before.seconds
    if seconds <= 0:
        return {}
    return {
        "samples_per_second": (now.samples - before.samples) / seconds,
        "data_wait": min((now.waited - before.waited) / seconds, 1.0),
    }


def _text(where: str, loss: float | None, before: _Mark, now: _Mark, left: float | None) -> str:
    parts = [where]
    if loss is not None:
        parts.append(f"loss {loss:.4g}")
    speeds = _speeds(before, now)
    if speeds and now.steps > before.steps:
        rate = speeds["samples_per_second"]
        parts.append(f"{rate:.3g} samples/s" if rate < 100 else f"{rate:.0f} samples/s")
        parts.append(f"data {100 * speeds['data_wait']:.0f} %")
    if left is not None:
        parts.append(f"ETA {_clock(left)}")
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
