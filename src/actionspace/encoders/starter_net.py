"""The starter encoder's network: a small Video Swin that looks twice and says what moves and how.

A small animal fills little of a picture, and a small network cannot find it there. So the clip is
looked at twice, both times 64 x 64 pixels: far, the whole frame at half size; and near, half the
frame at full size around the middle of the motion. Both looks go through the same Video Swin. Its
features, and coarse maps of both looks, are read into the numbers that it was trained to estimate.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.starter import (
    ARCHITECTURE,
    CELLS,
    DIM,
    LOOK,
    MAPS,
    MOTIONS,
    READ,
    VALUES,
)
from actionspace.encoders.swin3d import SwinTransformer3D

#: Gains that bring deviations from the clip's mean and changes between frames to unit scale.
DEVIATION_GAIN, CHANGE_GAIN, CELL_GAIN = 3.0, 3.0, 10.0


class StarterNet(nn.Module):
    """Estimates of motion at every token: logits of ``MOTIONS``, then ``VALUES``; then the maps.

    The estimates are linear in what was seen, so that their means over tokens are the clip's. The
    maps are coarse brightness and change in both looks, and the near look's centre.
    """

    def __init__(self) -> None:
        super().__init__()
        self.swin = SwinTransformer3D(**ARCHITECTURE.options())
        self.readout = nn.Linear(self.swin.dim, READ)
        seen = 2 * READ + MAPS
        self.motions = nn.Linear(seen, len(MOTIONS))
        self.values = nn.Linear(seen, len(VALUES))
        self.dim = DIM

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips [B, 3, T, H, W] to features [B, DIM, T / 4, 4, 4] (H = W = 128)."""
        seen = self.look_twice(x)[0].movedim(1, -1)
        maps = seen[..., 2 * READ :]
        return torch.cat([self.motions(seen), self.values(seen), maps], dim=-1).movedim(-1, 1)

    def look_twice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return all that is seen [B, S, T / 4, 4, 4], and the far look's Swin features alone.

        S channels, in order: ``READ`` learned ones of the far look and as many of the near look;
        brightness, then change, in 8 x 8 cells of the far look, and the same of the near look; x
        and y of the near look's centre (-1 to 1). Maps and centre are equal at all places.
        """
        batch = x.shape[0]  # len() would fix the batch size of an exported graph
        grey = x.mean(dim=1)
        centre = motion_centre(grey)
        looks = torch.cat([F.adaptive_avg_pool2d(grey, LOOK), glimpse(grey, centre)])
        features = self.swin(motion_channels(looks))
        read = F.gelu(self.readout(features.movedim(1, -1))).movedim(-1, 1)
        steps = features.shape[2]
        maps = coarse_maps(looks, steps)
        still = centre[:, :, None].expand(-1, -1, steps)
        flat = torch.cat([maps[:batch], maps[batch:], still], dim=1)
        spread = flat[..., None, None].expand(*flat.shape, *features.shape[3:]).to(read.dtype)
        return torch.cat([read[:batch], read[batch:], spread], dim=1), features[:batch]


def motion_centre(grey: Tensor) -> Tensor:
    """Return x and y (-1 to 1) of the middle of the strongest tenth of change [B, 2].

    Args:
        grey: clips [B, T, H, W].
    """
    change = grey.diff(dim=1).abs().mean(dim=1, keepdim=True)
    cells = F.avg_pool2d(change, 4).squeeze(1)
    flat = cells.flatten(1).float()
    strong = (flat - flat.quantile(0.9, dim=1, keepdim=True)).clamp(min=0) + 1e-6
    weight = (strong / strong.sum(dim=1, keepdim=True)).view_as(cells)
    height, width = cells.shape[1:]
    y = torch.linspace(1 / height - 1, 1 - 1 / height, height, device=grey.device)
    x = torch.linspace(1 / width - 1, 1 - 1 / width, width, device=grey.device)
    return torch.stack([(weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)], dim=1)


def glimpse(grey: Tensor, centre: Tensor) -> Tensor:
    """Cut half of each frame's width and height around ``centre`` (kept inside the frame).

    Args:
        grey: clips [B, T, H, W]; of 128 x 128 pixels each is taken as it is.
        centre: x and y from -1 to 1 [B, 2].

    Returns:
        Clips [B, T, 64, 64].
    """
    inside = centre.clamp(-0.5, 0.5)
    steps = torch.linspace(0.5 / LOOK - 0.5, 0.5 - 0.5 / LOOK, LOOK, device=grey.device)
    x = (inside[:, :1] + steps)[:, None, :].expand(-1, LOOK, -1)
    y = (inside[:, 1:] + steps)[:, :, None].expand(-1, -1, LOOK)
    grid = torch.stack([x, y], dim=-1).to(grey.dtype)
    return F.grid_sample(grey, grid, padding_mode="border", align_corners=False)


def motion_channels(grey: Tensor) -> Tensor:
    """Map [B, T, H, W] to grey, deviation from the clip's mean, size of change [B, 3, T, H, W].

    Colour is look, not motion, so its three channels are given to motion instead.
    """
    deviation = DEVIATION_GAIN * (grey - grey.mean(dim=1, keepdim=True))
    return torch.stack([grey, deviation, CHANGE_GAIN * _change(grey)], dim=1)


def coarse_maps(grey: Tensor, steps: int) -> Tensor:
    """Return brightness and change in 8 x 8 cells per time step [B, 2 * 64, steps]."""
    both = torch.stack([grey, CELL_GAIN * _change(grey)], dim=1)
    cells = F.adaptive_avg_pool3d(both, (steps, CELLS, CELLS))
    return cells.flatten(3).transpose(2, 3).flatten(1, 2)


def _change(grey: Tensor) -> Tensor:
    """Size of change to the next frame; the last frame repeats the change before it."""
    change = grey.diff(dim=1).abs()
    return torch.cat([change, change[:, -1:]], dim=1)
