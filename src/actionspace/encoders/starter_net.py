"""The starter encoder's network: a small Video Swin that also looks where it has learned to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actionspace.encoders.starter import ARCHITECTURE, DIM, PLACES
from actionspace.encoders.swin3d import SwinTransformer3D


class StarterNet(nn.Module):
    """Video Swin features of grey and change, beside the same weighted by a few learned places.

    A small animal fills few of the 8 x 8 tokens, so their plain mean hardly tells what it does.
    A linear layer scores every token for each of ``PLACES`` places; the scores become weights
    by a softmax over space within each time step. The output at a token is its features, then
    for each place the features and the moments x, y, x^2, y^2, xy of its coordinates (-1 to 1),
    scaled by weight times number of tokens. Their mean over space is thus the features' mean,
    their weighted means, and the position and extent of each place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.swin = SwinTransformer3D(**ARCHITECTURE.options())
        self.places = nn.Linear(self.swin.dim, PLACES)
        nn.init.normal_(self.places.weight, std=0.1)
        nn.init.zeros_(self.places.bias)
        self.dim = DIM

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised clips [B, 3, T, H, W] to features [B, DIM, T / 4, H / 16, W / 16]."""
        return self.attend(self.swin(motion_channels(x)))

    def attend(self, features: Tensor) -> Tensor:
        """Map the Swin's features [B, C, T', H', W'] to [B, DIM, T', H', W']."""
        batch, _, t, h, w = features.shape
        scores = self.places(features.movedim(1, -1)).flatten(2, 3)  # [B, T', H' W', PLACES]
        weights = scores.softmax(dim=2).movedim(-1, 1).reshape(batch, PLACES, t, h, w) * (h * w)
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, h, device=features.device),
            torch.linspace(-1, 1, w, device=features.device),
            indexing="ij",
        )
        moments = torch.stack([x, y, x * x, y * y, x * y]).to(features.dtype)[None, :, None]
        seen = torch.cat([features, moments.expand(batch, -1, t, -1, -1)], dim=1)
        weighted = (weights.unsqueeze(2) * seen.unsqueeze(1)).flatten(1, 2)
        return torch.cat([features, weighted], dim=1)


def motion_channels(x: Tensor) -> Tensor:
    """Map clips [B, 3, T, H, W] to grey, its deviation from the clip's mean, and its next change.

    Colour is look, not motion, so its three channels are given to motion instead. The last change
    is zero; both are magnified, since most of a scene stands still.
    """
    grey = x.mean(dim=1)
    deviation = grey - grey.mean(dim=1, keepdim=True)
    change = torch.cat([grey.diff(dim=1), torch.zeros_like(grey[:, :1])], dim=1)
    return torch.stack([grey, 3 * deviation, 3 * change], dim=1)
