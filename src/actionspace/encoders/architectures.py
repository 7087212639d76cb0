"""Video Swin architectures as plain data, with parameters and operations counted by formula.

Nothing here imports torch, so that listing encoders is instant.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from actionspace.encoders.spec import ClipSpec

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class SwinArchitecture:
    """The options of :class:`~actionspace.encoders.swin3d.SwinTransformer3D` that shape it."""

    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    drop_path_rate: float
    patch_size: Triple = (2, 4, 4)
    window_size: Triple = (8, 7, 7)
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    patch_norm: bool = True
    network = "actionspace.encoders.swin3d:SwinTransformer3D"
    clip = ClipSpec()

    @property
    def dim(self) -> int:
        """Channels of the features."""
        return int(self.embed_dim * 2 ** (len(self.depths) - 1))

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.embed_dim * 2**i for i in range(len(self.depths))]

    @property
    def buffer_bytes(self) -> int:
        """What the index buffers take in a published file."""
        return sum(self.depths) * math.prod(self.window_size) ** 2 * 8

    def describe(self) -> str:
        """Say in a few words what it is."""
        return f"Swin width {self.embed_dim}, depths " + "-".join(map(str, self.depths))

    def options(self) -> dict[str, Any]:
        """Return the backbone's keyword arguments."""
        return asdict(self)

    def parameters(self, classes: int = 0) -> int:
        """Count parameters, those of a linear head of ``classes`` outputs included."""
        table = math.prod(2 * w - 1 for w in self.window_size)
        total = self.embed_dim * (3 * math.prod(self.patch_size) + 1)
        total += 2 * self.embed_dim if self.patch_norm else 0
        for width, depth, heads in zip(self.widths, self.depths, self.num_heads, strict=True):
            hidden = int(width * self.mlp_ratio)
            attention = 4 * width * width + width * (4 if self.qkv_bias else 1) + table * heads
            mlp = 2 * width * hidden + hidden + width
            total += depth * (attention + mlp + 4 * width)
            if width != self.dim:
                total += 8 * width + 8 * width * width
        return total + 2 * self.dim + classes * (self.dim + 1 if classes else 0)

    def multiply_adds(self, frames: int, height: int, width: int) -> int:
        """Count the multiply-adds of one clip's forward pass (the literature's "FLOPs").

        Convolution, Linears and both attention products, padding included; norms, softmax and
        activations are left out, as usual.
        """
        t, h, w = (
            -(-n // p) for n, p in zip((frames, height, width), self.patch_size, strict=True)
        )
        total = t * h * w * 3 * math.prod(self.patch_size) * self.embed_dim
        for channels, depth in zip(self.widths, self.depths, strict=True):
            tokens, window = self._padded((t, h, w))
            attention = tokens * channels * (4 * channels + 2 * window)
            mlp = t * h * w * 2 * channels * int(channels * self.mlp_ratio)
            total += depth * (attention + mlp)
            if channels != self.dim:
                h, w = -(-h // 2), -(-w // 2)
                total += t * h * w * 8 * channels * channels
        return total

    def _padded(self, size: Triple) -> tuple[int, int]:
        """Return tokens after padding to whole windows, and tokens per window."""
        window = [min(n, w) for n, w in zip(size, self.window_size, strict=True)]
        tokens = math.prod(-(-n // w) * w for n, w in zip(size, window, strict=True))
        return tokens, math.prod(window)


TINY = SwinArchitecture(96, (2, 2, 6, 2), (3, 6, 12, 24), drop_path_rate=0.1)
SMALL = SwinArchitecture(96, (2, 2, 18, 2), (3, 6, 12, 24), drop_path_rate=0.1)
BASE = SwinArchitecture(128, (2, 2, 18, 2), (4, 8, 16, 32), drop_path_rate=0.2)
LARGE = SwinArchitecture(192, (2, 2, 18, 2), (6, 12, 24, 48), drop_path_rate=0.2)
BASE_1K = SwinArchitecture(128, (2, 2, 18, 2), (4, 8, 16, 32), drop_path_rate=0.3)
BASE_SSV2 = SwinArchitecture(
    128, (2, 2, 18, 2), (4, 8, 16, 32), drop_path_rate=0.4, window_size=(16, 7, 7)
)
