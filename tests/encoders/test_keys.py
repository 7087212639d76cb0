"""Layouts, adapters and architectures read off weights, beyond the golden files."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actionspace.encoders.fit import fit_state
from actionspace.encoders.inflate import inflate_2d
from actionspace.encoders.keys import (
    detect_layout,
    from_plain,
    guess_architecture,
    merge_original_lora,
    split_head,
    to_plain,
)
from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.errors import WeightsError

TINY: dict[str, Any] = {
    "embed_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": (2, 3, 3),
}


def _plain(seed: int = 0, **options: Any) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(SwinTransformer3D(**TINY | options).state_dict())


@pytest.mark.slow
def test_torchvision_agrees_both_ways() -> None:
    video = pytest.importorskip("torchvision.models.video", reason="torchvision is not installed")
    torch.manual_seed(0)
    theirs = video.swin3d_t(num_classes=5).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    state = theirs.state_dict()
    plain = to_plain(state)
    guess = guess_architecture(plain)
    assert (guess.name, guess.classes) == ("swin3d_t", 5)
    backbone, head = split_head(plain)
    ours = SwinTransformer3D(**guess.architecture.options()).eval()
    fit_state(ours, backbone, what="torchvision")
    clip = torch.randn(1, 3, 5, 60, 75)
    with torch.no_grad():
        expected = theirs(clip)
        got = ours(clip).mean((2, 3, 4)) @ head["weight"].t() + head["bias"]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)

    back = from_plain(plain, "torchvision")
    assert back.keys() == state.keys()
    theirs.load_state_dict(back)
    assert all(torch.equal(back[k], state[k]) for k in state)


def test_options_are_read_off_shapes() -> None:
    options = TINY | {
        "patch_size": (4, 2, 2),
        "mlp_ratio": 2.0,
        "qkv_bias": False,
        "patch_norm": False,
    }
    guess = guess_architecture(_plain(**options))
    found = guess.architecture.options()
    assert {k: found[k] for k in options} == options
    assert guess.classes == 0
    wide = guess_architecture(_plain(window_size=(16, 7, 7)))
    assert wide.architecture.window_size == (16, 7, 7)


def test_foreign_weights_are_named() -> None:
    with pytest.raises(WeightsError, match=r"not Video Swin weights.*conv1\.weight"):
        detect_layout({"conv1.weight": 0, "fc.bias": 0})
    with pytest.raises(WeightsError, match=r"patch_embed\.proj\.weight"):
        guess_architecture({"layers.0.blocks.0.norm1.weight": torch.ones(3)})


def test_misfit_lists_names_and_shapes_and_changes_nothing() -> None:
    net = SwinTransformer3D(**TINY)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = _plain(seed=4)
    state.pop("norm.bias")
    state["extra.weight"] = torch.ones(1)
    state["patch_embed.proj.bias"] = torch.ones(9)
    with pytest.raises(WeightsError) as e:
        fit_state(net, state, what="x.pth into tiny", hint="Take another.")
    message = str(e.value)
    for part in (
        "x.pth into tiny",
        "missing: norm.bias",
        "unexpected: extra.weight",
        "Take another.",
    ):
        assert part in message
    assert "patch_embed.proj.bias is (9,), expected (8,)" in message
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    with pytest.raises(WeightsError, match=r"and \d+ more"):
        fit_state(net, {}, what="nothing")


def test_o_adapter_reads_the_output_of_proj() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    state = {"a.attn.proj.weight": draw(4, 4), "a.attn.proj.bias": draw(4)}
    state |= {"a.attn.lora_o.lora_A.weight": draw(2, 4), "a.attn.lora_o.lora_B.weight": draw(4, 2)}
    merged = merge_original_lora(state, alpha=3)
    x = draw(5, 4)
    p = x @ state["a.attn.proj.weight"].t() + state["a.attn.proj.bias"]
    a, b = state["a.attn.lora_o.lora_A.weight"], state["a.attn.lora_o.lora_B.weight"]
    expected = p + 3 / 2 * (p @ a.t() @ b.t())
    got = x @ merged["a.attn.proj.weight"].t() + merged["a.attn.proj.bias"]
    torch.testing.assert_close(got, expected)


def test_half_an_adapter_is_refused() -> None:
    state = _plain() | {"layers.0.blocks.0.attn.lora_q.lora_A.weight": torch.ones(2, 8)}
    with pytest.raises(WeightsError, match="lacks its lora_B"):
        merge_original_lora(state)
    with pytest.raises(WeightsError, match="no names for LoRA"):
        from_plain(state, "torchvision")


def test_inflating_an_image_network_repeats_it_over_time() -> None:
    flat = {k: v for k, v in _plain().items() if "bias_table" not in k}
    flat["patch_embed.proj.weight"] = torch.randn(8, 3, 4, 4)
    flat["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(9, 9, dtype=torch.long)
    flat["head.weight"] = torch.ones(2, 8)
    tables = {
        "layers.0.blocks.0.attn.relative_position_bias_table": torch.randn(25, 1),
        "layers.0.blocks.1.attn.relative_position_bias_table": torch.randn(25, 1),
        "layers.1.blocks.0.attn.relative_position_bias_table": torch.randn(49, 2),  # window 4
    }
    state = inflate_2d(flat | tables, patch_frames=2, window=(2, 3, 3))
    net = SwinTransformer3D(**TINY)
    fit_state(net, state, what="an image Swin")
    kernel = state["patch_embed.proj.weight"]
    assert torch.equal(kernel[:, :, 0], kernel[:, :, 1])
    torch.testing.assert_close(kernel.sum(2), flat["patch_embed.proj.weight"])
    table = state["layers.0.blocks.0.attn.relative_position_bias_table"]
    assert torch.equal(
        table, tables["layers.0.blocks.0.attn.relative_position_bias_table"].repeat(3, 1)
    )
    resized = state["layers.1.blocks.0.attn.relative_position_bias_table"].view(3, 25, 2)
    assert torch.equal(resized[0], resized[2])
    corner = tables["layers.1.blocks.0.attn.relative_position_bias_table"][24]  # offset (0, 0)
    assert torch.allclose(resized[0, 12], corner, atol=0.5)

    with pytest.raises(WeightsError, match="need no inflation"):
        inflate_2d(_plain(), patch_frames=2, window=(2, 3, 3))
    with pytest.raises(WeightsError, match="no square window"):
        inflate_2d(
            {"relative_position_bias_table": torch.ones(7, 1)}, patch_frames=2, window=(2, 3, 3)
        )
