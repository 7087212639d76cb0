"""Widths of suppression by the names of classes, and the temperature of scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import UsageError
from actionspace.localization.detection.decode import decode
from actionspace.localization.detection.detector import nms_options
from actionspace.localization.network.model import Predictions
from actionspace.localization.options import SuppressionConfig


def test_classes_are_named() -> None:
    config = SuppressionConfig(method="diou", class_sigma={"rear": 0.3, "dig": 0.9})
    numbers = config.numbered_sigma(["groom", "dig", "rear"])
    assert numbers == {2: 0.3, 1: 0.9}
    options = nms_options(config, numbers)
    assert options.class_sigma == numbers and options.method == "diou" and options.sigma == 0.5
    with pytest.raises(UsageError, match=r"no class 'dig'\. Did you mean 'digging'\?"):
        config.numbered_sigma(["digging", "rear"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"class_sigma": {"dig": 0.0}}, "must be positive"),
        ({"class_sigma": {"dig": 1.0}, "method": "hard"}, "no meaning with method=hard"),
        ({"class_sigma": {"dig": 1.0}, "multiclass": False}, "classes suppress each other"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"method": "dious"}, "'diou', 'diou_in_order'"),
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SuppressionConfig.model_validate(wrong)


@settings(max_examples=20, deadline=None)
@given(temperature=st.floats(0.2, 5.0), seed=st.integers(0, 99))
def test_temperature_divides_logits_and_keeps_their_order(temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Apart, so that no two scores are one float32 near 1.
    logits = (torch.randperm(12, generator=generator) / 2 - 3).reshape(1, 6, 2)
    points = torch.stack([torch.arange(6.0), *(torch.ones(6) * v for v in (0, 9, 1))], dim=1)
    said = Predictions(
        points, torch.ones(1, 6, dtype=torch.bool), logits, torch.ones(1, 6, 2), (6,)
    )
    (plain,), (warm,) = (
        decode(said, min_score=0.0),
        decode(said, min_score=0.0, temperature=temperature),
    )
    torch.testing.assert_close(warm.segments, plain.segments)
    torch.testing.assert_close(warm.scores, (plain.scores.logit() / temperature).sigmoid())
