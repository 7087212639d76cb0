"""V-JEPA 2 and 2.1: encoders and predictors beyond what the golden cases show."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.vjepa import VJEPA2
from actionspace.encoders.vjepa21 import LEVELS, VJEPA21
from actionspace.encoders.vjepa_loss import context_weight, target_distance
from actionspace.errors import UsageError
from tests.encoders.vjepa_tiny import clips, p2, p21, v2, v21


@pytest.mark.parametrize("make", [v2, v21])
def test_features_are_the_tokens_on_their_grid(make: Any) -> None:
    net, x = make(), clips(2, 3, 7, 50, 35)  # the odd frame and pixels drop
    with torch.no_grad():
        tokens, features = net.encode(x), net(x)
        assert tokens.shape == (2, 3 * 3 * 2, 24) and features.shape == (2, 24, 3, 3, 2)
        assert torch.equal(features.flatten(2).transpose(1, 2), tokens)
        assert torch.equal(net(x[:, :, :6, :48, :32]), features)
        torch.testing.assert_close(net(x[:1]), features[:1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [v2, v21])
def test_masks(make: Any) -> None:
    net, x = make(), clips(2, 3, 4, 32, 48)
    ids = torch.arange(12).expand(2, -1)
    with torch.no_grad():
        torch.testing.assert_close(net.encode(x, ids), net.encode(x), atol=1e-5, rtol=1e-5)
        few = [torch.tensor([[0, 3, 7], [1, 2, 11]]), torch.tensor([[5, 6, 9], [4, 8, 10]])]
        both = net.encode(x, few)
        each = torch.cat([net.encode(x, mask) for mask in few])
        torch.testing.assert_close(both, each, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(net.encode(x, few[0]), net.encode(x).gather(1, few[0][..., None]))


def test_layers() -> None:
    net, x = v2(depth=3), clips(1, 3, 4, 32, 32)
    with torch.no_grad():
        first, last = net.encode_layers(x, [0, 2])
        assert torch.equal(last, net.encode(x)) and not torch.allclose(first, last)
        net.blocks = net.blocks[:1]
        assert torch.equal(first, net.encode(x))
    with pytest.raises(UsageError, match=r"behind block 5; choose of \[0\]"):
        net.encode_layers(x, [5])


def test_levels() -> None:
    net, x = v21(), clips(1, 3, 4, 32, 32)
    with torch.no_grad():
        each = net.encode_layers(x, LEVELS[12])
        whole = net.encode(x, hierarchical=True)
        assert torch.equal(torch.cat(each, dim=2), whole)
        assert torch.equal(each[-1], net.encode(x))
        wide = v21(hierarchical=True)
        assert wide.dim == 96 and torch.equal(wide(x).flatten(2).transpose(1, 2), whole)
        single = v21(hierarchical=True, n_output_distillation=1)
        assert single.dim == 24 and torch.equal(single.encode(x), each[-1])
    with pytest.raises(UsageError, match="behind block 3"):
        net.encode_layers(x, [3])


def test_pictures_have_a_path_of_their_own() -> None:
    net, one = v21(), clips(2, 3, 1, 32, 48)
    with torch.no_grad():
        assert net(one).shape == (2, 24, 1, 2, 3)
        video = net(one.expand(-1, -1, 2, -1, -1))
        assert not torch.allclose(net(one), video, atol=0.1)
        net.patch_embed.proj.weight.zero_()
        assert not torch.allclose(net(one), net(one * 0))
    flat = v2(num_frames=1)
    with torch.no_grad():
        assert flat(one).shape == (2, 24, 1, 2, 3)
        assert torch.equal(flat.encode(one), flat.encode(one[:, :, 0]))


def test_a_span_makes_positions_independent_of_size() -> None:
    """Corners of any grid lie where those of 256 pixels do; a single row or column at 0."""
    net = v21()
    for shape in ((4, 16, 48), (4, 48, 16), (2, 16, 16)):
        with torch.no_grad():
            assert bool(net(clips(1, 3, *shape)).isfinite().all())
    plain, x = v21(interpolate_rope=False), clips(1, 3, 2, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(net.encode(x), plain.encode(x), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(net.encode(x[..., :64]), plain.encode(x[..., :64]), atol=1e-3)


def test_positions_on_another_grid() -> None:
    x = clips(1, 3, 4, 32, 64)
    with torch.no_grad():
        assert not torch.allclose(v2(position_grid=4)(x), v2()(x), atol=1e-3)
        assert torch.equal(v2(position_grid=2)(x[..., :32]), v2()(x[..., :32]))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 32, 32), "1 x 32 x 32 .* one patch of 2 x 16 x 16"),
        ((4, 15, 32), "4 x 15 x 32"),
    ],
)
def test_clips_smaller_than_a_patch(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        v2()(clips(1, 3, *shape))


def test_other_axes() -> None:
    with pytest.raises(UsageError, match=r"clips \[B, C, T, H, W\], got \[1, 3, 32, 32\]"):
        v21()(clips(1, 3, 32, 32))
    with pytest.raises(UsageError, match=r"pictures \[B, C, H, W\], got \[1, 3, 2, 32, 32\]"):
        v2(num_frames=1)(clips(1, 3, 2, 32, 32))
    with pytest.raises(UsageError, match="Name the blocks"):
        v2().encode_layers(clips(1, 3, 2, 32, 32), [])


def test_refused_options() -> None:
    with pytest.raises(UsageError, match="5 attention heads do not divide a width of 24"):
        VJEPA2(embed_dim=24, depth=1, num_heads=5)
    with pytest.raises(UsageError, match=r"levels of depth 12, 24, 40, 48; got .*depth=6"):
        VJEPA21(embed_dim=24, depth=6, num_heads=2)
    with pytest.raises(UsageError, match="n_output_distillation=2"):
        VJEPA21(embed_dim=24, depth=12, num_heads=2, n_output_distillation=2)
    with pytest.raises(UsageError, match="interpolate_rope"):
        VJEPA21(embed_dim=24, depth=12, num_heads=2, patch_size=32)


def test_first_weights() -> None:
    torch.manual_seed(0)
    net = VJEPA2(embed_dim=64, depth=8, num_heads=2, drop_path_rate=0.2)
    stds = [float(block.attn.proj.weight.detach().std()) for block in net.blocks]
    for n, std in enumerate(stds, 1):
        assert std == pytest.approx(0.02 / (2 * n) ** 0.5, rel=0.1)
    assert float(net.blocks[3].attn.qkv.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    rates = [m.rate for m in net.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.2 * i / 7 for i in range(8)])


def test_uniform_surface() -> None:
    small = {"embed_dim": 24, "depth": 12, "num_heads": 2, "mlp_ratio": 1.0}
    encoder = create_encoder("untrained:vjepa2_1_vit_base_384", **small)
    assert encoder.clip.size == 384 and encoder.clip.short_side == 438 and encoder.clip.frames == 64
    assert encoder.identity["options"]["interpolate_rope"] is True
    off = create_encoder("untrained:vjepa2_1_vit_base_384", interpolate_rope=False, **small)
    assert off.identity["options"]["interpolate_rope"] is False
    both = create_encoder("untrained:vjepa2_1_vit_base_384", hierarchical=True, **small)
    x = encoder.prepare(torch.zeros(1, 4, 32, 32, 3, dtype=torch.uint8))
    with torch.no_grad():
        assert encoder.tokens(x).shape == (1, 2, 24) and both.tokens(x).shape == (1, 2, 96)


def _tokens(levels: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    context = torch.tensor([[0, 5, 9, 31], [2, 3, 20, 17]])
    return clips(2, 4, 24 * levels), context, torch.tensor([[1, 6, 40], [5, 4, 90]])


@pytest.mark.parametrize("make", [p2, p21])
def test_prediction(make: Any) -> None:
    net, (x, context, targets) = make(), _tokens()
    order, other = [3, 1, 0, 2], [2, 0, 1]
    with torch.no_grad():
        y = net(x, context, targets)
        assert y.shape == (2, 3, 24)
        mixed = net(x[:, order], context[:, order], targets[:, other])
        torch.testing.assert_close(mixed, y[:, other], atol=1e-5, rtol=1e-5)
        count = len(net.mask_tokens)
        assert torch.equal(net(x, context, targets, mask_index=1 + count), y)
        assert not torch.allclose(net(x, context, targets, mask_index=0), y)
        assert not torch.allclose(net(x, context, targets + 16), y, atol=1e-4)


def test_prediction_of_2_1() -> None:
    x, context, targets = _tokens(levels=4)
    net = p21(levels=4)
    with torch.no_grad():
        wanted, seen = net.predict_both(x, context, targets)
        assert wanted.shape == (2, 3, 96) and seen is not None and seen.shape == (2, 4, 96)
        assert torch.equal(net(x, context, targets), wanted)
        assert not torch.allclose(net(x, context, targets, modality="image"), wanted, atol=1e-3)
        stretched = p21(levels=4, interpolate_rope=True)(x, context, targets)
        assert not torch.allclose(stretched, wanted, atol=1e-3)
        assert p21(out_dim=40)(_tokens()[0], context, targets).shape == (2, 3, 40)
        alone = p21(levels=4, return_all_tokens=False, modality_embedding=False)
        assert alone.predict_both(x, context, targets)[1] is None


def test_published_and_trained_predictor_agree_at_256_pixels() -> None:
    x, context, targets = _tokens()
    with torch.no_grad():
        hub, trained = (p21(img_size=256, interpolate_rope=on) for on in (False, True))
        got = [net(x, context, targets) for net in (hub, trained)]
        torch.testing.assert_close(*got, atol=1e-5, rtol=1e-5)


def test_predictor_grid() -> None:
    """A square of the height alone, as published; both sides, if they are given."""
    x, context, targets = _tokens()
    with torch.no_grad():
        square, tall = p2(img_size=64), p2(img_size=(64, 96))
        assert torch.equal(p2(img_size=(64, 64))(x, context, targets), square(x, context, targets))
        assert not torch.allclose(tall(x, context, targets), square(x, context, targets), atol=1e-4)


def test_context_weight_and_distance() -> None:
    assert [context_weight(i) for i in (0, 15_000, 22_500, 30_000, 10**9)] == [0, 0, 0.25, 0.5, 0.5]
    got = target_distance(torch.tensor([[0, 17]]), torch.tensor([[3, 33]]), 4)
    torch.testing.assert_close(got, torch.tensor([[5**0.5, 1.0]]))
    with pytest.raises(UsageError, match="at least 16 x 16"):
        target_distance(torch.tensor([[0]]), torch.tensor([[1]]), 4, offset=True)
