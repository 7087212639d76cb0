"""Means of the loss parts, kept on the device.

A training step must not wait for a GPU to know its loss. So every forward pass adds its losses to
one small vector where they are; the vector comes to the host only when it is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from actionspace.errors import ActionspaceError, did_you_mean

HORIZON = 100  # forward passes that a moving average looks back on
TOTAL = "loss"


class Averages:
    """Adds up losses over forward passes and processes.

    All processes make the same calls in the same order (fillers included, with weight 0). A part
    that is only there in some passes would have a mean over some samples and look like one over
    all of them; so the parts must stay the same.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._names: tuple[str, ...] = ()
        self._keys: frozenset[str] = frozenset()
        self._sums = torch.zeros(0, device=self._device)  # float32 [parts]
        self._weight = 0
        self._passes = 0
        self._moving: dict[str, float] = {}
        self._mass = 0.0

    def add(self, losses: Mapping[str, Tensor], weight: int) -> None:
        """Add the losses of one forward pass; nothing is waited for.

        Args:
            losses: scalar tensors on the device, each the mean over the samples of the pass.
            weight: how many samples count; 0 adds nothing.

        Raises:
            ActionspaceError: ``loss`` is missing, a part is no scalar, or the parts are others than
                before.
        """
        if losses.keys() != self._keys:
            self._learn(losses)
        self._passes += 1
        if not weight:
            return
        self._weight += weight
        if len(self._names) == 1:
            self._sums.add_(losses[TOTAL].detach(), alpha=weight)
        else:
            parts = torch.stack([losses[name].detach() for name in self._names])
            self._sums.add_(parts, alpha=weight)

    def read(self, team_sum: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """Return the mean of every part over the samples since the last read, and begin anew.

        Empty where nothing was added. The moving averages take the means in.

        Args:
            team_sum: adds a tensor up over all processes; None = this process is alone.
        """
        if not self._passes:
            return {}
        values = torch.cat([self._sums, self._sums.new_tensor([float(self._weight)])])
        *sums, weight = (team_sum(values) if team_sum is not None else values).tolist()
        passes = self._passes
        self._sums.zero_()
        self._weight = self._passes = 0
        if not weight:
            return {}
        means = {name: s / weight for name, s in zip(self._names, sums, strict=True)}
        self._move(means, passes)
        return means

    @property
    def moving(self) -> dict[str, float]:
        """The exponential moving average of every part, as of the last read."""
        return {name: value / self._mass for name, value in self._moving.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return plain values from which :meth:`load_state_dict` goes on exactly.

        They are those of this process. Where several go on from one state, its share of the window
        that was open stands for the shares of the others.
        """
        return {
            "names": list(self._names),
            "sums": self._sums.tolist(),
            "weight": self._weight,
            "passes": self._passes,
            "moving": dict(self._moving),
            "mass": self._mass,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was asked."""
        self._name(state["names"])
        self._sums = torch.tensor(state["sums"], dtype=torch.float32, device=self._device)
        self._weight, self._passes = int(state["weight"]), int(state["passes"])
        self._moving, self._mass = dict(state["moving"]), float(state["mass"])

    def _move(self, means: Mapping[str, float], passes: int) -> None:
        # Divided by its mass, the average is unbiased from the first value on (as in Adam).
        keep = math.exp(-passes / HORIZON)
        for name, mean in means.items():
            self._moving[name] = keep * self._moving.get(name, 0.0) + (1 - keep) * mean
        self._mass = keep * self._mass + (1 - keep)

    def _learn(self, losses: Mapping[str, Tensor]) -> None:
        if self._names:
            raise ActionspaceError(
                f"A step returned the losses {_listed(losses)}, those before it "
                f"{_listed(self._names)}. A task must return the same parts in every step; a part "
                "that does not apply is zero."
            )
        if TOTAL not in losses:
            hint = did_you_mean(TOTAL, losses)
            raise ActionspaceError(
                f"A step returned the losses {_listed(losses) or '(none)'}; '{TOTAL}', which is "
                f"minimised, must be among them.{hint}"
            )
        for name, value in losses.items():
            if value.dim():
                raise ActionspaceError(
                    f"The loss part '{name}' has shape {tuple(value.shape)}; it must be one number "
                    "(shape ()), the mean over the samples."
                )
        self._name([TOTAL, *sorted(losses.keys() - {TOTAL})])
        self._sums = torch.zeros(len(self._names), device=self._device)

    def _name(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._keys = frozenset(self._names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
