"""Random numbers as a function of what they are for, not of when they are drawn.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw, *Parallel random numbers: as easy as 1, 2, 3*, 2011)
turns a counter into random bits under a key. The key is the seed, the counter is (sample, epoch,
purpose, number). So a sample's draws are the same in any batch, process, session and on any device,
and an operation that is switched on or off leaves the draws of the others alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

_WORD = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10


def philox(counter: np.ndarray, key: int) -> np.ndarray:
    """Return random bits uint32 ``[..., 4]`` of counters uint32 ``[..., 4]`` under a 64-bit key."""
    a, b, c, d = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(_ROUNDS):
        low, high = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            high >> _HALF ^ b ^ np.uint64(k0),
            high & _WORD,
            low >> _HALF ^ d ^ np.uint64(k1),
            low & _WORD,
        )
        k0, k1 = k0 + _WEYL[0] & 0xFFFFFFFF, k1 + _WEYL[1] & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=-1).astype(np.uint32)


@dataclass(frozen=True)
class Draws:
    """The random numbers of some samples in an epoch.

    Attributes:
        seed: of the training.
        epoch: number of the epoch.
        indices: int64 ``[B]``, the samples.
    """

    seed: int
    epoch: int
    indices: np.ndarray

    def uniform(self, purpose: str, count: int) -> np.ndarray:
        """Return ``count`` numbers in (0, 1) for each sample, float64 ``[B, count]``."""
        blocks = -(-count // 4)
        counter = np.empty((len(self.indices), blocks, 4), np.uint32)
        counter[..., 0] = self.indices[:, None]
        counter[..., 1] = self.epoch
        counter[..., 2] = zlib.crc32(purpose.encode())
        counter[..., 3] = np.arange(blocks)
        bits = philox(counter, self.seed % 2**64).reshape(len(self.indices), -1)[:, :count]
        return (bits + 0.5) / 2**32

    def chance(self, purpose: str, p: float) -> np.ndarray:
        """Return bool ``[B]``, true with probability ``p``."""
        return np.asarray(self.uniform(purpose, 1)[:, 0] < p)
