"""Models of transformers as backbones: clips in, features ``[B, D, T', H', W']`` out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from actionspace.encoders.hf_families import FAMILIES
from actionspace.errors import UsageError


class HFBackbone(nn.Module):
    """A model of transformers behind the surface of a backbone.

    Special tokens (class, registers) are dropped from the features. With another pool than
    ``mean`` the model's own vector takes their place, with one position in space: of each frame
    where it sees pictures, of the whole clip where it sees videos.
    """

    def __init__(self, model: Any, model_type: str, pool: str = "mean") -> None:
        """Wrap ``model``, whose config is of ``model_type``."""
        super().__init__()
        self.model = model
        self.model_type = model_type
        self.pool = pool
        self.stated = {"pool": pool}
        self.image = FAMILIES[model_type].image
        self.dim: int = model.config.hidden_size
        if pool == "joint" and model_type == "clip_vision_model":
            self.dim = model.visual_projection.out_features
        if pool == "pooler" and model_type == "vivit":
            self.dim = model.config.pooler_output_size

    def forward(self, x: Tensor) -> Tensor:
        """Encode clips ``[B, 3, T, H, W]`` into ``[B, D, T', H', W']``."""
        if self.image:
            return self._frame_by_frame(x)
        grid = self._grid(x)
        out = _CALLS[self.model_type](self.model, x.transpose(1, 2))
        if self.pool in ("pooler", "joint"):
            return _one(out.pooler_output.flatten(1))  # VideoPrism's is [B, 1, D]
        if self.pool == "cls":
            return _one(out.last_hidden_state[:, 0])
        return self._tokens(out.last_hidden_state, grid)

    def _frame_by_frame(self, x: Tensor) -> Tensor:
        batch, _, time, height, width = x.shape
        frames = x.transpose(1, 2).flatten(0, 1)
        out = _CALLS[self.model_type](self.model, frames)
        if self.pool == "mean":
            p = _pair(self.model.config.patch_size)
            grid = (1, height // p[0], width // p[1])
            y = _volume(out.last_hidden_state, grid)
        elif self.pool == "joint" and hasattr(out, "image_embeds"):
            y = _one(out.image_embeds)
        elif self.pool == "cls":
            y = _one(out.last_hidden_state[:, 0])
        else:
            y = _one(out.pooler_output)
        y = y[:, :, 0]
        return y.reshape(batch, time, *y.shape[1:]).transpose(1, 2)

    def _grid(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many tokens there are in time, height and width."""
        c = self.model.config
        _, _, time, height, width = x.shape
        if self.model_type == "pe_video_encoder":
            return time, 1, 1
        if self.model_type in _FIXED:
            size = _pair(c.image_size)
            if (time, height, width) != (c.num_frames, *size):
                raise UsageError(
                    f"This {self.model_type} model reads clips of {c.num_frames} frames of "
                    f"{size[0]}x{size[1]}, not {time} of {height}x{width}: its positions are fixed."
                )
        if self.model_type == "timesformer":
            tubelet: tuple[int, ...] = (1, *_pair(c.patch_size))
        elif self.model_type == "videomae":
            tubelet = (c.tubelet_size, *_pair(c.patch_size))
        else:
            tubelet = tuple(c.tubelet_size)
        return time // tubelet[0], height // tubelet[1], width // tubelet[2]

    def _tokens(self, tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
        if self.model_type == "timesformer":  # place by place, the times of each one together
            time, height, width = grid
            return _volume(tokens, (height, width, time)).permute(0, 1, 4, 2, 3)
        return _volume(tokens, grid)


_FIXED = ("videomae", "vivit")


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def _volume(tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Return the last tokens ``[B, N, D]`` on their grid, ``[B, D, *grid]``; others come first."""
    count = grid[0] * grid[1] * grid[2]
    patches = tokens[:, tokens.shape[1] - count :].transpose(1, 2)
    return patches.reshape(*patches.shape[:2], *grid)


def _one(vector: Tensor) -> Tensor:
    return vector[..., None, None, None]


def _plain(model: Any, x: Tensor) -> Any:
    return model(x)


def _any_size(model: Any, x: Tensor) -> Any:
    """Positions are interpolated only where they must be."""
    c = model.config
    known = _pair(c.image_size) == tuple(x.shape[-2:])
    known = known and (x.ndim == 4 or x.shape[1] == c.num_frames)
    return model(x, interpolate_pos_encoding=not known)


def _patches(model: Any, x: Tensor) -> Any:
    """SigLIP-2 reads a list of patches with the shape of their grid; nothing is padded here."""
    p = model.config.patch_size
    batch, channels, height, width = x.shape
    rows, columns = height // p, width // p
    y = x.unfold(2, p, p).unfold(3, p, p)[:, :, :rows, :columns]  # [B, C, rows, columns, p, p]
    y = y.permute(0, 2, 3, 4, 5, 1).reshape(batch, rows * columns, p * p * channels)
    shapes = torch.tensor([[rows, columns]], device="cpu").expand(batch, 2)  # read as numbers
    return model(pixel_values=y, pixel_attention_mask=None, spatial_shapes=shapes)


_CALLS = {
    "videomae": _plain,
    "vivit": _plain,
    "timesformer": _plain,
    "videoprism_vision_model": _any_size,
    "dinov2": _plain,
    "dinov2_with_registers": _plain,
    "dinov3_vit": _plain,
    "clip_vision_model": _any_size,
    "siglip_vision_model": _any_size,
    "siglip2_vision_model": _patches,
    "pe_video_encoder": _plain,
}
