"""Embeddings of all frames of whole videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from actionspace.alignment.chunks import cut_clips
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

    Raises:
        ActionspaceError: it cannot be read.
    """
    device = next(network.parameters()).device
    pictures = evaluation_pictures(recipe) if network.config.input == "frames" else None
    parts = []
    for clip in cut_clips(
        len(videos.times(index)),
        recipe.evaluation.frames_per_clip,
        contexts=network.config.contexts,
        context_stride=recipe.sampling.context_stride,
    ):
        wanted, where = np.unique(clip.inputs, return_inverse=True)
        read = videos.read(index, wanted).to(device)
        frames = read if pictures is None else pictures(read)
        rows = network(frames[torch.from_numpy(where).to(device)][None])
        parts.append(rows[0].float().cpu().numpy())
    return np.concatenate(parts)


def evaluation_pictures(recipe: AlignmentRecipe) -> Pictures:
    """Return what makes frames a network's input where nothing is random."""
    change = FrameAugment(recipe.augment, recipe.pictures.size, recipe.training.seed)
    return lambda frames: change.evaluate([frames])[0]
