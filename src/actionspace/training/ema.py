"""The moving average of the weights that are trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from actionspace.training.freeze import check_state, read_slots, trainable_slots


class EMA:
    """Exponential moving average of what training changes (Polyak & Juditsky, 1992).

    It begins with the weights as they are, so ``average = decay * average + (1 - decay) * weights``
    needs no correction. Floating-point buffers are averaged as well, others copied. Frozen weights
    are their own average and cost nothing.

    Args:
        model: the model itself, not a wrapper, on its device and frozen as it will be trained.
        decay: share of the average that stays at each step, e.g. 0.999.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._slots = trainable_slots(model)
        self._averages = {name: t.clone() for name, t in read_slots(self._slots).items()}
        self._floating = [n for n, t in self._averages.items() if t.is_floating_point()]
        self._others = [n for n, t in self._averages.items() if not t.is_floating_point()]

    def update(self) -> None:
        """Take the weights of one optimiser step in."""
        weights = read_slots(self._slots)
        averages = [self._averages[name] for name in self._floating]
        if averages:
            torch._foreach_lerp_(averages, [weights[n] for n in self._floating], 1.0 - self.decay)
        for name in self._others:
            self._averages[name].copy_(weights[name])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights inside the block; its own return bit by bit."""
        own = read_slots(self._slots)
        kept = {name: tensor.clone() for name, tensor in own.items()}
        try:
            _copy(self._averages, own)
            yield
        finally:
            _copy(kept, read_slots(self._slots))

    def copy_to_model(self) -> None:
        """Give the model the averaged weights for good."""
        _copy(self._averages, read_slots(self._slots))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by the names of the model's ``state_dict``, sharing their memory."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state_dict` returned.

        Raises:
            RunError: it is of another model, or other parts of it were trained.
        """
        check_state(self._averages, state, "the averaged weights")
        _copy(state, self._averages)


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])
