"""The log-mel spectrogram: how loud each band of pitch is, a hundred times a second.

A column k looks at ``n_fft`` samples around sample ``k * hop`` (zeros stand for what lies outside)
under a periodic Hann window. Its power spectrum is summed by ``mels`` triangles of height 1 whose
corners are evenly spread on HTK's mel scale, 2595 log10(1 + f / 700), from ``low`` to ``high`` Hz,
and the natural logarithm of (sum + 1e-6) is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from actionspace.errors import UsageError

#: Added to each sum, so that digital silence has a logarithm (-13.8).
FLOOR = 1e-6

#: Columns computed at a time: enough to make the transform pay, little enough to keep.
BLOCK = 512


@dataclass(frozen=True)
class LogMel:
    """A log-mel spectrogram.

    Attributes:
        rate: samples per second that the sound is brought to.
        n_fft: samples under a window; hop: samples from one to the next.
        mels: bands; low, high: their range in Hz (high None = half the rate).
    """

    rate: int = 16_000
    n_fft: int = 512
    hop: int = 160
    mels: int = 64
    low: float = 50.0
    high: float | None = None

    def __post_init__(self) -> None:
        top = self.rate / 2 if self.high is None else self.high
        if min(self.rate, self.n_fft, self.hop, self.mels) < 1 or not 0 <= self.low < top:
            raise UsageError(f"{self} makes no spectrogram: all must be positive, low below high.")
        if top > self.rate / 2 or not filterbank(self).any(axis=0).all():
            raise UsageError(
                f"{self} has bands without a frequency: use fewer mels, a longer n_fft, or a high "
                f"of at most {self.rate / 2:g} Hz."
            )

    @property
    def dim(self) -> int:
        """Length of a pooled spectrogram: mean and deviation of each band."""
        return 2 * self.mels


def filterbank(of: LogMel) -> np.ndarray:
    """Return the weight of each frequency in each band, ``[n_fft // 2 + 1, mels]``."""
    top = of.rate / 2 if of.high is None else of.high
    ends = 2595 * np.log10(1 + np.array([of.low, top]) / 700)
    corners = 700 * (10 ** (np.linspace(ends[0], ends[1], of.mels + 2) / 2595) - 1)
    frequency = np.fft.rfftfreq(of.n_fft, 1 / of.rate)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rise, fall = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)))


def log_mel(samples: np.ndarray, of: LogMel) -> np.ndarray:
    """Return the log-mel spectrogram ``[1 + S // hop, mels]`` float32 of mono samples ``[S]``."""
    return np.concatenate(list(columns([np.asarray(samples, np.float32)], of)))


def columns(pieces: Iterable[np.ndarray], of: LogMel) -> Iterator[np.ndarray]:
    """Yield the spectrogram of a stream of mono samples, in blocks ``[n, mels]`` float32."""
    bank = filterbank(of)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(of.n_fft) / of.n_fft)
    before = of.n_fft // 2
    for samples in _blocks(pieces, of, before):
        views = np.lib.stride_tricks.sliding_window_view(samples, of.n_fft)[:: of.hop]
        for first in range(0, len(views), BLOCK):
            spectrum = np.fft.rfft(views[first : first + BLOCK] * window, axis=1)
            yield np.log(np.abs(spectrum) ** 2 @ bank + FLOOR).astype(np.float32)


def _blocks(pieces: Iterable[np.ndarray], of: LogMel, before: int) -> Iterator[np.ndarray]:
    """Yield samples that hold whole columns, each beginning where its first column does."""
    waiting, length = [np.zeros(before, np.float32)], before
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= of.n_fft + BLOCK * of.hop:
            samples = np.concatenate(waiting)
            yield samples
            rest = samples[(1 + (length - of.n_fft) // of.hop) * of.hop :]
            waiting, length = [rest], len(rest)
    samples = np.concatenate([*waiting, np.zeros(of.n_fft - before, np.float32)])
    if len(samples) >= of.n_fft:
        yield samples
