"""What happens to each clip of a batch, drawn before anything is done to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from actionspace.training.augment import colour, geometry
from actionspace.training.augment.apply import on_device, on_rows
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.options import AugmentConfig
from actionspace.training.augment.randaugment import Choice, apply, choose


@dataclass(frozen=True)
class Plan:
    """What happens to clips, each for itself.

    Attributes:
        shown: int64 ``[B, 4]`` (x, y, width, height), the part of the frame; None = all of it.
        mirror: bool ``[B]``, or None.
        colours: float32 ``[B, 4]``: factors of brightness, contrast and saturation, turn of the
            hue; (1, 1, 1, 0) = none.
        ops: operations of RandAugment, one after another.
        fill: what comes into the frame in them.
        erased: int64 ``[B, 4]``, boxes to fill; empty = none.
        paint: float32 ``[B, 3]``, with what.
    """

    shown: np.ndarray | None
    mirror: np.ndarray | None
    colours: np.ndarray | None
    ops: tuple[Choice, ...]
    fill: float
    erased: np.ndarray | None
    paint: np.ndarray | None

    def of(self, part: slice) -> Plan:
        """Return what happens to some of the clips."""

        def cut(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[part]

        return Plan(
            shown=cut(self.shown),
            mirror=cut(self.mirror),
            colours=cut(self.colours),
            ops=tuple(choice.of(part) for choice in self.ops),
            fill=self.fill,
            erased=cut(self.erased),
            paint=cut(self.paint),
        )


def draw_plan(draws: Draws, config: AugmentConfig, height: int, width: int) -> Plan:
    """Draw what happens to clips of ``height`` x ``width``."""
    crop, erase = config.crop, config.erase
    shown = mirror = colours = erased = paint = None
    if crop.p:
        u = draws.uniform("crop", geometry.BOX_DRAWS)
        shown, _ = geometry.random_boxes(u, height, width, crop.area, crop.aspect)
        shown[~draws.chance("crop at all", crop.p)] = 0, 0, width, height
    if config.flip.p:
        mirror = draws.chance("flip", config.flip.p)
    if config.jitter.active:
        colours = _draw_colours(draws, config)
    if erase.p:
        u = draws.uniform("erase", geometry.BOX_DRAWS)
        erased, found = geometry.random_boxes(u, height, width, erase.area, erase.aspect)
        erased[~(found & draws.chance("erase at all", erase.p))] = 0
        paint = 255 * draws.uniform("erase with", 3).astype(np.float32)
    ops = tuple(choose(draws, k, config.randaugment) for k in range(config.randaugment.ops))
    return Plan(shown, mirror, colours, ops, config.randaugment.fill, erased, paint)


def carry_out(plan: Plan, x: Tensor, never_mirror: Tensor | None) -> Tensor:
    """Return clips float32 ``[B, T, 3, H, W]`` (0 to 255) changed; their memory may be used again.

    Args:
        plan: for these clips.
        x: the clips; any of their frames, as what is done to one does not depend on the others.
        never_mirror: bool ``[B]`` on the device, clips that stay as they are taken; None = none.
    """
    mirror = None if plan.mirror is None else on_device(plan.mirror, x.device)
    if mirror is not None and never_mirror is not None:
        mirror &= ~never_mirror
    if plan.shown is not None:
        x = geometry.crop_resize(x, on_device(plan.shown, x.device), mirror)
    elif mirror is not None:
        x = geometry.mirrored(x, mirror)
    if plan.colours is not None:
        x = _change_colours(x, plan.colours)
    for choice in plan.ops:
        x = apply(x, choice, plan.fill)
    if plan.erased is not None and plan.paint is not None:
        rows = np.flatnonzero(plan.erased[:, 2])
        x = on_rows(x, rows, _erase, plan.erased[rows], plan.paint[rows])
    return x


def _draw_colours(draws: Draws, config: AugmentConfig) -> np.ndarray:
    jitter = config.jitter
    widths = jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
    changes = (2 * draws.uniform("jitter", 4) - 1) * widths
    changes[~draws.chance("jitter at all", jitter.p)] = 0
    changes[:, :3] = np.maximum(1 + changes[:, :3], 0)
    return changes.astype(np.float32)


def _change_colours(x: Tensor, colours: np.ndarray) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order."""
    changes = colour.brightness, colour.contrast, colour.saturation, colour.hue
    for change, values, neutral in zip(changes, colours.T, (1, 1, 1, 0), strict=True):
        rows = np.flatnonzero(values != neutral)
        x = on_rows(x, rows, change, values[rows])
    return x


def _erase(x: Tensor, boxes: Tensor, paint: Tensor) -> Tensor:
    """Fill boxes ``[B, 4]`` with colours ``[B, 3]`` (Zhong et al., *Random erasing*, 2020)."""
    inside = geometry.inside(boxes, *x.shape[-2:]).to(x.dtype)[:, None, None]
    return (x * (1 - inside)).add_(inside * paint[:, None, :, None, None])
