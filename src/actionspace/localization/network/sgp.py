"""Blocks of scalable granularity perception, TriDet's in place of attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.layers import ChannelNorm, Pointwise, drop_path, time_last
from actionspace.localization.network.tridet_config import GROUPS


class SgpBlock(nn.Module):
    """The block of "TriDet: Temporal Action Detection with Relative Boundary Modeling".

    Shi et al., CVPR 2023, section 3.2: a gate from the mean over time (instant level) and one from
    each cell's surroundings (window level) weigh depthwise convolutions of the normalised input.
    Only the shortcut is masked, so that padded cells take part in the mean and in the norm over
    time: results depend on how far a video is padded.

    Five convolutions that are all zero add nothing and are left out, which is exact. Whether they
    are is looked at when weights are loaded and when the mode is set (``train``, ``eval``).

    Args:
        channels: of input and output; a multiple of 16.
        stride: how much coarser the output is.
        window: cells of the narrow convolutions, odd.
        wide: cells of the wide one, odd.
        hidden: channels of the small network for each cell.
        path: probability with which a branch is dropped while training; 0 = no learnt scales.
        downsample: ``max`` or ``avg``.
        init_std: of the weights of the five convolutions.
    """

    def __init__(
        self,
        channels: int,
        *,
        stride: int = 1,
        window: int = 1,
        wide: int = 11,
        hidden: int | None = None,
        path: float = 0.0,
        downsample: str = "max",
        init_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.downsample = _downsample(channels, stride, downsample)
        self.ln = ChannelNorm(channels)
        self.gn = nn.GroupNorm(GROUPS, channels)
        self.psi = _depthwise(channels, window, init_std)
        self.fc = _depthwise(channels, 1, init_std)
        self.convw = _depthwise(channels, window, init_std)
        self.convkw = _depthwise(channels, wide, init_std)
        self.global_fc = _depthwise(channels, 1, init_std)
        hidden = hidden or 4 * channels
        self.mlp = nn.Sequential(
            Pointwise(channels, hidden), nn.GELU(), Pointwise(hidden, channels)
        )
        self.drop_path_out = drop_path(channels, path)
        self.drop_path_mlp = drop_path(channels, path)
        self._look()
        self.register_load_state_dict_post_hook(_look_again)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, T / stride, C]`` and its mask, for ``x [B, T, C]``, ``mask [B, T]``."""
        mask = mask[:, :: self.stride]
        x = self.downsample(x.mT).mT
        x = x * mask.unsqueeze(-1) + self.drop_path_out(self._mix(self.ln(x)))
        normed = functional.group_norm(x.mT, GROUPS, self.gn.weight, self.gn.bias, self.gn.eps).mT
        return x + self.drop_path_mlp(self.mlp(normed)), mask

    def train(self, mode: bool = True) -> SgpBlock:
        """Set the mode."""
        self._look()
        return super().train(mode)

    def _mix(self, x: Tensor) -> Tensor:
        """Return ``x [B, T, C]`` with what the convolutions find in it."""
        if self.idle:
            # Nothing but gradients of zero, which processes that train together exchange.
            return x + 0 * sum(p.sum() for p in self._mixers()) if self.training else x
        x = time_last(x).mT
        gate = self.global_fc(x.mean(dim=-1, keepdim=True)).relu()
        near = (self.convw(x) + self.convkw(x)) * self.psi(x)
        mixed: Tensor = self.fc(x) * gate + near + x
        return mixed.mT

    def _mixers(self) -> list[Tensor]:
        """Return weights and biases of the five convolutions."""
        convs = (self.psi, self.fc, self.convw, self.convkw, self.global_fc)
        return [parameter for conv in convs for parameter in conv.parameters()]

    @torch.no_grad()
    def _look(self) -> None:
        values = self._mixers()
        self.idle = not values[0].is_meta and not any(bool(p.any()) for p in values)


def _look_again(block: SgpBlock, keys: object) -> None:
    block._look()


def _depthwise(channels: int, kernel: int, std: float) -> nn.Conv1d:
    conv = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
    nn.init.normal_(conv.weight, std=std)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def _downsample(channels: int, stride: int, how: str) -> nn.Module:
    """Return what makes ``[B, C, T]`` coarser. Padded cells take part."""
    if stride == 1:
        return nn.Identity()
    if how == "max":
        return nn.MaxPool1d(stride + 1, stride, padding=(stride + 1) // 2)
    mix = nn.Conv1d(channels, channels, 1)
    assert mix.bias is not None
    nn.init.zeros_(mix.bias)
    return nn.Sequential(nn.AvgPool1d(stride), mix)
