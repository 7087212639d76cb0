"""The switches of transformer v2, and what each makes of which block; no torch in here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from actionspace.config import Config

if TYPE_CHECKING:
    from actionspace.localization.network.config import ModelConfig


class TransformerV2Config(Config):
    """What a block of ``transformer_v2`` is made of. Each switch acts in every block: with windows,
    with all of the video in view, and where the pyramid grows coarser."""

    rms_norm: bool = True
    """Normalise by the root mean square, without a mean or a bias (Zhang and Sennrich, 2019)."""
    swiglu: bool = True
    """A gated hidden layer in place of GELU (Shazeer, 2020); with ``hidden_dim`` empty it has 8/3
    of the channels, rounded up to a multiple of 64."""
    rope: bool = True
    """Rotate queries and keys by their position (RoFormer: Su et al., 2021)."""
    rope_base: float = Field(default=10_000.0, gt=1)
    """How much longer the longest wave is than the shortest, roughly."""
    kv_heads: PositiveInt | None = None
    """Heads of keys and values, each shared by as many heads of queries (grouped-query attention:
    Ainslie et al., 2023); empty = as many as ``heads``."""
    fused: bool = True
    """Attention in one kernel, without a table of scores; false = written out, for comparison."""
    convs: bool = False
    """Depthwise convolutions before the projections also where the resolution stays, as in
    ActionFormer; where the pyramid grows coarser they are always there."""
    compat: Literal["none", "fork"] = "none"
    """``fork``: blocks as in version 1.5.0 of the ``actionformer`` package, to read its
    checkpoints. There RoPE, shared and fused heads act at full resolution without windows only;
    windows have a bias for each offset in place of RoPE."""


@dataclass(frozen=True)
class Switches:
    """What one transformer block is made of; without anything said, one of ActionFormer.

    Attributes:
        rms_norm: the kind of its two norms.
        inner_rms_norm: the kind of those behind the convolutions of attention.
        swiglu: a gated hidden layer.
        rope_base: of rotary positions, None = none.
        relative: a learnt bias by offset in windows.
        kv_heads: heads of keys and values, None = as many as of queries.
        fused: attention in one kernel.
        convs: depthwise convolutions before the projections.
    """

    rms_norm: bool = False
    inner_rms_norm: bool = False
    swiglu: bool = False
    rope_base: float | None = None
    relative: bool = False
    kv_heads: int | None = None
    fused: bool = True
    convs: bool = True


ORIGINAL = Switches()
"""A block of ActionFormer."""


def block_switches(config: ModelConfig, level: int, stride: int) -> Switches:
    """Return what a block is made of.

    Args:
        config: the network's.
        level: of the pyramid, 0 = stem.
        stride: of the block.
    """
    if config.backbone != "transformer_v2":
        return Switches(relative=config.relative_positions)
    v2 = config.v2
    windowed = config.level_windows[level] > 1
    rope = v2.rope_base if v2.rope else None
    if v2.compat == "none":
        return Switches(
            rms_norm=v2.rms_norm,
            inner_rms_norm=v2.rms_norm,
            swiglu=v2.swiglu,
            rope_base=rope,
            relative=config.relative_positions,
            kv_heads=v2.kv_heads,
            fused=v2.fused,
            convs=v2.convs or stride > 1,
        )
    if windowed or stride > 1:
        return Switches(rms_norm=v2.rms_norm, swiglu=v2.swiglu, relative=v2.rope and windowed)
    return Switches(
        rms_norm=v2.rms_norm,
        swiglu=v2.swiglu,
        rope_base=rope,
        kv_heads=v2.kv_heads,
        fused=v2.fused,
        convs=False,
    )


def contradiction(config: ModelConfig) -> str:
    """Return what does not go together in the switches of a ``transformer_v2``, or nothing."""
    v2, width = config.v2, config.width // config.heads
    if v2.kv_heads is not None and config.heads % v2.kv_heads:
        return f"heads {config.heads} do not share v2.kv_heads {v2.kv_heads} evenly"
    if v2.rope and width % 2:
        return f"v2.rope needs heads of an even width; embed_dim / heads is {width}"
    if any(s.relative for s in _blocks(config)) and any(
        w > 1 and w % 2 == 0 for w in config.level_windows
    ):
        why = "relative_positions" if v2.compat == "none" else "v2.rope and v2.compat 'fork'"
        return f"windows {list(config.level_windows)} must be odd with {why}"
    return ""


def without_effect(config: ModelConfig) -> list[str]:
    """Return a sentence for each option of the blocks that is set and does nothing, or little."""
    if config.backbone != "transformer_v2":
        if config.v2 != TransformerV2Config():
            return [f"model.v2 means nothing for model.backbone '{config.backbone}'."]
        return []
    v2, blocks = config.v2, list(_blocks(config))
    said = []
    if v2.compat == "fork":
        acting = {
            "rope": (v2.rope, sum(s.rope_base is not None for s in blocks)),
            "kv_heads": (v2.kv_heads is not None, sum(s.kv_heads is not None for s in blocks)),
            "fused=false": (not v2.fused, sum(not s.fused for s in blocks)),
        }
        said += [
            f"model.v2.{name} acts in {count or 'none'} of {len(blocks)} blocks: with model.v2."
            "compat 'fork' only in those of the stem, and only if windows[0] is at most 1."
            for name, (wanted, count) in acting.items()
            if wanted and count < len(blocks)
        ]
        if v2.convs:
            said.append("model.v2.convs means nothing with model.v2.compat 'fork'.")
    if v2.kv_heads == config.heads:
        said.append(f"model.v2.kv_heads {v2.kv_heads} are as many as model.heads: none is shared.")
    if not v2.rope and v2.rope_base != TransformerV2Config().rope_base:
        said.append("model.v2.rope_base means nothing without model.v2.rope.")
    windowed = any(window > 1 for window in config.level_windows)
    if config.relative_positions and (v2.compat == "fork" or not windowed):
        why = "with model.v2.compat 'fork' (v2.rope decides)" if windowed else "without windows"
        said.append(f"model.relative_positions means nothing {why}.")
    if v2.rope and config.absolute_positions:
        said.append("model.absolute_positions and model.v2.rope both tell positions; one will do.")
    return said


def _blocks(config: ModelConfig) -> Iterator[Switches]:
    for _ in range(config.stem_blocks):
        yield block_switches(config, 0, 1)
    for level in range(1, 1 + config.branch_blocks):
        yield block_switches(config, level, config.scale_factor)
