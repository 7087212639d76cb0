"""The switches of transformer v2: each acts in every kind of block, or is said not to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from actionspace.config import parse
from actionspace.errors import ConfigError
from actionspace.localization.network.attention import Attention
from actionspace.localization.network.blocks import TransformerBlock
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.layers import RMSNorm, SwiGLU
from actionspace.localization.network.rope import RotaryPositions
from actionspace.localization.network.switches import Switches, block_switches, without_effect
from tests.localization.networks import DIM, network, pad, tiny

OFF = {"rms_norm": False, "swiglu": False, "rope": False, "fused": False}
ON: dict[str, dict[str, Any]] = {
    "rms_norm": {"rms_norm": True},
    "swiglu": {"swiglu": True},
    "rope": {"rope": True},
    "rope_base": {"rope": True, "rope_base": 3.0},
    "kv_heads": {"kv_heads": 1},
    "convs": {"convs": True},
    "fused": {"fused": True},
}
BLOCKS = [(window, stride) for window in (-1, 5) for stride in (1, 2)]


def block(window: int, stride: int, **v2: Any) -> TransformerBlock:
    """A block of ``tiny`` whose norms and biases are not where they start."""
    config = tiny(backbone="transformer_v2", windows=window, v2=OFF | v2, drop_path=0.0)
    torch.manual_seed(1)
    made = TransformerBlock(
        16, 2, stride=stride, window=window, switches=block_switches(config, 1, stride)
    )
    values = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=values) * 0.5)
    return made.eval()


def run(made: TransformerBlock, time: int = 48) -> torch.Tensor:
    x = torch.randn(2, time, 16, generator=torch.Generator().manual_seed(3)) + 0.5
    mask = torch.arange(time) < torch.tensor([[time], [time // 2]])
    out: torch.Tensor = made(x * mask[..., None], mask)[0]
    return out


def take(made: TransformerBlock, other: TransformerBlock) -> None:
    """Give a block the weights of another, as far as it has such."""
    own = dict(made.named_parameters())
    for name, value in other.named_parameters():
        if name in own and own[name].shape == value.shape:
            own[name].data.copy_(value.data)


@pytest.mark.parametrize("switch", ON)
@pytest.mark.parametrize(("window", "stride"), BLOCKS)
def test_each_switch_acts_in_every_kind_of_block(window: int, stride: int, switch: str) -> None:
    if switch == "convs" and stride > 1:
        return  # they are always there
    before = block(window, stride, **({"rope": True} if switch == "rope_base" else {}))
    after = block(window, stride, **ON[switch])
    take(after, before)
    change = (run(after) - run(before)).abs().max()
    if switch == "fused":
        assert 0 <= change < 1e-4
        assert after.attn.fused and not before.attn.fused
    else:
        assert change > 1e-2


def test_all_of_them() -> None:
    """A network has no layer of the first version left, but for heads and neck."""
    model = network(backbone="transformer_v2", windows=[5, -1, 5, -1], v2={"kv_heads": 1})
    for made in (*model.backbone.stem, *model.backbone.branch):
        assert isinstance(made, TransformerBlock)
        assert isinstance(made.ln1, RMSNorm) and isinstance(made.ln2, RMSNorm)
        assert isinstance(made.mlp, SwiGLU)
        assert made.attn.rope is not None and made.attn.fused
        assert made.attn.key.out_channels == made.attn.value.out_channels == 8
        assert made.attn.convs == (made.stride > 1)
        assert not made.attn.convs or isinstance(made.attn.key_norm, RMSNorm)


def test_the_compat_mode_has_the_blocks_of_the_fork() -> None:
    v2 = {"compat": "fork", "kv_heads": 1, "fused": False}
    config = tiny(backbone="transformer_v2", windows=[-1, 5, -1, -1], v2=v2)
    modern = Switches(
        rms_norm=True, swiglu=True, rope_base=1e4, kv_heads=1, fused=False, convs=False
    )
    assert block_switches(config, 0, 1) == modern
    assert block_switches(config, 1, 2) == Switches(rms_norm=True, swiglu=True, relative=True)
    assert block_switches(config, 2, 2) == Switches(rms_norm=True, swiglu=True)


def test_width_of_the_hidden_layer() -> None:
    assert SwiGLU(512).w1.out_channels == 1408 and SwiGLU(24).w1.out_channels == 64
    for swiglu, width in ((True, 40), (False, 40)):
        model = network(backbone="transformer_v2", v2={"swiglu": swiglu}, hidden_dim=width)
        shapes = [p.shape[0] for n, p in model.named_parameters() if ".mlp." in n]
        assert set(shapes) == {width, 16}


@settings(max_examples=15)
@given(shift=st.integers(1, 12), window=st.sampled_from([-1, 5, 9]), kv=st.sampled_from([1, 2]))
def test_rotary_positions_are_relative(shift: int, window: int, kv: int) -> None:
    """Rows before the video change nothing, wherever they push it."""
    torch.manual_seed(0)
    made = Switches(rope_base=100.0, kv_heads=kv, convs=False)
    attention = Attention(16, 2, window=window, switches=made)
    x = torch.randn(1, 30, 16)
    there = torch.ones(1, 30, dtype=torch.bool)
    later, mask = (
        torch.cat([part.new_zeros(1, shift, *part.shape[2:]), part], 1) for part in (x, there)
    )
    with torch.no_grad():
        torch.testing.assert_close(
            attention(later, mask)[0][:, shift:], attention(x, there)[0], rtol=1e-4, atol=1e-5
        )
        assert attention.rope is not None
        before = attention(x, there)[0]
        attention.rope.inv_freq *= 2
        assert not torch.allclose(attention(x, there)[0], before)


@pytest.mark.parametrize("window", [-1, 5])
@pytest.mark.parametrize("fused", [False, True])
def test_shared_heads_are_heads_with_the_same_weights(window: int, fused: bool) -> None:
    """Also with a bias by offset, which each head of queries has for itself."""
    torch.manual_seed(0)
    made = {"fused": fused, "convs": False, "relative": True}
    shared = Attention(24, 6, window=window, switches=Switches(kv_heads=2, **made))
    single = Attention(24, 6, window=window, switches=Switches(**made))
    state = shared.state_dict()
    for name in ("key.weight", "key.bias", "value.weight", "value.bias"):
        heads = state[name].unflatten(0, (2, 4))
        state[name] = heads.repeat_interleave(3, dim=0).flatten(0, 1)
    single.load_state_dict(state)
    x, mask = torch.randn(2, 70, 24), torch.arange(70) < torch.tensor([[70], [41]])
    torch.testing.assert_close(shared(x, mask)[0], single(x, mask)[0], rtol=1e-4, atol=1e-5)


class Largest(TorchDispatchMode):
    """Notes the number of values in the largest tensor that anything computes."""

    found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for part in out if isinstance(out, tuple | list) else (out,):
            if isinstance(part, torch.Tensor):
                self.found = max(self.found, part.numel())
        return out


def largest(time: int, window: int, **switches: Any) -> int:
    made = Switches(rope_base=1e4, kv_heads=1, convs=False, **switches)
    attention = Attention(16, 2, window=window, switches=made)
    mask = torch.arange(time)[None] < time - 3
    with Largest() as seen:
        attention(torch.randn(1, time, 16), mask)[0].sum().backward()
    return seen.found


def test_no_table_of_scores_and_memory_linear_in_windows() -> None:
    assert largest(1024, -1) <= 2 * 1024 * 16  # what a layer of all heads has, twice
    assert largest(1024, -1, fused=False) >= 1024**2
    assert largest(2048, 9) == 2 * largest(1024, 9)


def test_every_parameter_learns() -> None:
    model = network(
        backbone="transformer_v2",
        windows=[5, -1, 5, 5],
        v2={"kv_heads": 1, "convs": True},
        relative_positions=True,
        neck="cs_fpn",
        head_skip=True,
        head_layers=4,
    ).train()
    said = model(*pad([torch.randn(DIM, 90), torch.randn(DIM, 50)], 96))
    (said.logits.square().sum() + said.offsets.square().sum()).backward()
    for name, parameter in model.named_parameters():
        # What all keys have in common does not change a softmax (without rotation).
        if not name.endswith("attn.key_norm.bias"):
            assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 4, "v2": {"kv_heads": 3}}, "heads 4 do not share v2.kv_heads 3 evenly"),
        ({"heads": 16}, "heads of an even width; embed_dim / heads is 1"),
        ({"windows": 8, "v2": {"compat": "fork"}}, "must be odd with v2.rope and v2.compat 'fork'"),
        ({"windows": 8, "relative_positions": True}, "must be odd with relative_positions"),
        ({"windows": [5, 5]}, "4 levels .* need one each"),
        ({"max_length": 97}, "must be a multiple of 32"),
    ],
)
def test_contradictions(changes: dict[str, Any], message: str) -> None:
    values = tiny().model_dump() | {"backbone": "transformer_v2"} | changes
    with pytest.raises(ConfigError, match=message):
        parse(ModelConfig, values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "transformer", "v2": {"rope": False}}, "means nothing for model.backbone"),
        ({"v2": {"compat": "fork"}}, "v2.rope acts in none of 5 blocks"),
        ({"windows": -1, "v2": {"compat": "fork", "kv_heads": 1}}, "v2.kv_heads acts in 2 of 5"),
        ({"windows": -1, "v2": {"compat": "fork", "fused": False}}, "v2.fused=false acts in 2 of"),
        ({"v2": {"compat": "fork", "rope": False, "convs": True}}, "v2.convs means nothing"),
        ({"v2": {"kv_heads": 2}}, "as many as model.heads"),
        ({"v2": {"rope": False, "rope_base": 500}}, "rope_base means nothing without"),
        ({"windows": -1, "relative_positions": True}, "relative_positions means nothing without"),
        (
            {"relative_positions": True, "v2": {"compat": "fork", "rope": False}},
            "relative_positions means nothing with model.v2.compat",
        ),
        ({"absolute_positions": True}, "both tell positions"),
    ],
)
def test_a_switch_without_effect_is_named(changes: dict[str, Any], message: str) -> None:
    assert any(
        message in said for said in without_effect(tiny(**{"backbone": "transformer_v2"} | changes))
    )


def test_nothing_is_said_of_what_acts() -> None:
    assert not without_effect(tiny())
    assert not without_effect(tiny(backbone="transformer_v2", v2={"kv_heads": 1, "fused": False}))
    assert not without_effect(tiny(backbone="transformer_v2", windows=-1))


def test_rotation_is_a_product_of_complex_numbers() -> None:
    torch.manual_seed(0)
    rope = RotaryPositions(6, 50.0)
    query, key = torch.randn(2, 3, 9, 6), torch.randn(2, 1, 9, 6)
    turns = torch.arange(9)[:, None] * 50.0 ** (-torch.arange(3) / 3)
    for x, got in zip((query, key), rope(query, key), strict=True):
        turned = torch.complex(x[..., :3], x[..., 3:]) * torch.exp(1j * turns)
        torch.testing.assert_close(got, torch.cat([turned.real, turned.imag], -1))
    half, _ = rope(query.bfloat16(), key.bfloat16())
    assert half.dtype == torch.bfloat16
