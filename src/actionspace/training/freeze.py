"""What is trained and what is not, and what of a model a checkpoint must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence

import torch
from torch import Tensor, nn

from actionspace.errors import RunError, UsageError, did_you_mean

Slot = tuple[MutableMapping[str, "Tensor | None"], str]
"""Where a module keeps a parameter or buffer: its dictionary, and the name in there."""
_DRIFTS = "_statistics_drift"


def freeze(model: nn.Module, keep: Sequence[str] = ()) -> None:
    """Train only the parameters whose name contains one of ``keep``; by default none.

    Raises:
        UsageError: a key of ``keep`` is in no parameter's name.
    """
    named = dict(model.named_parameters())
    for key in keep:
        if not any(key in name for name in named):
            parts = {part for name in named for part in name.split(".")}
            raise UsageError(
                f"Cannot train '{key}': no parameter has that in its name."
                f"{did_you_mean(key, sorted(parts))} Names look like '{next(iter(named), '')}'."
            )
    for name, parameter in named.items():
        parameter.requires_grad_(any(key in name for key in keep))


def train_mode(model: nn.Module, active: Callable[[nn.Module], bool] | None = None) -> None:
    """Put a model into training mode, but what is wholly frozen into evaluation mode.

    So running statistics of frozen layers do not drift, and frozen layers do not drop out. A layer
    without parameters goes with the frozen module it lies in.

    Args:
        model: the model itself, not a wrapper.
        active: says which modules stay in training mode even when frozen, e.g. stochastic depth
            in the frozen backbone of the original Video Swin linear probe.
    """
    model.train()
    for module in _frozen(model):
        module.eval()
        if active is not None:
            for part in filter(active, module.modules()):
                part.training = True


def _frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules that have parameters, none of which is trained."""
    if _is_frozen(module):
        yield module
    else:
        for child in module.children():
            yield from _frozen(child)


def _is_frozen(module: nn.Module) -> bool:
    empty = True
    for parameter in module.parameters():
        empty = False
        if parameter.requires_grad:
            return False
    return not empty


def let_drift(model: nn.Module) -> None:
    """Mark the BatchNorms of a frozen model as ones whose running statistics training changes.

    They are then part of :func:`trainable_state`, and so of checkpoints. ``train_mode`` must be
    told to leave them active.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__dict__[_DRIFTS] = True


def drifts(module: nn.Module) -> bool:
    """Whether a module is marked by :func:`let_drift`."""
    return bool(module.__dict__.get(_DRIFTS, False))


def trainable_slots(model: nn.Module) -> dict[str, Slot]:
    """Return where the entries of :func:`trainable_state` are kept (buffers may be replaced)."""
    slots: dict[str, Slot] = {}
    seen: set[int] = set()  # weights that two layers share are kept once

    def visit(module: nn.Module, prefix: str, inside: bool = False) -> None:
        frozen = inside or _is_frozen(module)
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                slots[prefix + key] = (module._parameters, key)  # type: ignore[assignment]
        for key, buffer in module._buffers.items():
            kept = buffer is not None and key not in module._non_persistent_buffers_set
            if kept and (not frozen or drifts(module)):
                slots[prefix + key] = (module._buffers, key)
        for name, child in module.named_children():
            visit(child, f"{prefix}{name}.", frozen)

    visit(model, "")
    return slots


def read_slots(slots: Mapping[str, Slot]) -> dict[str, Tensor]:
    """Return what lies in the slots now, sharing its memory."""
    found = {name: owner[key] for name, (owner, key) in slots.items()}
    return {name: tensor.detach() for name, tensor in found.items() if tensor is not None}


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: trained parameters, and buffers outside of frozen modules (in
    them, of those that drift).

    Names are those of ``state_dict``; the tensors share the model's memory. With the weights that
    the model was created with, this is the whole model.
    """
    return read_slots(trainable_slots(model))


def load_trainable_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what :func:`trainable_state` returned, of a model that is frozen alike.

    Raises:
        RunError: other names or shapes than the model has; nothing has been changed then.
    """
    own = trainable_state(model)
    check_state(own, state, "the model")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def check_state(own: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str) -> None:
    """Refuse a state with other names or shapes than ``own``.

    Raises:
        RunError: naming the first that differ.
    """
    if wrong := differences(own, state):
        raise RunError(
            f"The saved state does not fit {what}: {wrong}. It belongs to another model, or to one "
            "of which other parts were trained."
        )


def differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Return by which names and shapes a state differs from ``own``, three of them; or ""."""
    found = [f"'{name}' is missing" for name in own if name not in state]
    found += [f"'{name}' is unknown" for name in state if name not in own]
    found += [
        f"'{name}' is {list(state[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"{', '.join(found[:3])}{more}"


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return the numbers of trained and of all parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)
