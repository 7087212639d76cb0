"""One open video file: packets and frames, with damage tolerated and counted, in bounded time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from actionspace.errors import VideoError
from actionspace.video.frame_folder import is_flow_folder, read_frame_folder

#: What a call into libav may raise on broken input: its own errors, and in corners of PyAV about
#: anything else (IndexError for a stream that appears late, MemoryError for a size that is a lie).
DECODE_ERRORS = (Exception,)

#: Seconds after which a single open or read of the file is given up (a dead network drive, say).
IO_TIMEOUT = 60.0

#: Decoders that leave out a frame when asked to, if it is one that no other frame is built on.
SKIPPING = ("h264",)

#: Frames of more pixels than this are refused: no camera makes them, broken headers claim them.
MAX_PIXELS = 2**26


class Stopwatch:
    """Seconds of work on one file, with a limit; time spent waiting for the consumer is left out.

    A decoder called from a thread cannot be stopped from outside, so the limit is looked at
    between packets and between frames. ``beat`` is the time of the last look: a watchdog sees
    from it that a single call does not return.
    """

    def __init__(self, path: str | os.PathLike[str], limit: float | None = None) -> None:
        self.path = path
        self.limit = limit
        self.beat = self._resumed = time.monotonic()
        self._spent = 0.0
        self._paused = False

    def seconds(self) -> float:
        """Return the seconds worked so far."""
        return self._spent + (0.0 if self._paused else time.monotonic() - self._resumed)

    def check(self) -> None:
        """Note that work goes on.

        Raises:
            VideoError: the limit is used up.
        """
        self.beat = time.monotonic()
        if self.limit is not None and self.seconds() > self.limit:
            raise VideoError(
                f"{self.path}: decoding took longer than the time limit of {self.limit:g} s. "
                f"Raise time_limit, or re-encode the file."
            )

    def silent(self) -> float:
        """Return the seconds since the last look, 0 while waiting for the consumer."""
        return 0.0 if self._paused else time.monotonic() - self.beat

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time inside the block."""
        self._spent, self._paused = self.seconds(), True
        try:
            yield
        finally:
            self.beat = self._resumed = time.monotonic()
            self._paused = False


class Reader:
    """A context manager over the first video stream of a file.

    Attributes:
        stream: the PyAV stream (time base, rates, codec).
        decoded: frames that came out of the decoder so far.
        damage: what went wrong so far, "" if nothing; reading goes on behind a damaged packet.

    Raises:
        VideoError: on entering, when the file is missing, empty, no video, or unreadable.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, threads: int = 1, watch: Stopwatch | None = None
    ) -> None:
        self.path = Path(path)
        self.threads = threads
        self.watch = watch or Stopwatch(path)
        self.decoded = 0
        self.bad_packets = 0
        self.bad_frames = 0
        self.read_error = ""
        self._skipping = False

    def __enter__(self) -> Reader:
        self.container = _open(self.path)
        try:
            self.stream = self._choose()
        except BaseException:
            self.container.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    def _choose(self) -> VideoStream:
        return _video_stream(self.container, self.path, self.threads)

    @property
    def damage(self) -> str:
        """What went wrong so far in words, or ""."""
        parts = []
        if self.bad_packets:
            parts.append(f"corrupt: {self.bad_packets} packet(s) cannot be decoded")
        if self.bad_frames:
            parts.append(f"corrupt: {self.bad_frames} frame(s) are damaged")
        if self.read_error:
            parts.append(f"reading stops early ({self.read_error})")
        return "; ".join(parts)

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets that hold data, in stored order, until the end or a read error."""
        packets = self.container.demux(self.stream)
        while True:
            self.watch.check()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except DECODE_ERRORS as e:
                self.read_error = explain(e)
                return
            if packet.size:  # empty ones mark the end, or a frame that AVI dropped
                yield packet

    def frames(self, needed: Callable[[int], bool] | None = None) -> Iterator[VideoFrame]:
        """Yield the frames from here to the end, in the decoder's (presentation) order.

        Args:
            needed: says of a stamp whether its frame is wanted. Others may be left out; those that
                come are the same, to the bit.
        """
        if self.stream.codec_context.name not in SKIPPING:
            needed = None
        for packet in self.packets():
            self._skip(not (needed is None or packet.pts is None or needed(packet.pts)))
            yield from self.decode(packet)
        yield from self.decode(None)

    def _skip(self, skipping: bool) -> None:
        """Have the decoder leave out what it gets from here on, unless others are built on it."""
        if skipping != self._skipping:
            self._skipping = skipping
            self.stream.codec_context.skip_frame = "NONREF" if skipping else "DEFAULT"

    def decode(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        """Yield the frames that ``packet`` completes; ``None`` asks for the last ones."""
        try:
            frames: list[VideoFrame] = self.stream.decode(packet)
        except EOFError:
            return
        except DECODE_ERRORS:
            self.bad_packets += 1
            return
        for frame in frames:
            self.decoded += 1
            self.bad_frames += frame.is_corrupt
            self.watch.check()
            yield frame

    def seek(self, pts: int) -> None:
        """Go to the last key frame at or before ``pts`` (in the stream's time base).

        Raises:
            VideoError: the file cannot be searched.
        """
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
        except DECODE_ERRORS as e:
            raise VideoError(f"{self.path}: cannot seek ({explain(e)}).") from e


def explain(error: BaseException) -> str:
    """Return what libav says about an error, without its numbers and file names."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).rstrip(". ")


def _open(path: Path) -> InputContainer:
    if not path.exists():
        raise VideoError(f"{path}: there is no such file. Check the path in the manifest.")
    options = {"protocol_whitelist": "file"}  # a play list must not fetch from the network
    name, form = str(path), None
    if path.is_dir():
        pictures = read_frame_folder(path / "u" if is_flow_folder(path) else path)
        name, form = pictures.pattern, "image2"
        options |= {"framerate": str(pictures.fps), "start_number": str(pictures.first)}
    elif path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes). Copy or download it again.")
    try:
        return av.open(
            f"file:{name}",  # so that a dash or colon in the name is not read as something else
            format=form,
            options=options,
            metadata_errors="replace",
            timeout=IO_TIMEOUT,
        )
    except DECODE_ERRORS as e:
        raise VideoError(
            f"{path}: cannot be opened as a video ({explain(e)}). It is damaged, incomplete or of "
            f"an unknown kind; copy it again or re-encode it."
        ) from e


def _video_stream(container: InputContainer, path: Path, threads: int) -> VideoStream:
    if not container.streams.video:
        kinds = sorted({str(s.type) for s in container.streams}) or ["nothing readable"]
        raise VideoError(f"{path}: holds no video stream (only {', '.join(kinds)}).")
    stream = container.streams.video[0]
    context: Any = stream.codec_context
    if context is None:
        raise VideoError(
            f"{path}: no decoder for its video stream. Re-encode it, for example to H.264."
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_count = threads
    if threads != 1:
        context.thread_type = "AUTO"
    return stream
