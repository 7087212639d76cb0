"""Augmentation of a batch of clips, at the start of a training step, where the batch is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from actionspace.errors import ConfigError, UsageError, did_you_mean
from actionspace.training.augment.apply import pieces
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.mixing import draw_mix, mix_clips, mix_targets
from actionspace.training.augment.options import AugmentConfig
from actionspace.training.augment.plan import Plan, carry_out, draw_plan


class Augment:
    """Changes clips at random as the options say; see :class:`~.options.AugmentConfig`.

    Numbers are drawn on the CPU and are the same on every device. What becomes of a clip is a
    function of (seed, epoch, sample) alone, but for its partner when clips are mixed.
    """

    def __init__(self, config: AugmentConfig, classes: Sequence[str], seed: int) -> None:
        """Prepare.

        Args:
            config: what to do.
            classes: names of the classes, in the order of targets.
            seed: of the training.

        Raises:
            ConfigError: a class that is never to be mirrored does not exist.
        """
        self.config = config
        self._seed = seed
        self._classes = len(classes)
        never = set(config.flip.never)
        for name in config.flip.never:
            if name not in classes:
                hint = did_you_mean(name, list(classes))
                raise ConfigError(
                    f"augment.flip.never names '{name}', which is no class of the data.{hint}"
                )
        self._handed = torch.tensor([name in never for name in classes]) if never else None

    @torch.no_grad()
    def __call__(
        self, clips: Tensor, targets: Tensor, indices: np.ndarray, epoch: int
    ) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            clips: uint8, or float32 from 0 to 255, ``[B, T, H, W, 3]``; they stay as they are.
                (Where they are only mixed, any number of channels.)
            targets: class numbers int64 ``[B]``, or bool ``[B, C]``.
            indices: int64 ``[B]`` on the CPU, the samples' numbers.
            epoch: number of the epoch.

        Returns:
            Clips float32 ``[B, T, H, W, 3]`` from 0 to 255, and targets: soft ones, float32
            ``[B, C]``, where clips are mixed; else as they were. With nothing switched on both are
            returned as given.

        Raises:
            UsageError: the clips do not show pictures in colour.
        """
        if not self.config.active:
            return clips, targets
        if self.config.changes_pixels and clips.shape[-1] != 3:
            raise UsageError(
                f"The clips have {clips.shape[-1]} channels; augment.crop, .flip, .jitter, "
                ".randaugment and .erase are made for red, green and blue. Switch them off."
            )
        height, width = clips.shape[2:4]
        draws = Draws(self._seed, epoch, indices)
        with torch.autocast(clips.device.type, enabled=False):
            plan = draw_plan(draws, self.config, height, width)
            x = self._change(clips.permute(0, 1, 4, 2, 3), plan, self._never_mirror(targets))
            if self.config.mixes:
                mix = draw_mix(draws, self.config.mix, height, width)
                x = mix_clips(x, mix)
                targets = mix_targets(targets, mix, mix.kept(height, width), self._classes)
        return x.permute(0, 1, 3, 4, 2), targets

    def _change(self, clips: Tensor, plan: Plan, never_mirror: Tensor | None) -> Tensor:
        """Return clips ``[B, T, C, H, W]`` as float32, each changed for itself."""
        out = torch.empty(clips.shape, dtype=torch.float32, device=clips.device)
        for part, frames in pieces(clips):
            x = out[part, frames].copy_(clips[part, frames])
            kept = None if never_mirror is None else never_mirror[part]
            changed = carry_out(plan.of(part), x, kept)
            if changed is not x:
                x.copy_(changed)
        return out

    def _never_mirror(self, targets: Tensor) -> Tensor | None:
        """Return which samples are of a class that is not to be mirrored, bool ``[B]``."""
        if self._handed is None:
            return None
        self._handed = handed = self._handed.to(targets.device)
        return handed[targets] if targets.ndim == 1 else (targets.bool() & handed).any(dim=1)
