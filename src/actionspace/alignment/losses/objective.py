"""The loss that a recipe describes."""

from __future__ import annotations

from torch import Tensor

from actionspace.alignment.losses.classification import frame_classification_loss
from actionspace.alignment.losses.config import (
    AlignmentLossConfig,
    FrameClassificationConfig,
    LavConfig,
    SclConfig,
    TccConfig,
)
from actionspace.alignment.losses.frames import Frames
from actionspace.alignment.losses.lav import lav_loss
from actionspace.alignment.losses.scl import scl_loss
from actionspace.alignment.losses.tcc import tcc_loss
from actionspace.alignment.losses.tcn import tcn_loss
from actionspace.errors import UsageError


def alignment_loss(
    outputs: Tensor,
    frames: Frames,
    config: AlignmentLossConfig,
    labels: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return ``loss``, in float32 or wider, and what else the loss has to tell.

    Args:
        outputs: embeddings ``[..., T, D]``, or class logits for ``classification``; ``...`` is
            videos, or videos and their two views. All losses but SCL see views as videos.
        frames: of the same clips.
        config: which loss.
        labels: int64 ``[..., T]``, for ``classification`` only; below 0 = no label.

    Raises:
        UsageError: shapes do not belong together, or labels are missing.
    """
    frames.check(outputs)
    if isinstance(config, SclConfig):
        return {"loss": scl_loss(outputs, frames, config)}
    if isinstance(config, FrameClassificationConfig):
        if labels is None:
            raise UsageError(
                "The loss 'classification' needs the labels of frames, and these videos have none; "
                "use scl, tcc, tcn or lav to train without labels."
            )
        return {"loss": frame_classification_loss(outputs, labels, frames.valid)}
    clips, frames = outputs.flatten(0, -3), frames.flat()
    if isinstance(config, TccConfig):
        return tcc_loss(clips, frames, config)
    if isinstance(config, LavConfig):
        return lav_loss(clips, frames, config)
    return {"loss": tcn_loss(clips, frames, config)}
