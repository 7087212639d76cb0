"""Starting a Video Swin from the weights of a two-dimensional Swin (Liu et al., 2022, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def inflate_2d(
    state: Mapping[str, Tensor],
    *,
    patch_frames: int,
    window: tuple[int, int, int],
) -> dict[str, Tensor]:
    """Turn the state of an image Swin into plain Video Swin names and shapes.

    The patch kernel is repeated over ``patch_frames`` frames and divided by their number. Each
    bias table is resized (bicubic) to the new window if its square side differs, and repeated
    for every temporal offset. Index buffers, masks and the classification head are dropped.

    Args:
        state: an image Swin's tensors (``patch_embed.proj.weight`` [C, 3, P, P], ...).
        patch_frames: frames per patch of the video model.
        window: window of the video model (time, height, width).

    Raises:
        WeightsError: the patch kernel is not two-dimensional, or a table is not square.
    """
    inflated = {}
    for name, value in state.items():
        if name.endswith(("relative_position_index", "attn_mask")) or name.startswith("head."):
            continue
        if name == "patch_embed.proj.weight":
            if value.ndim != 4:
                raise WeightsError(
                    f"{name} has shape {tuple(value.shape)}; a two-dimensional Swin has "
                    f"[C, 3, P, P]. Video weights need no inflation."
                )
            value = value.unsqueeze(2).repeat(1, 1, patch_frames, 1, 1) / patch_frames
        elif name.endswith("relative_position_bias_table"):
            value = _inflate_table(name, value, window)
        inflated[name] = value
    return inflated


def _inflate_table(name: str, table: Tensor, window: tuple[int, int, int]) -> Tensor:
    import torch.nn.functional as F

    rows, heads = table.shape
    side = round(rows**0.5)
    if side * side != rows:
        raise WeightsError(f"{name} has {rows} rows, which is no square window's table.")
    wanted = (2 * window[1] - 1, 2 * window[2] - 1)
    if (side, side) != wanted:
        image = table.t().reshape(1, heads, side, side)
        image = F.interpolate(image, size=wanted, mode="bicubic", align_corners=False)
        table = image.reshape(heads, -1).t()
    return table.repeat(2 * window[0] - 1, 1)
