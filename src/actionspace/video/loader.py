"""Clips of many files, decoded ahead by a few threads, in an order that never depends on them.

Each thread works on one file at a time, files in the order given; the consumer gets the clips of
the first file, then of the second, and so on, while later files are decoded into a bounded
buffer. Threads and not processes: libav releases Python's lock while it decodes, and frames need
no copy. A thread inside libav cannot be stopped, so limits are looked at between packets and
frames; if a single call does not return at all, the file is given up and its thread left behind.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from actionspace.errors import VideoError
from actionspace.video.audio import sound_clips
from actionspace.video.clips import Clip, ClipRequest, Policy, iter_clips
from actionspace.video.index import FrameIndex, frame_index
from actionspace.video.logmel import LogMel
from actionspace.video.reader import IO_TIMEOUT, Stopwatch
from actionspace.video.sweep import SweepStats
from actionspace.video.transform import FrameTransform

#: Seconds without a sign of life after which a file is given up: longer than libav's own timeout.
SILENCE = 2 * IO_TIMEOUT


@dataclass(frozen=True, eq=False)
class Job:
    """The clips wanted from one file.

    Attributes:
        key: anything; comes back with each clip.
        path: the file.
        requests: the clips, or a function that makes them from the frame index (it runs in a
            decode thread).
        transform: what happens to each frame before clips are cut; or a spectrogram, where clips
            are heard instead of seen.
    """

    key: Any
    path: Path
    requests: Sequence[ClipRequest] | Callable[[FrameIndex], Sequence[ClipRequest]]
    transform: FrameTransform | LogMel


@dataclass
class JobResult:
    """How a file ended; comes after its last clip.

    Attributes:
        key: the job's.
        path: the file.
        status: ``ok``; ``partial`` = damaged, some clips may be missing; ``skipped`` = do not use
            the clips that came before.
        reason: what was wrong, in words, "" if nothing.
        clips: number of clips given.
        dropped: keys of clips that were left out (``partial``).
        stats: what the sweep did.
        seconds: time spent decoding.
    """

    key: Any
    path: Path
    status: Literal["ok", "partial", "skipped"] = "ok"
    reason: str = ""
    clips: int = 0
    dropped: list[Any] = field(default_factory=list)
    stats: SweepStats = field(default_factory=SweepStats)
    seconds: float = 0.0


def decode_threads(jobs: int, cores: int | None = None) -> tuple[int, int]:
    """Return ``(workers, threads)``: files decoded at a time, and decoder threads for each.

    All cores are used; many files take one each, a single long file takes them all.
    """
    cores = cores or usable_cores()
    workers = max(1, min(jobs, cores, 32))
    return workers, max(1, min(cores // workers, 16))


def patience(path: Path, duration: float = 0.0) -> float:
    """Return the seconds that even a slow machine should not need for a file."""
    size = path.stat().st_size if path.is_file() else 0
    return max(120.0, 10 * duration, size / 5e6)


def usable_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # the cores this process may use; Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ClipLoader:
    """Iterates ``(job, clip or result)`` over many files; a context manager.

    Args:
        jobs: the files, in the order in which their clips are to come.
        policy: what to do with damaged files, see :func:`iter_clips`. ``raise`` raises when the
            file's turn comes; otherwise ``results`` names each with its reason.
        workers, threads: see :func:`decode_threads`, which chooses where they are None.
        prefetch: clips decoded ahead at most (beside one in the hand of each worker).
        time_limit: seconds of decoding per file; None = 2 minutes, more for long or big files:
            10 x the video's duration, or its size at 5 MB/s.

    Attributes:
        results: the files that are finished, in order.
        wait_seconds: how long the consumer waited for clips so far.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        policy: Policy = "raise",
        workers: int | None = None,
        threads: int | None = None,
        prefetch: int = 16,
        time_limit: float | None = None,
    ) -> None:
        chosen = decode_threads(len(jobs))
        self.jobs = jobs
        self.policy = policy
        self.workers = workers or chosen[0]
        self.threads = threads or chosen[1]
        self.time_limit = time_limit
        self.results: list[JobResult] = []
        self._buffer = _Buffer(prefetch)
        self._open: dict[int, tuple[Stopwatch, threading.Thread]] = {}
        self._pool: list[threading.Thread] = []
        self._next = iter(range(len(jobs)))
        self._lock = threading.Lock()
        self._began = self._ended = 0.0
        self.wait_seconds = 0.0

    def __enter__(self) -> ClipLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[Job, Clip | JobResult]]:
        """Yield every clip with its job, and after the last clip of each file its result.

        Raises:
            VideoError: a file is damaged and the policy is ``raise``.
        """
        self._began = time.monotonic()
        for _ in range(self.workers):
            self._start_worker()
        try:
            for turn, job in enumerate(self.jobs):
                item: Clip | JobResult | None = None
                while not isinstance(item, JobResult):
                    item = self._take(turn, job)
                    if isinstance(item, JobResult):
                        self.results.append(item)
                        self._open.pop(turn, None)
                    yield job, item
        finally:
            self._ended = time.monotonic()
            self.close()

    @property
    def wait_share(self) -> float:
        """Share of the time of the iteration (so far) that the consumer waited for clips."""
        elapsed = (self._ended or time.monotonic()) - self._began
        return self.wait_seconds / max(elapsed, 1e-9) if self._began else 0.0

    def skipped(self) -> list[JobResult]:
        """Return the files that are not ``ok`` so far, each with its reason."""
        return [result for result in self.results if result.status != "ok"]

    def close(self) -> None:
        """Stop the threads; files that are open are closed by them."""
        self._buffer.stop()
        for watch, _ in list(self._open.values()):
            watch.limit = 0.0  # ends the sweep at its next frame
        for thread in self._pool:
            thread.join(timeout=5)

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name="actionspace-decode", daemon=True)
        self._pool.append(thread)
        thread.start()

    def _take(self, turn: int, job: Job) -> Clip | JobResult:
        began = time.monotonic()
        try:
            while True:
                item = self._buffer.get(turn, timeout=1.0)
                if item is not None:
                    break
                if turn in self._open and self._open[turn][0].silent() > SILENCE:
                    item = self._give_up(turn, job)
                    break
        finally:
            self.wait_seconds += time.monotonic() - began
        if isinstance(item, BaseException):
            raise item
        return item

    def _give_up(self, turn: int, job: Job) -> JobResult | VideoError:
        watch, thread = self._open[turn]
        reason = (
            f"{job.path}: the decoder has not answered for {watch.silent():.0f} s. "
            f"Re-encode the file, or copy it to a local disk."
        )
        self._buffer.close_turn(turn)
        self._pool.remove(thread)  # it cannot be stopped; another takes its place
        self._start_worker()
        if self.policy == "raise":
            return VideoError(reason)
        return JobResult(job.key, job.path, "skipped", reason, seconds=watch.seconds())

    def _work(self) -> None:
        while True:
            with self._lock:
                turn = next(self._next, None)
            if turn is None:
                return
            try:
                end: JobResult | BaseException = self._decode(turn, self.jobs[turn])
            except _Stopped:
                return
            except BaseException as e:
                end = e
            try:
                self._buffer.put(turn, end, force=True)
            except _Stopped:
                return

    def _decode(self, turn: int, job: Job) -> JobResult:
        watch = Stopwatch(job.path)
        self._open[turn] = watch, threading.current_thread()
        result = JobResult(job.key, job.path)
        try:
            watch.limit = self.time_limit or patience(job.path)
            index = frame_index(job.path, watch=watch)
            watch.limit = self.time_limit or patience(job.path, index.duration)
            requests = job.requests(index) if callable(job.requests) else job.requests
            for clip in self._clips(job, requests, index, watch, result.stats):
                self._buffer.put(turn, clip)
                result.clips += 1
        except VideoError as e:
            if self.policy == "raise":
                raise
            result.status, result.reason = "skipped", str(e)
        else:
            if result.stats.damage:
                result.status, result.reason = "partial", result.stats.damage
        result.dropped = result.stats.dropped
        result.seconds = watch.seconds()
        return result

    def _clips(
        self,
        job: Job,
        requests: Sequence[ClipRequest],
        index: FrameIndex,
        watch: Stopwatch,
        stats: SweepStats,
    ) -> Iterator[Clip]:
        policy: Policy = "partial" if self.policy == "partial" else "raise"
        path, how = job.path, job.transform
        if isinstance(how, LogMel):
            return sound_clips(
                path, requests, how, index=index, policy=policy, watch=watch, stats=stats
            )
        return iter_clips(
            path,
            requests,
            how,
            index=index,
            policy=policy,
            threads=self.threads,
            watch=watch,
            stats=stats,
        )


class _Stopped(Exception):
    """The consumer has gone."""


class _Buffer:
    """A bounded buffer of items by turn; the turn being consumed can always move on."""

    def __init__(self, capacity: int) -> None:
        self.capacity = max(1, capacity)
        self.turn = 0
        self.held = 0
        self.stopped = False
        self.closed: set[int] = set()
        self.items: defaultdict[int, deque[Any]] = defaultdict(deque)
        self.changed = threading.Condition()

    def put(self, turn: int, item: Any, *, force: bool = False) -> None:
        """Add an item, waiting for room unless ``force``; the current turn may hold one more."""

        def may() -> bool:
            room = self.held < self.capacity or (turn == self.turn and not self.items[turn])
            return self.stopped or turn in self.closed or force or room

        with self.changed:
            self.changed.wait_for(may)
            if self.stopped or turn in self.closed:
                raise _Stopped
            self.items[turn].append(item)
            self.held += 1
            self.changed.notify_all()

    def get(self, turn: int, timeout: float) -> Any | None:
        """Return the turn's next item, None if there is none within ``timeout`` seconds."""
        with self.changed:
            if self.turn != turn:
                self.turn = turn
                self.changed.notify_all()
            if not self.changed.wait_for(lambda: bool(self.items[turn]), timeout):
                return None
            self.held -= 1
            self.changed.notify_all()
            return self.items[turn].popleft()

    def close_turn(self, turn: int) -> None:
        """Take no more items of this turn."""
        with self.changed:
            self.closed.add(turn)
            self.changed.notify_all()

    def stop(self) -> None:
        """Free everybody who waits, and the items."""
        with self.changed:
            self.stopped = True
            self.items.clear()
            self.changed.notify_all()
