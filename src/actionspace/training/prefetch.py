"""Passes put together ahead of their use by a few threads, in an order that never depends on them.

A thread takes one sample at a time, in the order of the passes; the one that brings the last
sample of a pass combines it. Threads and not processes: decoding releases Python's lock, and
samples need no copy. How far the threads run ahead is limited in samples. A thread cannot be
stopped from outside: a load that does not return is given up, and its thread left behind.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from actionspace.training.plan import Pass


@dataclass(frozen=True)
class Another:
    """What ``combine`` returns to have one more sample loaded into the pass before it is asked."""

    index: int


@dataclass(frozen=True)
class Failed:
    """An error on its way to the consumer."""

    error: BaseException


@dataclass(eq=False)
class _Work:
    """A pass being put together: the samples found so far by slot, and how many are to come."""

    wanted: Pass
    open: int
    found: dict[int, tuple[int, Any]] = field(default_factory=dict)
    result: Any = None
    done: bool = False


@dataclass(eq=False)
class _Load:
    """A sample being loaded."""

    work: _Work
    slot: int
    index: int
    thread: threading.Thread | None = None
    since: float = 0.0


class Prefetch:
    """What ``combine`` makes of each pass, in order; iterate once, :meth:`close` in the end.

    Args:
        passes: what to put together.
        load: returns the sample of an index. What it raises reaches the consumer at the pass's
            turn.
        combine: makes the result of a pass from ``(index, sample)`` pairs in the pass's order, or
            asks for :class:`Another`, which is added behind them.
        give_up: returns what stands for a sample that has not come for so many seconds.
        begin: called once by each thread.
        workers: number of threads; 0 = the consumer does everything when it is needed.
        time_limit: seconds after which a single load is given up (never without threads).
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        *,
        load: Callable[[int], Any],
        combine: Callable[[Pass, Sequence[tuple[int, Any]]], Any],
        give_up: Callable[[int, float], Any],
        begin: Callable[[], None],
        workers: int,
        time_limit: float,
    ) -> None:
        self._load, self._combine, self._give_up, self._begin = load, combine, give_up, begin
        self._works = deque(_Work(one, len(one.indices)) for one in passes)
        self._loads = _each_sample(list(self._works))
        self._total = sum(work.open for work in self._works)
        self._ahead = 2 * max((work.open for work in self._works), default=0) + workers
        self._limit = time_limit
        self._begun = self._taken = 0
        self._urgent: deque[_Load] = deque()
        self._busy: set[_Load] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []
        for _ in range(min(workers, self._total)):
            self._start_thread()

    def __iter__(self) -> Iterator[Any]:
        while self._works:
            work = self._works[0]
            if self._threads:
                self._wait(work)
            while not work.done:
                load = self._pick()
                assert load is not None
                self._deliver(load, self._attempt(load))
            self._works.popleft()
            with self._changed:
                self._taken += len(work.wanted.indices)
                self._changed.notify_all()
            result, work.result = work.result, None
            if isinstance(result, Failed):
                raise result.error
            yield result

    def close(self) -> None:
        """Stop the threads; each still ends the load it is at."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        end = time.monotonic() + 5
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    # ---- the consumer ----------------------------------------------------------------------

    def _wait(self, work: _Work) -> None:
        """Wait for a pass, giving up loads that do not return."""
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: work.done, min(1.0, self._limit / 4)):
                    return
                late = time.monotonic() - self._limit
                silent = [load for load in self._busy if load.since < late]
            for load in silent:
                self._abandon(load)

    def _abandon(self, load: _Load) -> None:
        seconds = time.monotonic() - load.since
        instead = _outcome(lambda: self._give_up(load.index, seconds))
        if self._deliver(load, instead) and load.thread is not None:
            self._threads.remove(load.thread)  # it cannot be stopped; another takes its place
            self._start_thread()

    # ---- the threads -----------------------------------------------------------------------

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name="actionspace-sample", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        begun = _outcome(self._begin)
        while True:
            with self._changed:
                while (load := self._pick()) is None:
                    if self._stopped:
                        return
                    self._changed.wait()
            sample = begun if isinstance(begun, Failed) else self._attempt(load)
            if not self._deliver(load, sample):
                return  # given up: another thread has taken this one's place

    def _pick(self) -> _Load | None:
        """Return the next load that may begin, with the lock held."""
        if self._stopped:
            return None
        if self._urgent:
            load = self._urgent.popleft()
        elif self._begun < min(self._total, self._taken + self._ahead):
            self._begun += 1
            load = next(self._loads)
        else:
            return None
        load.thread, load.since = threading.current_thread(), time.monotonic()
        self._busy.add(load)
        return load

    def _attempt(self, load: _Load) -> Any:
        return _outcome(lambda: self._load(load.index))

    def _deliver(self, load: _Load, sample: Any) -> bool:
        """Put a sample in its place; return False if it has been given up meanwhile."""
        work = load.work
        with self._changed:
            if load not in self._busy:
                return False
            self._busy.remove(load)
            work.found[load.slot] = load.index, sample
            work.open -= 1
            if work.open:
                return True
        result = self._put_together(work)
        with self._changed:
            if isinstance(result, Another):
                work.open = 1
                self._urgent.append(_Load(work, len(work.found), result.index))
            else:
                work.found.clear()
                work.result, work.done = result, True
            self._changed.notify_all()
        return True

    def _put_together(self, work: _Work) -> Any:
        found = [work.found[slot] for slot in sorted(work.found)]
        for _, sample in found:
            if isinstance(sample, Failed):
                return sample
        return _outcome(lambda: self._combine(work.wanted, found))


def _each_sample(works: Sequence[_Work]) -> Iterator[_Load]:
    for work in works:
        for slot, index in enumerate(work.wanted.indices.tolist()):
            yield _Load(work, slot, index)


def _outcome(do: Callable[[], Any]) -> Any:
    """Return what a call returns, or its error."""
    try:
        return do()
    except KeyboardInterrupt:  # without threads the consumer is interrupted here
        raise
    except BaseException as e:
        return Failed(e)
