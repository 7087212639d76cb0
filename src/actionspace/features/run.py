"""One extraction at work: clips come from the loader, go through the encoder, become files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from actionspace.errors import StoreError, VideoError
from actionspace.features.assembly import Assembly, Batch, Rows, committed_clips
from actionspace.features.grid import Grid, Source
from actionspace.features.ledger import Ledger
from actionspace.features.store import FeatureStore
from actionspace.features.summary import ExtractionSummary
from actionspace.progress import bar
from actionspace.video.clips import ClipRequest, Policy
from actionspace.video.index import FrameIndex
from actionspace.video.loader import ClipLoader, Job, JobResult, decode_threads
from actionspace.video.logmel import LogMel

if TYPE_CHECKING:
    from actionspace.features.forward import Forward


@dataclass
class Run:
    """The settings and the state of one extraction; :meth:`run` does it."""

    store: FeatureStore
    grid: Grid
    forward: Forward
    dtype: str
    batch_size: int
    pack: bool
    """Let clips of several videos share a batch: faster for short videos on a GPU, where results
    are not the same byte for byte anyway."""
    seed: int
    part_seconds: float
    policy: Policy
    sound: LogMel | None = None
    """The spectrogram, for an encoder that listens."""
    _laid_out: dict[str, Rows] = field(default_factory=dict)
    _queue: list[tuple[Assembly, Batch | JobResult]] = field(default_factory=list)
    _queued: int = 0
    _clips: int = 0

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.store)

    def run(
        self, videos: Sequence[Source], threads: int | None, time_limit: float | None, show: bool
    ) -> ExtractionSummary:
        """Extract what the store does not hold yet, and say what was done."""
        began, waited = time.monotonic(), 0.0
        try:
            jobs = self._plan(videos, show)
            began = time.monotonic()
            if jobs:
                waited = self._sweep(jobs, threads, time_limit, show)
        except BaseException:
            with contextlib.suppress(StoreError):  # the first error is the one to tell
                self._ledger.save()
            raise
        self._ledger.save()
        done = self._ledger
        return ExtractionSummary(
            videos=done.extracted,
            known=done.known,
            clips=self._clips,
            seconds=time.monotonic() - began,
            data_wait=waited,
            skipped=done.skipped,
            partial=done.partial,
        )

    def _plan(self, videos: Sequence[Source], show: bool) -> list[Job]:
        """Return a job for each content that the store lacks."""
        jobs = []
        for source, name in _named(videos, show):
            if isinstance(name, VideoError):
                if self.policy == "raise":
                    raise name
                self._ledger.skip([source.video], str(name))
            elif self._ledger.claim(name[0], source.video):
                jobs.append(self._job(source, *name))
        return jobs

    def _job(self, source: Source, key: str, content: str) -> Job:
        def requests(index: FrameIndex) -> list[ClipRequest]:
            rows, asked = self.grid.lay_out(source, key, content, index)
            self._laid_out[key] = rows
            return asked[committed_clips(self.store, key) :]

        transform = self.sound or self.grid.views.transform(source.crop)
        return Job(key, source.path, requests, transform)

    def _sweep(
        self, jobs: list[Job], threads: int | None, time_limit: float | None, show: bool
    ) -> float:
        """Encode all clips of all jobs; return the seconds spent waiting for them."""
        workers, per_file = decode_threads(len(jobs), threads)
        loader = ClipLoader(
            jobs,
            policy=self.policy,
            workers=workers,
            threads=per_file,
            prefetch=max(16, 2 * self.batch_size),
            time_limit=time_limit,
        )
        line = _Line(len(jobs), show)
        assembly: Assembly | None = None
        with loader, line:
            for job, item in loader:
                if assembly is None and job.key in self._laid_out:
                    assembly = self._open(job)
                    line.begin(assembly)
                if not isinstance(item, JobResult):
                    assert assembly is not None
                    for batch in assembly.add(item.key, item.frames):
                        self._push(assembly, batch, len(batch.positions))
                    line.step(loader.wait_share)
                elif assembly is None:
                    self._ledger.failed(job.key, item.reason)
                else:
                    for batch in assembly.rest():
                        self._push(assembly, batch, len(batch.positions))
                    self._push(assembly, item, 0)
                    assembly = None
            self._flush()
        return loader.wait_seconds

    def _open(self, job: Job) -> Assembly:
        name = self._ledger.names[job.key][0]
        rows = self._laid_out.pop(job.key)
        return Assembly(self.store, rows, name, self.batch_size, self.part_seconds)

    def _push(self, assembly: Assembly, item: Batch | JobResult, clips: int) -> None:
        if self._queued + clips > self.batch_size:
            self._flush()
        self._queue.append((assembly, item))
        self._queued += clips
        if not self.pack or self._queued >= self.batch_size:
            self._flush()

    def _flush(self) -> None:
        """Encode the queued batches as one, then commit them and finish videos in order."""
        batches = [(a, b) for a, b in self._queue if isinstance(b, Batch)]
        features = iter(self._encode(batches))
        for assembly, item in self._queue:
            if isinstance(item, Batch):
                assembly.commit(item, next(features), self.dtype)
                self._clips += len(item.positions)
            else:
                self._finish(assembly, item)
        self._queue, self._queued = [], 0

    def _encode(self, batches: list[tuple[Assembly, Batch]]) -> list[np.ndarray]:
        if not batches:
            return []
        assembly, first = batches[0]
        clips = np.stack([frames for _, batch in batches for frames in batch.frames])
        seed = np.random.SeedSequence([self.seed, int(assembly.rows.key, 16), first.first])
        found = self.forward(clips, int(seed.generate_state(1)[0]))
        ends = np.cumsum([len(batch.positions) for _, batch in batches])
        return list(np.split(found, ends[:-1]))

    def _finish(self, assembly: Assembly, result: JobResult) -> None:
        key = assembly.rows.key
        features = assembly.finish() if result.status != "skipped" else None
        if features is None:
            self._ledger.failed(key, result.reason or "not one clip could be decoded")
        else:
            self._ledger.finished(key, features, result.reason)


def _named(
    videos: Sequence[Source], show: bool
) -> Iterator[tuple[Source, tuple[str, str] | VideoError]]:
    """Yield each video with key and content hash; unchanged files are only looked at."""

    def name(source: Source) -> tuple[str, str] | VideoError:
        try:
            return source.key()
        except VideoError as e:
            return e

    with ThreadPoolExecutor(4) as pool:
        names = pool.map(name, videos)
        if show:
            names = bar(names, total=len(videos), what="Reading", unit="video")
        yield from zip(videos, names, strict=True)


class _Line:
    """The progress line: clips per second, time left, share of time spent waiting for data.

    How many clips a video has is known once it is opened; those of the others are guessed.
    """

    def __init__(self, videos: int, show: bool) -> None:
        self._bar: Any = bar(total=None, what="Encoding", unit="clip") if show else None
        self._videos, self._opened, self._known = videos, 0, 0

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, assembly: Assembly) -> None:
        """A video begins: count its clips."""
        self._opened += 1
        self._known += assembly.rows.clips - assembly.done
        if self._bar is not None:
            self._bar.total = round(self._known / self._opened * self._videos)

    def step(self, wait_share: float) -> None:
        """One clip more has come."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"waiting for data {wait_share:.0%}", refresh=False)
            self._bar.update()
