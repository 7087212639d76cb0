"""Putting weights into a module, and saying exactly what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

_COUNTER = ".num_batches_tracked"


def fit_state(module: nn.Module, state: Mapping[str, Tensor], *, what: str, hint: str = "") -> None:
    """Load ``state`` into ``module``; every name and shape must agree.

    Only the counters of BatchNorm may be missing, as in files older than them; they are 0 then.

    Args:
        module: where the weights go.
        state: tensors under the module's own names.
        what: what is being loaded into what, for the message.
        hint: what to do about a misfit.

    Raises:
        WeightsError: lists missing and unexpected names and differing shapes. The module is
            left as it was.
    """
    own = module.state_dict()
    counters = {name: 0 * value for name, value in own.items() if name.endswith(_COUNTER)}
    state = counters | dict(state)
    problems = []
    if missing := [name for name in own if name not in state]:
        problems.append(f"missing: {_short(missing)}")
    if unexpected := [name for name in state if name not in own]:
        problems.append(f"unexpected: {_short(unexpected)}")
    shapes = [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if shapes:
        problems.append(f"other shapes: {_short(shapes)}")
    if problems:
        raise WeightsError(f"{what} does not fit. " + "; ".join(problems) + f". {hint}".rstrip())
    module.load_state_dict(state)


def _short(items: Sequence[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
