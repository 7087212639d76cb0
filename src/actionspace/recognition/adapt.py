"""What of an encoder is trained: all of it, its last blocks, or adapters in it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder
from actionspace.errors import UsageError
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.activation import checkpoint_activations
from actionspace.training.freeze import freeze
from actionspace.training.optimizers import NORM


def adapt(encoder: Encoder, recipe: RecognitionRecipe) -> None:
    """Set which parameters of an encoder are trained, and add adapters where they are asked for.

    Args:
        encoder: changed in place.
        recipe: ``mode`` (``full``, ``layers`` or ``lora``) and its options.

    Raises:
        UsageError: the encoder has no such blocks or layers.
        RunError: an adapter has no part in what the encoder computes.
    """
    if recipe.training.activation_checkpointing:  # before anything is tried with gradients
        checkpoint_activations(encoder)
    if recipe.mode == "full":
        encoder.requires_grad_(True)
        for name in idle(encoder, dict(encoder.named_parameters())):
            encoder.get_parameter(name).requires_grad_(False)
    elif recipe.mode == "layers":
        train_last(encoder, recipe.layers or 1)
    else:
        from actionspace.recognition.lora import add_adapters

        add_adapters(encoder, recipe.lora, seed=recipe.training.seed)
    if recipe.freeze_norms:
        freeze_norms(encoder)


def idle(encoder: Encoder, parameters: Mapping[str, nn.Parameter]) -> list[str]:
    """Return which of some parameters get no gradient from a clip, found by encoding a black one.

    Such as an embedding of pictures in V-JEPA 2.1. They would be decayed without being learnt,
    and processes that share a training would wait for their gradients.
    """
    total = encoder(encoder.prepare(black_clip(encoder))).sum()
    if not total.requires_grad:
        return list(parameters)
    found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
    return [name for name, gradient in zip(parameters, found, strict=True) if gradient is None]


def freeze_norms(encoder: Encoder) -> None:
    """Freeze the normalisation layers; the trainer then leaves their running statistics alone."""
    for module in encoder.modules():
        if NORM.search(type(module).__name__):
            module.requires_grad_(False)


def blocks(backbone: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network in order of computation.

    They are what its method ``blocks()`` returns, if it has one; else the composite elements of
    its innermost lists. A list is a ModuleList, or a Sequential of composite elements alone.
    """
    own = getattr(backbone, "blocks", None)
    return list(own()) if inspect.ismethod(own) else _listed(backbone)


def _listed(module: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = []
    for child in module.children():
        inner = _listed(child)
        found += inner or ([child] if _is_list(module) and _is_composite(child) else [])
    return found


def _is_list(module: nn.Module) -> bool:
    alike = isinstance(module, nn.Sequential) and all(map(_is_composite, module))
    return alike or isinstance(module, nn.ModuleList)


def _is_composite(module: nn.Module) -> bool:
    return any(True for _ in module.children())


def train_last(encoder: Encoder, count: int) -> None:
    """Train the last blocks of an encoder and whatever runs between and behind them.

    So the merging of tokens between two trained stages and the final norm are trained as well; the
    embedding of patches and all before the first trained block stay frozen.

    Raises:
        UsageError: it has fewer blocks.
    """
    found = blocks(encoder.backbone)
    if count > len(found):
        raise UsageError(
            f"layers={count}: encoder '{encoder.name}' has {len(found)} blocks. Ask for fewer; "
            "mode=full trains all of it."
        )
    freeze(encoder)
    last = found[-count:]
    for block in last:
        block.requires_grad_(True)
    started = _running_order(encoder)
    begin = min(started[block] for block in last if block in started)
    in_blocks = {part for block in found for part in block.modules()}
    for module, at in started.items():
        if at > begin and module not in in_blocks:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(True)


def _running_order(encoder: Encoder) -> dict[nn.Module, int]:
    """Return when each module that takes part is first called, found by encoding a black clip."""
    order: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: object) -> None:
        order.setdefault(module, len(order))

    hooks = [module.register_forward_pre_hook(note) for module in encoder.modules()]
    try:
        with torch.no_grad():
            encoder(encoder.prepare(black_clip(encoder)))
    finally:
        for hook in hooks:
            hook.remove()
    return order


def black_clip(encoder: Encoder) -> Tensor:
    """Return a clip as the encoder expects it, uint8 zeros ``[1, T, H, W, C]``."""
    c = encoder.clip
    return torch.zeros(1, c.frames, c.size, c.size, c.channels, dtype=torch.uint8)
