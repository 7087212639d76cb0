"""Forward passes that overflow in float16 are done again in float32.

float16 ends at 65,504. The scaler of the gradients heals what overflows on the way back; a loss
that is NaN or infinite would end the training.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from actionspace.training.machine import Machine

log = logging.getLogger("actionspace")

Losses = Mapping[str, Tensor]


class Forward:
    """Forward passes in the machine's precision.

    Attributes:
        repeated: how many were done again in float32.
    """

    def __init__(self, model: nn.Module, machine: Machine) -> None:
        self._model = model
        self._machine = machine
        self.repeated = 0

    def __call__(self, losses: Callable[[], Losses], seed: Callable[[], None]) -> Losses:
        """Return the losses of one pass.

        Args:
            losses: computes them, from the model's weights and buffers.
            seed: seeds dropout and the like, the same way each time.
        """
        seed()
        if self._machine.precision != "float16":
            with self._machine.autocast():
                return losses()
        # What a pass changes, such as running statistics, an overflow would have spoilt.
        before = [(buffer, buffer.detach().clone()) for buffer in self._model.buffers()]
        with self._machine.autocast():
            found = losses()
        if bool(found["loss"].isfinite()):
            return found
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
        self._say_once()
        self.repeated += 1
        seed()
        with torch.autocast(self._machine.device.type, enabled=False):
            return losses()

    @property
    def note(self) -> str | None:
        """What the user should know at the end."""
        if not self.repeated:
            return None
        passes = "pass" if self.repeated == 1 else "passes"
        return (
            f"{self.repeated} forward {passes} overflowed in float16 and were done again in "
            "float32; training.precision=bfloat16 does not overflow."
        )

    def _say_once(self) -> None:
        if not self.repeated:
            log.warning(
                "A loss in float16 is not a finite number; this pass is done again in float32, "
                "and so will be others. training.precision=bfloat16 does not overflow."
            )
