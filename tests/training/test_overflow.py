"""A forward pass that overflows in float16 is done again in float32, from the same state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from actionspace.training.machine import set_up
from actionspace.training.options import TrainingConfig
from actionspace.training.overflow import Forward


class Net(nn.Module):
    """Overflows in float16 for inputs of 300: 300 * 300 is beyond 65,504."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)
        self.norm = nn.BatchNorm1d(1)
        self.drop = nn.Dropout(0.5)
        nn.init.constant_(self.layer.weight, 300.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.norm(self.layer(x)))


def forward_of(net: nn.Module, precision: str) -> Forward:
    machine = set_up(net, TrainingConfig(), "cpu")
    object.__setattr__(machine, "precision", precision)  # no GPU here: the CPU can, slowly
    return Forward(net, machine)


@pytest.mark.parametrize(("scale", "repeated"), [(1.0, 0), (300.0, 1)])
def test_again_in_float32(scale: float, repeated: int):
    x = scale * torch.linspace(0.5, 1.5, 8)[:, None]
    seen: list[torch.dtype] = []

    def run(net: nn.Module, precision: str) -> tuple[Any, Forward]:
        forward = forward_of(net, precision)

        def losses() -> dict[str, torch.Tensor]:
            y = net(x)
            seen.append(net.layer(x).dtype)
            return {"loss": y.float().square().mean()}

        return forward(losses, lambda: torch.manual_seed(3)), forward

    torch.manual_seed(0)
    half, whole = Net(), Net()
    found, forward = run(half, "float16")
    assert seen == [torch.float16, torch.float32][: 1 + repeated]
    expected, _ = run(whole, "float32")
    assert forward.repeated == repeated and bool(forward.note) == bool(repeated)
    torch.testing.assert_close(found["loss"], expected["loss"], rtol=1e-2, atol=1e-3)
    if repeated:  # the same dropout, the statistics moved once and by finite numbers
        torch.testing.assert_close(found["loss"], expected["loss"])
        torch.testing.assert_close(half.norm.running_mean, whole.norm.running_mean)
        assert int(half.norm.num_batches_tracked) == 1
