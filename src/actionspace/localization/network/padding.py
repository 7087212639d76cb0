"""How long videos are padded, so that the network fits and the padding does not show.

Padded cells are not without effect: the bias of a norm in the first of them leaks into the last
cell of the video. The original pads every video to ``max_length``, so a spare cell on every level
gives its numbers, however few rows are padded.
"""

from __future__ import annotations

from collections.abc import Sequence

from actionspace.errors import DataError
from actionspace.localization.network.config import ModelConfig


def padded_length(config: ModelConfig, rows: int) -> int:
    """Return the rows that a video of ``rows`` is padded to, with the original's result.

    Up to ``max_length`` that is the smallest size with a spare cell on every level, at most
    ``max_length``, which is what the original pads to. Above it, the next multiple of ``divisor``,
    as there. SGP blocks take means over padded cells as well, so with them up to ``max_length`` it
    is that.

    Raises:
        DataError: there are none, or more than ``longest``.
    """
    if not 0 < rows <= config.longest:
        raise DataError(
            f"{rows} rows of features; the network takes 1 to {config.longest} (max_length "
            f"{config.max_length} times buffer_factor {config.buffer_factor:g})."
        )
    if rows > config.max_length:
        return _up(rows, config.divisor)
    if config.backbone == "sgp":
        return config.max_length
    top = config.strides[-1]
    ends = config.trident.boundary_kernel if config.head == "trident" else 1
    spare = max(config.embed_kernel, config.head_kernel, ends, 3) // 2
    return min(_up(_up(rows, top) + spare * top, config.divisor), config.max_length)


def batches(config: ModelConfig, rows: Sequence[int], size: int) -> list[list[int]]:
    """Return which videos are evaluated together: numbers of videos, similar lengths together.

    Each batch holds at most ``size`` videos and at most the rows that ``size`` videos of
    ``max_length`` have. Videos above ``max_length`` go with those of the same padded length only,
    since more padding would show.

    Args:
        config: the network's.
        rows: of each video.
        size: videos per batch.

    Raises:
        DataError: a video has none, or more than ``longest``.
    """
    padded = [padded_length(config, n) for n in rows]
    out: list[list[int]] = []
    for number in sorted(range(len(rows)), key=lambda i: (padded[i], i)):
        length, batch = padded[number], out[-1] if out else []
        together = batch and (length <= config.max_length or length == padded[batch[0]])
        full = (len(batch) + 1) * length > size * config.max_length
        if together and len(batch) < size and not full:
            batch.append(number)
        else:
            out.append([number])
    return out


def _up(rows: int, unit: int) -> int:
    return -(-rows // unit) * unit
