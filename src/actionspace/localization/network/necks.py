"""What lies between the pyramid and the heads."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.layers import MaskedConv1d, norm


class IdentityNeck(nn.Module):
    """The levels as they are, each normalised if wanted."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first = config.first_level
        self.fpn_norms = nn.ModuleList(
            norm(config.neck_dim, config.neck_norm) for _ in config.strides
        )

    def forward(self, levels: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels that are predicted from, ``[B, T_l, C]``."""
        pairs = zip(self.fpn_norms, levels[self.first :], strict=True)
        return [normed(level) for normed, level in pairs]


class FPN(nn.Module):
    """A feature pyramid network (Lin et al., CVPR 2017): coarse levels are added to finer ones."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.first, self.scale = config.first_level, config.scale_factor
        dim, bias = config.neck_dim, not config.neck_norm
        self.lateral_convs = nn.ModuleList(
            MaskedConv1d(config.width, dim, 1, bias=bias) for _ in config.strides
        )
        self.fpn_convs = nn.ModuleList(
            MaskedConv1d(dim, dim, 3, groups=dim, bias=bias) for _ in config.strides
        )
        self.fpn_norms = nn.ModuleList(norm(dim, config.neck_norm) for _ in config.strides)

    def forward(self, levels: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels that are predicted from, ``[B, T_l, C]``."""
        masks = masks[self.first :]
        sides = zip(self.lateral_convs, levels[self.first :], masks, strict=True)
        merged = self._merge([conv(level, mask)[0] for conv, level, mask in sides], masks)
        out = zip(self.fpn_convs, self.fpn_norms, merged, masks, strict=True)
        return [normed(conv(level, mask)[0]) for conv, normed, level, mask in out]

    def _merge(self, levels: list[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels with what coarser ones know."""
        out = list(levels)
        for i in range(len(out) - 1, 0, -1):
            out[i - 1] = out[i - 1] + out[i].repeat_interleave(self.scale, dim=1)
        return out


class CrossScaleFPN(FPN):
    """The same with a second way, from fine levels to coarse ones ("PANet", Liu et al., 2018)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        dim = config.neck_dim
        self.downsample_convs = nn.ModuleList(
            MaskedConv1d(dim, dim, 3, stride=self.scale, bias=not config.neck_norm)
            for _ in config.strides[1:]
        )

    def _merge(self, levels: list[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels with what coarser ones know, and then what finer ones do."""
        out = super()._merge(levels, masks)
        for i, conv in enumerate(self.downsample_convs):
            out[i + 1] = out[i + 1] + conv(out[i], masks[i])[0]
        return out


def create_neck(config: ModelConfig) -> IdentityNeck | FPN:
    """Return the neck that a network's options describe."""
    kinds: dict[str, type[IdentityNeck | FPN]] = {
        "identity": IdentityNeck,
        "fpn": FPN,
        "cs_fpn": CrossScaleFPN,
    }
    return kinds[config.neck](config)
