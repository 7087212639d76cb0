"""ActionFormer as its paper and published code describe it, in plain PyTorch: the other side.

Channels first; norms of several passes; windows of attention by sliding chunks, with the copies and
paddings that these take; every mask applied where it is in the original; heads level by level;
targets video by video. It computes with the parameters of an ``ActionFormer`` and gives its
numbers (``tests/golden/test_localization_plain.py``), so that only how it computes differs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from actionspace.heads.focal import focal_loss
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.segment_losses import diou_loss
from actionspace.localization.network.model import ActionFormer
from actionspace.localization.network.points import level_points


class PlainActionFormer(nn.Module):
    """The network of ``net``, computed plainly. Takes ``[B, C, T]`` and a mask ``[B, 1, T]``."""

    def __init__(self, net: ActionFormer) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, mask: Tensor) -> tuple[list[Tensor], ...]:
        """Return points ``[T_l, 4]``, masks ``[B, T_l]``, logits and offsets of the levels."""
        net, levels, masks = self.net, [], []
        backbone = net.backbone
        if backbone.split:
            parts = x.split(backbone.split, dim=1)
            x = torch.cat(
                [conv(p, part, mask)[0] for p, part in zip(backbone.proj, parts, strict=True)], 1
            )
        for layer, norm in zip(backbone.embd, backbone.embd_norm, strict=True):
            x = functional.relu(channel_norm(norm, conv(layer, x, mask)[0]))
        if backbone.pos_embd is not None:
            x = x + backbone._positions(backbone.pos_embd, x.shape[-1]).T * mask
        for block in backbone.stem:
            x, mask = self._block(block, x, mask)
        levels, masks = [x], [mask]
        for block in backbone.branch:
            x, mask = self._block(block, x, mask)
            levels.append(x)
            masks.append(mask)
        levels, masks = self._neck(levels, masks)
        logits, offsets = [], []
        for number, (level, mask) in enumerate(zip(levels, masks, strict=True)):
            x = self._trunk(net.cls_head, level, mask)
            logits.append(conv(net.cls_head.cls_head, x, mask)[0].permute(0, 2, 1))
            x = self._trunk(net.reg_head, level, mask)
            x = conv(net.reg_head.offset_head, x, mask)[0]
            offsets.append(functional.relu(net.reg_head.scale[number](x)).permute(0, 2, 1))
        points = [level_points(net.config, i, m.shape[-1], m.device) for i, m in enumerate(masks)]
        return points, [mask.squeeze(1) for mask in masks], logits, offsets

    def _neck(self, levels: list[Tensor], masks: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        neck = self.net.neck
        levels, masks = levels[neck.first :], masks[neck.first :]
        if hasattr(neck, "lateral_convs"):
            pairs = zip(neck.lateral_convs, levels, masks, strict=True)
            levels = [conv(layer, level, mask)[0] for layer, level, mask in pairs]
            for i in range(len(levels) - 1, 0, -1):
                levels[i - 1] = levels[i - 1] + functional.interpolate(
                    levels[i], scale_factor=neck.scale, mode="nearest"
                )
            pairs = zip(neck.fpn_convs, levels, masks, strict=True)
            levels = [conv(layer, level, mask)[0] for layer, level, mask in pairs]
        return [channel_norm(n, x) for n, x in zip(neck.fpn_norms, levels, strict=True)], masks

    def _trunk(self, head: Any, x: Tensor, mask: Tensor) -> Tensor:
        for layer, norm in zip(head.head, head.norm, strict=True):
            x = functional.relu(channel_norm(norm, conv(layer, x, mask)[0]))
        return x

    def _block(self, block: Any, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if not hasattr(block, "attn"):
            short = x if block.downsample is None else conv(block.downsample, x, mask)[0]
            y, mask = conv(block.conv1, x, mask)
            return functional.relu(conv(block.conv2, functional.relu(y), mask)[0] + short), mask
        y, small = attention(block.attn, channel_norm(block.ln1, x), mask)
        if block.stride > 1:
            width = block.stride + 1
            x = functional.max_pool1d(x, width, block.stride, padding=width // 2)
        x = x * small + path(block.drop_path_attn, y)
        first, _, drop, second, last = block.mlp
        hidden = drop(functional.gelu(pointwise(first, channel_norm(block.ln2, x))))
        return x + path(block.drop_path_mlp, last(pointwise(second, hidden)) * small), small


def conv(layer: Any, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    y = layer.conv(x)
    if layer.conv.stride[0] > 1:
        mask = functional.interpolate(mask.to(x.dtype), size=y.shape[-1], mode="nearest")
    return y * mask.to(x.dtype), mask.bool()


def pointwise(layer: Any, x: Tensor) -> Tensor:
    return functional.conv1d(x, layer.weight, layer.bias)


def channel_norm(norm: Any, x: Tensor) -> Tensor:
    if isinstance(norm, nn.Identity):
        return x
    centred = x - x.mean(dim=1, keepdim=True)
    variance = (centred**2).mean(dim=1, keepdim=True)
    return centred / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias


def path(drop: Any, x: Tensor) -> Tensor:
    if isinstance(drop, nn.Identity):
        return x
    x = drop.scale * x
    if not drop.training or drop.rate == 0:
        return x
    keep = 1 - drop.rate
    alive = torch.rand(len(x), 1, 1, dtype=x.dtype, device=x.device).add_(keep).floor_()
    return x.div(keep) * alive


def attention(attn: Any, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    parts = []
    for name in ("query", "key", "value"):
        y, small = conv(getattr(attn, f"{name}_conv"), x, mask)
        y = pointwise(getattr(attn, name), channel_norm(getattr(attn, f"{name}_norm"), y))
        parts.append(y.view(len(y), attn.heads, -1, y.shape[-1]).transpose(2, 3))
    query, key, value = parts
    batch, heads, time, dim = query.shape
    query = query * dim**-0.5
    if attn.window > 1:
        flat = [part.reshape(batch * heads, time, dim) for part in (query, key, value)]
        out = banded(*flat, small, attn.window // 2, heads, attn.rel_pe)
        out = out.view(batch, heads, time, dim)
    else:
        scores = query @ key.transpose(-2, -1)
        scores = scores.masked_fill(~small[:, :, None], float("-inf"))
        out = scores.softmax(-1) @ (value * small[..., None])
    out = out.transpose(2, 3).reshape(batch, heads * dim, time)
    return attn.proj_drop(pointwise(attn.proj, out)) * small, small


def banded(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, half: int, heads: int, bias: Any
) -> Tensor:
    """Attention ``[B H, T, D]`` by sliding chunks; the band is a table ``[B H, T, 2 half + 1]``."""
    rows, time, _ = query.shape
    scores = band_scores(query, key, half, float("-inf"))
    scores = scores.view(-1, heads, time, 2 * half + 1)
    if bias is not None:
        scores = scores + bias.transpose(1, 2)
    padded = (~mask).transpose(1, 2).to(query.dtype) * -1e4
    scores = scores + band_scores(torch.ones_like(padded), padded, half, 0.0).unsqueeze(1)
    probability = scores.softmax(-1).masked_fill(~mask.unsqueeze(-1), 0.0)
    return band_product(probability.view(rows, time, -1), value, half)


def band_scores(query: Tensor, key: Tensor, half: int, outside: float) -> Tensor:
    """The scores of keys ``half`` to each side: chunks of ``2 half``, overlapping by half."""
    rows, time, _ = query.shape
    chunks = [x.unfold(1, 2 * half, half).transpose(2, 3) for x in (query, key)]
    scores = torch.einsum("ncxd,ncyd->ncxy", *chunks)
    count, width = scores.shape[1], 4 * half + 1
    # Shear: what lies on a diagonal comes to lie in a column.
    sheared = functional.pad(scores, (half, half + 1)).flatten(2)
    sheared = functional.pad(sheared, (0, 2 * half)).view(rows, count, 2 * half, width + 1)
    band = scores.new_zeros(rows, count + 1, half, 2 * half + 1)
    band[:, :-1, :, half:] = sheared[:, :, :half, half : 2 * half + 1]
    band[:, -1, :, half:] = sheared[:, -1, half:, half : 2 * half + 1]
    band[:, 1:, :, :half] = sheared[:, :, half:, :half]
    band[:, 0, :, :half] = sheared[:, 0, :half, :half]
    table = band.view(rows, time, 2 * half + 1)
    place = torch.arange(time, device=query.device)[:, None]
    place = place + torch.arange(-half, half + 1, device=query.device)
    return table.masked_fill((place < 0) | (place >= time), outside)


def band_product(probability: Tensor, value: Tensor, half: int) -> Tensor:
    rows, time, dim = value.shape
    chunks = functional.pad(value, (0, 0, half, half)).unfold(1, 3 * half, half).transpose(2, 3)
    table = probability.view(rows, time // half, half, 2 * half + 1)
    table = functional.pad(table, (0, half)).flatten(2)[..., : 3 * half * half]
    table = table.view(rows, time // half, half, 3 * half)
    return torch.einsum("ncxy,ncyd->ncxd", table, chunks).reshape(rows, time, dim)


class PlainLoss:
    """Targets video by video, losses of the chosen points; ``norm`` is the running normaliser."""

    def __init__(self, config: LossConfig) -> None:
        self.config, self.norm = config, config.initial_norm

    def __call__(self, outputs: tuple[list[Tensor], ...], videos: list[Any]) -> dict[str, Tensor]:
        """Return the losses; ``videos`` has ``segments [N, 2]`` and ``labels [N]`` of each."""
        points, masks, logits, offsets = outputs
        points, valid = torch.cat(points), torch.cat(masks, dim=1)
        logits, offsets = torch.cat(logits, dim=1), torch.cat(offsets, dim=1)
        found = [self.targets(points, v["segments"], v["labels"], logits.shape[-1]) for v in videos]
        classes, ends = (torch.stack(part) for part in zip(*found, strict=True))
        positive = (classes.sum(-1) > 0) & valid
        count = int(positive.sum().item())
        self.norm = 0.9 * self.norm + 0.1 * max(count, 1)
        wanted = classes[valid] * (1 - self.config.label_smoothing)
        wanted = wanted + self.config.label_smoothing / (logits.shape[-1] + 1)
        class_loss = focal_loss(logits[valid], wanted).sum() / self.norm
        if count:
            regression_loss = diou_loss(offsets[positive], ends[positive]).sum() / self.norm
        else:
            regression_loss = 0 * offsets[positive].sum()
        weight = self.config.regression_weight
        if weight is None:
            weight = class_loss.detach() / max(regression_loss.item(), 0.01)
        return {
            "loss": class_loss + weight * regression_loss,
            "class_loss": class_loss,
            "regression_loss": regression_loss,
        }

    def targets(
        self, points: Tensor, segments: Tensor, labels: Tensor, classes: int
    ) -> tuple[Tensor, Tensor]:
        cells, events = len(points), len(labels)
        if not events:
            return points.new_zeros(cells, classes), points.new_zeros(cells, 2)
        length = (segments[:, 1] - segments[:, 0])[None].repeat(cells, 1)
        spans = segments[None].expand(cells, events, 2)
        ends = torch.stack([points[:, :1] - spans[..., 0], spans[..., 1] - points[:, :1]], -1)
        if self.config.center_sampling == "radius":
            centre = spans.mean(-1)
            reach = points[:, 3:] * self.config.center_radius
            low, high = torch.maximum(centre - reach, spans[..., 0]), centre + reach
            near = torch.stack(
                [points[:, :1] - low, torch.minimum(high, spans[..., 1]) - points[:, :1]], -1
            )
            inside = near.min(-1)[0] > 0
        else:
            inside = ends.min(-1)[0] > 0
        farther = ends.max(-1)[0]
        fits = (farther >= points[:, 1:2]) & (farther <= points[:, 2:3])
        length = length.masked_fill(~inside, torch.inf).masked_fill(~fits, torch.inf)
        shortest, which = length.min(1)
        alike = (length <= shortest[:, None] + 1e-3) & (length < torch.inf)
        hot = functional.one_hot(labels, classes).to(points.dtype)
        wanted = (alike.to(points.dtype) @ hot).clamp(0, 1)
        return wanted, ends[range(cells), which] / points[:, 3:]
