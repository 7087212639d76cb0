"""Which frames of which videos embeddings are of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from actionspace.errors import UsageError


@dataclass(frozen=True)
class Frames:
    """The sampled frames of ``...`` clips; for two views of B videos ``...`` is ``B, 2``.

    Attributes:
        steps: ``[..., T]``, frame numbers in the source video.
        lengths: ``[...]``, frames of the source video.
        valid: bool ``[..., T]``, False for padding.
    """

    steps: Tensor
    lengths: Tensor
    valid: Tensor

    @classmethod
    def of(cls, steps: Tensor, lengths: Tensor, masks: Tensor | None = None) -> Frames:
        """Return them with a mask of any dtype (0 = padding); without one all frames are valid."""
        valid = torch.ones_like(steps, dtype=torch.bool) if masks is None else masks > 0
        return cls(steps, lengths, valid)

    def flat(self) -> Frames:
        """Return the clips in one row: steps ``[N, T]``, lengths ``[N]``, valid ``[N, T]``."""
        steps, valid = self.steps.flatten(0, -2), self.valid.flatten(0, -2)
        return Frames(steps, self.lengths.flatten(), valid)

    def check(self, embeddings: Tensor) -> None:
        """Refuse frames that are not those of embeddings ``[..., T, D]``.

        Raises:
            UsageError: shapes do not belong together.
        """
        clips = tuple(embeddings.shape[:-1])
        shapes = [tuple(t.shape) for t in (self.steps, self.valid)]
        if shapes != [clips, clips] or tuple(self.lengths.shape) != clips[:-1]:
            raise UsageError(
                f"Embeddings {list(embeddings.shape)} do not fit steps {list(shapes[0])}, lengths "
                f"{list(self.lengths.shape)} and masks {list(shapes[1])}; expected "
                f"[..., T, D], [..., T], [...] and [..., T]."
            )
