"""From features to a pyramid of ever coarser ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.localization.network.blocks import ConvBlock, TransformerBlock
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.layers import MaskedConv1d, norm
from actionspace.localization.network.sgp import SgpBlock
from actionspace.localization.network.switches import block_switches


class Backbone(nn.Module):
    """Embedding, stem and branch of ActionFormer.

    Args:
        config: the network's.
        dim: values per row of features.
    """

    pos_embd: Tensor | None

    def __init__(self, config: ModelConfig, dim: int) -> None:
        super().__init__()
        width = config.width
        self.split = list(config.input_split)
        self.proj = nn.ModuleList()
        if not isinstance(config.embed_dim, int) and self.split:
            self.proj.extend(
                MaskedConv1d(part, out, 1)
                for part, out in zip(self.split, config.embed_dim, strict=True)
            )
            dim = width
        self.noise = config.input_noise
        rate = config.input_dropout
        self.drop = nn.Dropout1d(rate) if rate else nn.Identity()
        self.embd = nn.ModuleList(
            MaskedConv1d(
                width if i else dim, width, config.embed_kernel, bias=not config.embed_norm
            )
            for i in range(config.embed_layers)
        )
        rms = config.backbone == "transformer_v2" and config.v2.rms_norm
        self.embd_norm = nn.ModuleList(norm(width, config.embed_norm, rms=rms) for _ in self.embd)
        positions = None
        if config.backbone != "conv" and config.absolute_positions:
            positions = sinusoids(config.max_length, width) / width**0.5
        self.register_buffer("pos_embd", positions, persistent=False)
        stem, branch = config.stem_blocks, config.branch_blocks
        self.stem = nn.ModuleList(_block(config, 0, 1) for _ in range(stem))
        self.branch = nn.ModuleList(
            _block(config, 1 + i, config.scale_factor) for i in range(branch)
        )

    def forward(self, x: Tensor, mask: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the levels ``[B, T_l, C]`` and their masks, finest first.

        Args:
            x: features ``[B, T, dim]``.
            mask: bool ``[B, T]``.
        """
        if self.training and self.noise:
            x = x + self.noise * torch.randn_like(x)
        if self.split:
            parts = torch.split(x, self.split, dim=-1)
            x = torch.cat([p(part, mask)[0] for p, part in zip(self.proj, parts, strict=True)], -1)
        x = self.drop(x.mT).mT
        for conv, normed in zip(self.embd, self.embd_norm, strict=True):
            x = normed(conv(x, mask)[0]).relu()
        if self.pos_embd is not None:
            x = x + self._positions(self.pos_embd, x.shape[1]) * mask.unsqueeze(-1)
        for block in self.stem:
            x, mask = block(x, mask)
        levels, masks = [x], [mask]
        for block in self.branch:
            x, mask = block(x, mask)
            levels.append(x)
            masks.append(mask)
        return levels, masks

    def _positions(self, table: Tensor, time: int) -> Tensor:
        """Return what is added to ``time`` rows; a longer video has the table stretched."""
        if time <= len(table):
            return table[:time]
        stretched = functional.interpolate(table.mT.unsqueeze(0), time, mode="linear")
        return stretched[0].mT


def _block(config: ModelConfig, level: int, stride: int) -> nn.Module:
    if config.backbone == "conv":
        return ConvBlock(config.width, stride=stride)
    if config.backbone == "sgp":
        return _sgp(config, level, stride)
    return TransformerBlock(
        config.width,
        config.heads,
        stride=stride,
        window=config.level_windows[level],
        dropout=config.dropout,
        path=config.drop_path,
        hidden=config.hidden_dim,
        switches=block_switches(config, level, stride),
    )


def _sgp(config: ModelConfig, level: int, stride: int) -> SgpBlock:
    """Return a block of TriDet; those of the stem see single cells and have no learnt scales."""
    how, stem = config.sgp, level == 0
    window = 1 if stem else how.level_windows(1 + config.branch_blocks)[level]
    return SgpBlock(
        config.width,
        stride=stride,
        window=window,
        wide=how.wide(window),
        hidden=how.hidden,
        path=0.0 if stem else config.drop_path,
        downsample=how.downsample,
        init_std=how.init_std,
    )


def sinusoids(length: int, channels: int) -> Tensor:
    """Return the positions' sines and cosines, ``[length, channels]`` (Vaswani et al., 2017)."""
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    channel = torch.arange(channels, dtype=torch.float64)
    angle = position / 10_000 ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
