"""Low-rank adapters in an encoder, by PEFT (Hu et al., "LoRA", ICLR 2022).

Queries, keys and values have adapters of their own, as in the original code, so a fused ``qkv``
layer is split in three before PEFT wraps the parts; they lie in files as ``...qkv.q`` and so on.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder
from actionspace.errors import RunError, UsageError
from actionspace.recognition.adapt import blocks, idle
from actionspace.recognition.recipe import LoraConfig

#: Standard deviation of both factors in the original code, whose recogniser initialises every
#: Linear of the backbone once more, adapters included.
ORIGINAL_STD = 0.02

#: Layers that get an adapter, by the names they have in a transformer block.
PARTS = {
    "qv": ("qkv.q", "qkv.v"),
    "qkv": ("qkv.q", "qkv.k", "qkv.v"),
    "qkvo": ("qkv.q", "qkv.k", "qkv.v", "proj"),
    "mlp": ("fc1", "fc2"),
    "all": ("qkv.q", "qkv.k", "qkv.v", "proj", "fc1", "fc2"),
}


class SplitQKV(nn.Module):
    """A fused layer of queries, keys and values as three, so that each can be adapted alone."""

    def __init__(self, fused: nn.Linear) -> None:
        """Take the fused layer's weights over."""
        super().__init__()
        biases = (None,) * 3 if fused.bias is None else fused.bias.detach().chunk(3)
        weights = fused.weight.detach().chunk(3)
        self.q, self.k, self.v = (_linear(w, b) for w, b in zip(weights, biases, strict=True))

    @property
    def weight(self) -> Tensor:
        """The weights of the fused layer, without adapters: for code that reads them."""
        return torch.cat([self.q.weight, self.k.weight, self.v.weight])

    @property
    def bias(self) -> Tensor | None:
        """The biases of the fused layer."""
        parts: list[Tensor] = [p.bias for p in (self.q, self.k, self.v) if p.bias is not None]
        return torch.cat(parts) if parts else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., C] to [..., 3C]."""
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    out, into = weight.shape
    layer = nn.Linear(into, out, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone())
    return layer


def add_adapters(encoder: Encoder, config: LoraConfig, *, seed: int = 0) -> None:
    """Add adapters to an encoder, the only parameters of it that are trained.

    Args:
        encoder: changed in place.
        config: which layers, what rank.
        seed: of the initial weights.

    Raises:
        UsageError: the encoder has no such layers.
        RunError: an adapter has no part in what the encoder computes.
    """
    import peft

    backbone = encoder.backbone
    names = find_targets(encoder, config)
    split_qkv(backbone, names)
    chosen = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha or config.rank,  # type: ignore[arg-type] # a float will do
        lora_dropout=config.dropout,
        target_modules=names,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(chosen, backbone)
    adapters = adapter_parameters(backbone)
    if config.original_init:
        generator = torch.Generator().manual_seed(seed)
        for parameter in adapters.values():
            drawn = ORIGINAL_STD * torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(drawn)
    check_gradients(encoder, adapters)


def find_targets(encoder: Encoder, config: LoraConfig) -> list[str]:
    """Return the names of the layers that get an adapter, below ``encoder.backbone``.

    Raises:
        UsageError: there are none.
    """
    chosen = _of_stages(encoder.backbone, config.stages)
    found = [name for block in chosen for name in _linears(block, config.targets)]
    if not found and config.targets == "all":
        found = [name for block in chosen for name in _convolutions(block)]
    if not found:
        hint = "" if config.targets == "all" else "lora.targets=all adapts its convolutions; "
        raise UsageError(
            f"Encoder '{encoder.name}' has no layers for lora.targets={config.targets} "
            f"(stages={config.stages}): attention with a Linear 'qkv' and 'proj', or an MLP of "
            f"'fc1' and 'fc2', in its blocks. {hint}mode=layers and mode=full train any encoder."
        )
    return found


Named = tuple[str, nn.Module]


def _of_stages(backbone: nn.Module, stages: str) -> list[Named]:
    """Return the blocks of some stages by name; blocks of one stage lie in one list."""
    names = {module: name for name, module in backbone.named_modules()}
    found = [(names[block], block) for block in blocks(backbone)]
    if stages == "all" or not found:
        return found
    stage = found[0 if stages == "first" else -1][0].rpartition(".")[0]
    return [block for block in found if block[0].rpartition(".")[0] == stage]


def _linears(block: Named, targets: str) -> Iterator[str]:
    for name, module in _named(block):
        children = dict(module.named_children())
        for part in PARTS[targets]:
            first = part.partition(".")[0]
            beside = {"proj": "qkv", "fc1": "fc2", "fc2": "fc1"}.get(first, first)
            if _is_linear(children.get(first)) and _is_linear(children.get(beside)):
                yield f"{name}.{part}"


def _convolutions(block: Named) -> Iterator[str]:
    for name, module in _named(block):
        if isinstance(module, nn.Conv3d) and module.groups == 1:
            yield name


def _named(block: Named) -> Iterator[Named]:
    prefix, module = block
    for name, part in module.named_modules():
        yield f"{prefix}.{name}".rstrip("."), part


def _is_linear(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Linear)


def split_qkv(backbone: nn.Module, names: list[str]) -> None:
    """Split the fused layers that adapters of these names (``...qkv.q``) lie in."""
    for name in dict.fromkeys(n.rpartition(".")[0] for n in names if n[-2:] in (".q", ".k", ".v")):
        owner, _, leaf = name.rpartition(".")
        fused = backbone.get_submodule(name)
        if isinstance(fused, nn.Linear):
            setattr(backbone.get_submodule(owner), leaf, SplitQKV(fused))


def adapter_parameters(backbone: nn.Module) -> dict[str, nn.Parameter]:
    """Return the adapters' parameters by name."""
    return {name: p for name, p in backbone.named_parameters() if ".lora_" in name}


def check_gradients(encoder: Encoder, adapters: dict[str, nn.Parameter]) -> None:
    """Make sure that every adapter has a part in what the encoder computes.

    Raises:
        RunError: naming those that a backward pass does not reach, e.g. since the encoder reads a
            layer's weights without calling it.
    """
    if unreached := idle(encoder, adapters):
        raise RunError(
            f"{len(unreached)} of {len(adapters)} adapter weights of encoder '{encoder.name}' get "
            f"no gradient ({', '.join(unreached[:3])}): it does not call the layers they are in, "
            "so they would learn nothing. Choose other lora.targets, or mode=layers or mode=full."
        )
