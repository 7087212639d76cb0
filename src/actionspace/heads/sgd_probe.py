"""FineGym's frame probe: a linear layer trained by SGD on batches of whole videos.

Its learning rate (50, for embeddings of length 1) and its momentum make it another measure than the
optimum of the same loss (``logistic.py``), so the published figures need this procedure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from actionspace.errors import DataError, UsageError
from actionspace.metrics.frame_retrieval import as_phases
from actionspace.metrics.neighbours import as_videos


@dataclass(frozen=True)
class SgdProbeConfig:
    """How the probe is trained.

    Attributes:
        learning_rate: at the start; falls to 0 as half a cosine, from epoch to epoch. Published: 50
            for self-supervised embeddings, 0.1 for supervised ones.
        epochs, momentum, weight_decay: of SGD.
        videos_per_batch: their frames make one batch. An incomplete last batch is dropped.
        seed: of the initial weights and of the order of videos.
    """

    learning_rate: float = 50.0
    epochs: int = 100
    momentum: float = 0.9
    weight_decay: float = 1e-6
    videos_per_batch: int = 10
    seed: int = 0


@dataclass(frozen=True)
class SgdProbe:
    """A trained probe.

    Attributes:
        weight, bias: ``[C, D]`` and ``[C]`` float32.
        train: accuracy on the training frames of the last epoch, counted while it learnt.
        validation: accuracy on all validation frames after it.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    train: float
    validation: float


def fit_sgd_probe(
    train: Sequence[ArrayLike],
    train_labels: Sequence[ArrayLike],
    validation: Sequence[ArrayLike],
    validation_labels: Sequence[ArrayLike],
    *,
    classes: int,
    config: SgdProbeConfig | None = None,
    initial: tuple[ArrayLike, ArrayLike] | None = None,
    order: Sequence[Sequence[int]] | None = None,
) -> SgdProbe:
    """Train the probe on embeddings of videos.

    Args:
        train, validation: embeddings ``[frames, D]`` per video.
        train_labels, validation_labels: classes ``[frames]`` per video; frames below 0 are left
            out.
        classes: number of classes C (FineGym: 99 or 288).
        config: None means the published settings.
        initial: weight and bias to begin with; None draws them as ``torch.nn.Linear`` does.
        order: the videos of each epoch in order; None draws them from ``(seed, epoch)``.

    Raises:
        DataError: fewer training videos than a batch, no labelled frame, labels out of range.
        UsageError: ``order`` or ``initial`` of another size.
    """
    settings = config or SgdProbeConfig()
    frames, labels = _labelled(train, train_labels, classes, "training")
    held = [torch.cat(part) for part in _labelled(validation, validation_labels, classes, "val")]
    size = settings.videos_per_batch
    if len(frames) < size:
        raise DataError(
            f"There are {len(frames)} training videos and a batch takes {size}: give more videos "
            f"or a smaller videos_per_batch."
        )
    if order is not None and len(order) != settings.epochs:
        raise UsageError(f"order lists {len(order)} epochs, the probe has {settings.epochs}.")
    weight, bias = _initial(initial, classes, frames[0].shape[1], settings.seed)
    optimizer = torch.optim.SGD(
        [weight, bias],
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    right = total = 0
    for epoch in range(settings.epochs):
        share = (1 + math.cos(math.pi * epoch / settings.epochs)) / 2
        optimizer.param_groups[0]["lr"] = settings.learning_rate * share
        videos = order[epoch] if order is not None else _shuffled(len(frames), settings.seed, epoch)
        right = total = 0
        for start in range(0, len(videos) - size + 1, size):
            batch = videos[start : start + size]
            x, y = torch.cat([frames[v] for v in batch]), torch.cat([labels[v] for v in batch])
            if not len(y):
                continue
            logits = functional.linear(x, weight, bias)
            optimizer.zero_grad()
            functional.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            right += int((logits.argmax(dim=1) == y).sum())
            total += len(y)
    with torch.no_grad():
        hits = functional.linear(held[0], weight, bias).argmax(dim=1) == held[1]
    return SgdProbe(
        weight.detach().numpy(), bias.detach().numpy(), right / total, float(hits.double().mean())
    )


def _labelled(
    videos: Sequence[ArrayLike], labels: Sequence[ArrayLike], classes: int, split: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Return frames with a class and their classes, per video."""
    arrays = as_videos(videos)
    codes = as_phases(labels, [len(array) for array in arrays])
    highest = max(int(video.max()) for video in codes)
    if not 0 <= highest < classes:
        raise DataError(
            f"The highest class of the {split} videos is {highest}; expected some labelled frames, "
            f"of classes 0..{classes - 1}."
        )
    kept = [video >= 0 for video in codes]
    return (
        [torch.from_numpy(a[k].astype(np.float32)) for a, k in zip(arrays, kept, strict=True)],
        [torch.from_numpy(c[k]) for c, k in zip(codes, kept, strict=True)],
    )


def _initial(
    initial: tuple[ArrayLike, ArrayLike] | None, classes: int, width: int, seed: int
) -> tuple[Tensor, Tensor]:
    if initial is None:
        bound = 1 / math.sqrt(width)
        random = np.random.default_rng(seed)
        initial = (
            random.uniform(-bound, bound, (classes, width)),
            random.uniform(-bound, bound, classes),
        )
    weight, bias = (torch.from_numpy(np.array(part, np.float32)) for part in initial)
    if weight.shape != (classes, width) or bias.shape != (classes,):
        raise UsageError(
            f"Initial weights have shapes {tuple(weight.shape)} and {tuple(bias.shape)}; expected "
            f"{(classes, width)} and {(classes,)}."
        )
    return weight.requires_grad_(), bias.requires_grad_()


def _shuffled(videos: int, seed: int, epoch: int) -> Sequence[int]:
    order: list[int] = np.random.default_rng((seed, epoch)).permutation(videos).tolist()
    return order
