"""Embeddings of all frames of whole videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from actionspace.alignment.chunks import Clip, cut_clips
from actionspace.alignment.data import Videos
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.errors import ActionspaceError
from actionspace.training.augment.frames import FrameAugment

Pictures = Callable[[Tensor], Tensor]
"""From uint8 frames ``[S, H, W, 3]`` to what the network takes, ``[S, 3, size, size]``."""


@dataclass
class Embedded:
    """Embeddings of some videos.

    Attributes:
        videos: those that could be read.
        embeddings: of each, float32 ``[N, D]``.
        times: seconds that each of its frames covers, ``[N, 2]``.
        skipped: the others, with the reason.
    """

    videos: list[str] = field(default_factory=list)
    embeddings: list[np.ndarray] = field(default_factory=list)
    times: list[np.ndarray] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def take(self, indices: Sequence[int]) -> Embedded:
        """Return some of the videos, by number."""
        return Embedded(
            [self.videos[i] for i in indices],
            [self.embeddings[i] for i in indices],
            [self.times[i] for i in indices],
        )


def embed_all(network: AlignmentNetwork, videos: Videos, recipe: AlignmentRecipe) -> Embedded:
    """Embed videos one by one; those that cannot be read are left out and listed.

    Args:
        network: in evaluation mode, on its device.
        videos: as :func:`.data.recipe_videos` makes them.
        recipe: its recipe.
    """
    found = Embedded()
    for index, name in enumerate(videos.names):
        try:
            rows = embed_video(network, videos, index, recipe)
        except ActionspaceError as e:
            found.skipped[name] = str(e)
            continue
        found.videos.append(name)
        found.embeddings.append(rows)
        found.times.append(videos.times(index))
    return found


@torch.no_grad()
def embed_video(
    network: AlignmentNetwork, videos: Videos, index: int, recipe: AlignmentRecipe
) -> np.ndarray:
    """Return the embeddings of all frames of a video, float32 ``[N, D]``.

    Every frame is read, and goes through the ResNet, once. What is in memory beside the embeddings
    are pictures of ``network.frames_per_batch`` frames and features of one clip
    (``evaluation.frames_per_clip``), however long the video is.

    Raises:
        ActionspaceError: it cannot be read.
    """
    clips = cut_clips(
        len(videos.times(index)),
        recipe.evaluation.frames_per_clip,
        contexts=network.config.contexts,
        context_stride=recipe.sampling.context_stride,
    )
    parts = [
        network.of_features(rows[None])[0].float().cpu().numpy()
        for rows in _inputs(network, videos, index, clips, recipe)
    ]
    return np.concatenate(parts)


def _inputs(
    network: AlignmentNetwork,
    videos: Videos,
    index: int,
    clips: Sequence[Clip],
    recipe: AlignmentRecipe,
) -> Iterator[Tensor]:
    """Yield what the embedder takes of each clip, in one go through the video."""
    device = next(network.parameters()).device
    pictures = evaluation_pictures(recipe) if network.config.input == "frames" else None
    fresh = _first_wanted(clips)
    size = network.config.frames_per_batch
    blocks = [np.split(frames, range(size, len(frames), size)) for frames in fresh]
    stream = videos.stream(index, [block for of_clip in blocks for block in of_clip])
    numbers, held = np.empty(0, np.int64), list[Tensor]()
    for clip, frames, of_clip in zip(clips, fresh, blocks, strict=True):
        kept = numbers >= clip.inputs.min()
        numbers = np.concatenate([numbers[kept], frames])
        held = [rows[torch.from_numpy(kept).to(device)] for rows in held]
        for _ in of_clip:
            read = next(stream).to(device)
            ready = read if pictures is None else pictures(read)
            held.append(network.frame_features(ready[None])[0])
        held = [torch.cat(held)]
        yield held[0][torch.from_numpy(np.searchsorted(numbers, clip.inputs)).to(device)]


def _first_wanted(clips: Sequence[Clip]) -> list[np.ndarray]:
    """Return the frames of each clip that no clip before it wants, rising."""
    found, last = [], -1
    for clip in clips:
        wanted = np.unique(clip.inputs)
        found.append(wanted[wanted > last])
        last = int(wanted[-1])
    return found


def evaluation_pictures(recipe: AlignmentRecipe) -> Pictures:
    """Return what makes frames a network's input where nothing is random."""
    change = FrameAugment(recipe.augment, recipe.pictures.size, recipe.training.seed)
    return lambda frames: change.evaluate([frames])[0]
