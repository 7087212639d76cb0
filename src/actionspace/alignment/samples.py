"""Training samples: views of a video, drawn as a function of (seed, epoch, sample)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from actionspace.alignment.data import Videos
from actionspace.alignment.sampling import FrameSampling, sample_views


@dataclass(frozen=True)
class ClipSample:
    """``V`` views of a video, of ``T`` frames each.

    Attributes:
        inputs: for each view what the network is given: rows ``[T * contexts, D]`` or pictures
            ``[T * contexts, H, W, 3]``.
        steps: frame numbers in the video, int64 ``[V, T]``.
        masks: ``[V, T]`` float32, 0 = padding.
        length: frames of the video.
        labels: phases, int64 ``[V, T]``; below 0 = none.
        sample, epoch: which it is.
    """

    inputs: tuple[Tensor, ...]
    steps: Tensor
    masks: Tensor
    length: int
    labels: Tensor
    sample: int
    epoch: int


@dataclass(frozen=True)
class ClipBatch:
    """``B`` samples, see :class:`ClipSample`.

    Attributes:
        inputs: for each view the clips of the samples.
        steps, masks, labels: ``[B, V, T]``.
        lengths: ``[B, V]`` float32.
        samples: numbers of the samples, int64 ``[B]``.
        epoch: number of the epoch.
    """

    inputs: tuple[tuple[Tensor, ...], ...]
    steps: Tensor
    masks: Tensor
    labels: Tensor
    lengths: Tensor
    samples: np.ndarray
    epoch: int


class ViewSamples:
    """Videos as training samples.

    Args:
        videos: the videos.
        labels: phases of each one's frames, int64 ``[N]``; None = they have none.
        sampling: what is drawn.
        views: how often.
        seed: of the draws.
        step_groups: number of each video's group, int64 ``[N]``, of which a step sees one; None =
            there are no groups.
    """

    def __init__(
        self,
        videos: Videos,
        labels: Sequence[np.ndarray] | None,
        sampling: FrameSampling,
        views: int,
        seed: int,
        step_groups: np.ndarray | None = None,
    ) -> None:
        self.step_groups = step_groups
        self._videos, self._labels, self._sampling = videos, labels, sampling
        self._views, self._seed = views, seed

    def __len__(self) -> int:
        return len(self._videos.names)

    def name(self, index: int) -> str:
        """Return the video."""
        return self._videos.names[index]

    def load(self, index: int, epoch: int) -> ClipSample:
        """Draw and read the views of a video."""
        length = len(self._videos.times(index))
        rng = np.random.default_rng((self._seed, epoch, index))
        views = sample_views(self._sampling, length, rng, self._views)
        wanted, where = np.unique(np.concatenate([v.inputs for v in views]), return_inverse=True)
        read = self._videos.read(index, wanted)
        parts = np.split(where, np.cumsum([len(v.inputs) for v in views])[:-1])
        steps = np.stack([view.chosen for view in views])
        known = self._labels[index] if self._labels is not None else np.full(length, -1, np.int64)
        return ClipSample(
            tuple(read[torch.from_numpy(part)] for part in parts),
            torch.from_numpy(steps),
            torch.from_numpy(np.stack([view.mask for view in views])),
            length,
            torch.from_numpy(known[steps]),
            index,
            epoch,
        )

    def collate(self, samples: Sequence[ClipSample]) -> ClipBatch:
        """Return the samples as one batch."""
        lengths = torch.tensor([[float(s.length)] * self._views for s in samples])
        return ClipBatch(
            tuple(zip(*(s.inputs for s in samples), strict=True)),
            torch.stack([s.steps for s in samples]),
            torch.stack([s.masks for s in samples]),
            torch.stack([s.labels for s in samples]),
            lengths,
            np.array([s.sample for s in samples]),
            samples[0].epoch,
        )


@dataclass(frozen=True)
class WholeVideo:
    """A video that is embedded whole: its number among the samples."""

    index: int


class WholeVideos:
    """Videos of a split, one at a time, each embedded at its length."""

    def __init__(self, videos: Videos) -> None:
        self.videos = videos

    def __len__(self) -> int:
        return len(self.videos.names)

    def name(self, index: int) -> str:
        """Return the video."""
        return self.videos.names[index]

    def load(self, index: int, epoch: int) -> WholeVideo:
        """Return the video's number, if it can be read; its frames are read clip by clip."""
        self.videos.read(index, np.zeros(1, np.int64))
        return WholeVideo(index)

    def collate(self, samples: Sequence[WholeVideo]) -> tuple[WholeVideo, ...]:
        """Return the samples as they are."""
        return tuple(samples)
