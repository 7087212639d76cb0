"""Moving averages for one's own loops."""

from __future__ import annotations

import pytest
import torch

from actionspace.errors import UsageError
from actionspace.training.loss_logger import LossLogger


def test_each_loss_is_averaged_over_its_last_values() -> None:
    logger = LossLogger(window=2)
    assert logger.averages() == {} and logger.summary() == ""
    for value in (1.0, 2.0, 4.0):
        logger.update({"loss": torch.tensor(value)})
    logger.update({"iou": 0.25})
    assert logger.averages() == {"loss": 3.0, "iou": 0.25}
    assert logger.scalars("val/") == {"val/loss": 3.0, "val/iou": 0.25}
    assert logger.summary() == "loss 3, iou 0.25"


def test_a_window_holds_something() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        LossLogger(window=0)
