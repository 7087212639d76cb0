"""X3D architectures as plain data, with parameters and operations counted by formula.

Nothing here imports torch, so that listing encoders is instant.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


def round_width(width: float, factor: float = 1.0, divisor: int = 8) -> int:
    """Return ``width * factor`` rounded to a multiple of ``divisor``, by at most 10 % down."""
    exact = width * factor
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded


@dataclass(frozen=True)
class X3DArchitecture:
    """The options of :class:`~actionspace.encoders.x3d.X3D` that shape it.

    Attributes:
        stem_dim: channels of the stem.
        widths: output channels of each stage.
        depths: blocks per stage.
        bottleneck: inner over output channels of a block.
        se_ratio: width of squeeze-and-excitation over the inner channels.
        head_dim: channels D of the features.
        shortcut_bn_on_stride: BatchNorm also on a shortcut that only strides (PySlowFast).
        bn_lin5: BatchNorm behind the head's last convolution.
    """

    stem_dim: int = 24
    widths: tuple[int, ...] = (24, 48, 96, 192)
    depths: tuple[int, ...] = (3, 5, 11, 7)
    bottleneck: float = 2.25
    se_ratio: float = 0.0625
    head_dim: int = 2048
    shortcut_bn_on_stride: bool = False
    bn_lin5: bool = False

    @property
    def dim(self) -> int:
        """Channels of the features."""
        return self.head_dim

    @property
    def inner(self) -> list[int]:
        """Channels inside the blocks of each stage."""
        return [int(self.bottleneck * width) for width in self.widths]

    def options(self) -> dict[str, Any]:
        """Return the backbone's keyword arguments."""
        return asdict(self)

    def parameters(self, classes: int = 0) -> int:
        """Count parameters, those of a linear head of ``classes`` outputs included."""
        total = self.stem_dim * (27 + 5 + 2)
        dim = self.stem_dim
        for width, inner, depth in zip(self.widths, self.inner, self.depths, strict=True):
            for block in range(depth):
                total += inner * (dim + 2 + 27 + 2 + width) + 2 * width
                if block % 2 == 0:
                    squeezed = round_width(inner, self.se_ratio)
                    total += 2 * inner * squeezed + squeezed + inner
                if block == 0:
                    has_bn = dim != width or self.shortcut_bn_on_stride
                    total += dim * width + (2 * width if has_bn else 0)
                dim = width
        total += self.inner[-1] * (dim + 2 + self.head_dim) + 2 * self.head_dim * self.bn_lin5
        return total + (classes * (self.head_dim + 1) if classes else 0)

    def multiply_adds(self, frames: int, height: int, width: int) -> int:
        """Count the multiply-adds of one clip's forward pass (the literature's "FLOPs").

        Convolutions with their padding; norms, activations and means are left out, as usual.
        """
        h, w = -(-height // 2), -(-width // 2)
        total = frames * h * w * self.stem_dim * (27 + 5)
        dim = self.stem_dim
        for out, inner, depth in zip(self.widths, self.inner, self.depths, strict=True):
            for block in range(depth):
                total += frames * h * w * dim * inner  # Before the stride.
                if block == 0:
                    h, w = -(-h // 2), -(-w // 2)
                    total += frames * h * w * dim * out
                total += frames * h * w * inner * (27 + out)
                if block % 2 == 0:
                    total += 2 * inner * round_width(inner, self.se_ratio)
                dim = out
        return total + frames * h * w * dim * self.inner[-1] + self.inner[-1] * self.head_dim


X3D_XSM = X3DArchitecture()
"""Of XS, S and M, which differ only in the clips they are fed."""
X3D_L = X3DArchitecture(depths=(5, 10, 25, 15))
