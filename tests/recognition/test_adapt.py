"""What of an encoder is trained: counts, blocks, names, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from actionspace.encoders.architectures import BASE
from actionspace.encoders.create import create_encoder
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.errors import ConfigError, RunError, UsageError
from actionspace.recipes.loader import load_recipe
from actionspace.recognition.adapt import adapt, blocks, train_last
from actionspace.recognition.head_model import HeadLoss, HeadModel, LinearLayer
from actionspace.recognition.lora import ORIGINAL_STD, SplitQKV, adapter_parameters, add_adapters
from actionspace.recognition.recipe import HeadConfig, LoraConfig
from actionspace.training.activation import checkpoint_activations
from actionspace.training.freeze import count_parameters, train_mode
from tests.recognition import adaptable

SPEC = ClipSpec(frames=4, stride=1, size=32, short_side=32)


def made(name: str = adaptable.ENCODER) -> Encoder:
    return create_encoder(name)


def swin(**options: Any) -> Encoder:
    sizes = {"embed_dim": 8, "depths": (1, 2), "num_heads": (1, 2), "window_size": (2, 4, 4)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SwinTransformer3D(**sizes | options)  # type: ignore[arg-type]
    return Encoder(net, name="tiny swin", dim=net.dim, clip=SPEC).eval()


def trained(encoder: Encoder) -> list[str]:
    return [name for name, p in encoder.backbone.named_parameters() if p.requires_grad]


@pytest.fixture(scope="module")
def swin_b() -> Any:
    """Swin-B without memory for its weights; a new one at each call."""

    def make() -> Encoder:
        with torch.device("meta"):
            net = SwinTransformer3D(**BASE.options())
        return Encoder(net, name="swin3d_b", dim=net.dim, clip=ClipSpec()).to("meta").eval()

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("targets", "each"),
    [("qv", 48_128), ("qkv", 72_192), ("qkvo", 96_256), ("mlp", 120_320), ("all", 216_576)],
)
def test_adapters_of_swin_b_are_as_many_as_the_originals(swin_b: Any, targets: str, each: int):
    encoder = swin_b()
    add_adapters(encoder, LoraConfig.model_validate({"targets": targets, "rank": 2}))
    assert count_parameters(encoder) == (2 * each, 87_638_984 + 2 * each)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "mode", "expected"),
    [
        (12, "head", 12_300),
        (7, "head", 7_175),
        (103, "head", 105_575),
        (103, "lora", 1_645_671),
        (103, "full", 87_744_559),
    ],
)
def test_trained_parameters_are_as_many_as_published(
    swin_b: Any, classes: int, mode: str, expected: int
):
    encoder = swin_b()
    if mode != "head":
        adapt(encoder, load_recipe("linear_probe", [f"mode={mode}", "lora.rank=32"]))
    config = HeadConfig(class_weight="none")
    head = LinearLayer(encoder.dim, classes, config, seed=0)
    loss = HeadLoss(torch.zeros(1, dtype=torch.int64).numpy(), classes, config)
    model = HeadModel(head, loss, encoder, frozen=mode == "head")
    assert count_parameters(model)[0] == expected


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (1, ["layers.1.blocks.1", "layers.1.downsample", "norm"]),
        (2, ["layers.1", "norm"]),
        (3, ["layers.0.blocks.1", "layers.0.downsample", "layers.1", "norm"]),
        (4, ["layers", "norm"]),
    ],
)
def test_last_blocks_with_what_lies_between_and_behind(layers: int, expected: Sequence[str]):
    encoder = made()
    assert len(blocks(encoder.backbone)) == 4
    train_last(encoder, layers)
    names = [name for name, _ in encoder.backbone.named_parameters()]
    assert trained(encoder) == [n for n in names if n.startswith(tuple(f"{e}." for e in expected))]


@pytest.mark.parametrize("mode", [["mode=full"], ["mode=layers", "layers=2"]])
def test_frozen_norms_keep_their_weights_and_statistics(mode: list[str]):
    encoder, recipe = made(adaptable.CONVOLUTIONS), load_recipe("linear_probe", mode)
    adapt(encoder, recipe)
    before = trained(encoder)
    adapt(encoder, recipe.model_copy(update={"freeze_norms": True}))
    norms = [n for n, m in encoder.backbone.named_modules() if isinstance(m, nn.BatchNorm3d)]
    assert trained(encoder) == [n for n in before if n.rpartition(".")[0] not in norms] != before
    held = {k: v.clone() for k, v in encoder.backbone.state_dict().items() if "running" in k}
    train_mode(encoder)
    encoder(torch.randn(2, 3, 4, 32, 32))
    state = encoder.backbone.state_dict()
    assert held and all(torch.equal(state[name], value) for name, value in held.items())
    with pytest.raises(ConfigError, match="freeze_norms says what mode=full"):
        load_recipe("linear_probe", ["freeze_norms=true", "mode=head"])


def test_more_layers_than_there_are():
    with pytest.raises(UsageError, match=r"layers=5: .* has 4 blocks"):
        train_last(made(), 5)


def test_blocks_of_networks_of_every_kind():
    def kinds(net: nn.Module) -> list[str]:
        return [type(block).__name__ for block in blocks(net)]

    assert kinds(swin().backbone) == ["Block"] * 3
    assert kinds(made(adaptable.CONVOLUTIONS).backbone) == ["Sequential"] * 3
    assert blocks(nn.Sequential(nn.Linear(2, 2), nn.ReLU())) == []

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ways = nn.ModuleList([made().backbone, made().backbone])

        def blocks(self) -> list[nn.Module]:
            return list(reversed(self.ways))

    own = Own()
    assert blocks(own) == [own.ways[1], own.ways[0]]


@pytest.mark.parametrize(
    ("targets", "wrapped"),
    [
        ("qv", {"qkv.q", "qkv.v"}),
        ("qkvo", {"qkv.q", "qkv.k", "qkv.v", "proj"}),
        ("mlp", {"fc1", "fc2"}),
        ("all", {"qkv.q", "qkv.k", "qkv.v", "proj", "fc1", "fc2"}),
    ],
)
@pytest.mark.parametrize("stages", ["all", "first", "last"])
def test_adapters_lie_where_they_should(targets: str, wrapped: set[str], stages: str):
    encoder = made()
    config = {"targets": targets, "rank": 2, "stages": stages}
    add_adapters(encoder, LoraConfig.model_validate(config))
    layers = {name.split(".lora_")[0] for name in trained(encoder)}
    where = {"all": (0, 1), "first": (0,), "last": (1,)}[stages]
    part = "mlp" if targets == "mlp" else "attn"
    expected = {
        f"layers.{i}.blocks.{j}.{'mlp' if leaf.startswith('fc') else 'attn'}.{leaf}"
        for i in where
        for j in range(2)
        for leaf in wrapped
    }
    assert layers == expected and any(part in name for name in layers)
    assert not any("patch_embed" in name for name in layers)


def test_adapters_begin_as_nothing_or_as_in_the_original():
    plain, encoder, original = swin(), swin(), swin()
    add_adapters(encoder, LoraConfig(targets="all"), seed=1)
    add_adapters(original, LoraConfig(targets="all", rank=64, original_init=True), seed=1)
    x = plain.prepare(torch.randint(0, 256, (2, 4, 32, 32, 3), dtype=torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), plain(x), atol=1e-6, rtol=1e-6)
        assert (original(x) - plain(x)).abs().max() > 1e-3
    for name, p in adapter_parameters(original.backbone).items():
        assert p.std().item() == pytest.approx(ORIGINAL_STD, rel=0.15), name
    again = swin()
    add_adapters(again, LoraConfig(targets="all"), seed=1)
    for name, p in adapter_parameters(again.backbone).items():
        assert torch.equal(p, adapter_parameters(encoder.backbone)[name])


def test_a_split_layer_is_the_fused_one():
    for bias in (True, False):
        fused = nn.Linear(6, 18, bias=bias)
        x = torch.randn(3, 5, 6)
        torch.testing.assert_close(SplitQKV(fused)(x), fused(x))


def test_adapters_that_would_learn_nothing_are_named():
    with pytest.raises(RunError, match=r"8 of 8 .* get no gradient \(layers\.0\.blocks\.0\.attn"):
        add_adapters(made("tests.recognition.adaptable:functional"), LoraConfig(stages="first"))


def test_an_encoder_without_attention():
    with pytest.raises(UsageError, match=r"no layers for lora\.targets=qv .*all adapts its conv"):
        add_adapters(made(adaptable.CONVOLUTIONS), LoraConfig())
    encoder = made(adaptable.CONVOLUTIONS)
    add_adapters(encoder, LoraConfig(targets="all", rank=2))
    layers = {name.split(".lora_")[0] for name in trained(encoder)}
    assert layers == {"stages.0.0", "stages.2.0"}  # not the depthwise one
    with pytest.raises(UsageError, match="mode=full train any encoder"):
        add_adapters(made("tests.recognition.tiny:encoder"), LoraConfig(targets="all"))


def test_adapters_under_activation_checkpointing():
    grads = []
    for recompute in (False, True):
        encoder = swin()
        if recompute:
            assert checkpoint_activations(encoder) == 3
        add_adapters(encoder, LoraConfig(targets="all", original_init=True))
        x = encoder.prepare(torch.full((1, 4, 32, 32, 3), 99, dtype=torch.uint8))
        encoder(x).square().sum().backward()
        grads.append([p.grad for p in adapter_parameters(encoder.backbone).values()])
    for plain, recomputed in zip(*grads, strict=True):
        assert torch.equal(plain, recomputed)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["mode=layers"], "mode=layers needs layers=N"),
        (["layers=2"], "mode=probe and layers=2 do not go together"),
        (["mode=lora", "inputs=features"], "trains the encoder, so it learns from clips"),
        (["mode=full", "features=store"], "leave out inputs=features and features="),
        (["mode=lora", "lora.targets=qkx"], "lora.targets"),
        (["mode=lora", "lora.rank=0"], "lora.rank"),
    ],
)
def test_modes_that_cannot_be(overrides: list[str], says: str):
    with pytest.raises(ConfigError, match=says):
        load_recipe("linear_probe", overrides)


def test_all_of_it_is_what_a_clip_reaches():
    """V-JEPA 2.1 has an embedding of pictures and norms of other levels, which no clip reaches."""
    from actionspace.encoders.vjepa21 import VJEPA21

    net = VJEPA21(embed_dim=24, depth=12, num_heads=2, mlp_ratio=1.0)
    encoder = Encoder(net, name="tiny v-jepa", dim=24, clip=SPEC).eval()
    adapt(encoder, load_recipe("finetune", ["mode=full"]))
    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    levels = {f"norms_block.{i}.{end}" for i in range(3) for end in ("weight", "bias")}
    pictures = {"patch_embed_img.proj.weight", "patch_embed_img.proj.bias", "img_mod_embed"}
    assert frozen == levels | pictures
