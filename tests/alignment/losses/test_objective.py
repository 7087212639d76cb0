"""The loss that a recipe describes, and labels of frames."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from actionspace.alignment.losses.classification import frame_classification_loss
from actionspace.alignment.losses.config import AlignmentLossConfig
from actionspace.alignment.losses.objective import alignment_loss
from actionspace.alignment.losses.tcc import tcc_loss
from actionspace.errors import UsageError
from tests.alignment.losses.made import views

CONFIG: TypeAdapter[Any] = TypeAdapter(AlignmentLossConfig)


@pytest.mark.parametrize("name", ["scl", "tcc", "tcn", "lav"])
def test_every_loss_of_two_views(name: str) -> None:
    emb, frames = views()
    found = alignment_loss(emb, frames, CONFIG.validate_python({"name": name}))
    found["loss"].backward()
    assert all(value.ndim == 0 and value.isfinite() for value in found.values())
    assert emb.grad is not None and emb.grad.any()


def test_views_are_videos_for_all_but_scl() -> None:
    emb, frames = views()
    config = CONFIG.validate_python({"name": "tcc"})
    flat = tcc_loss(emb.flatten(0, 1), frames.flat(), config)
    assert torch.equal(alignment_loss(emb, frames, config)["loss"], flat["loss"])


def test_labels_of_frames() -> None:
    emb, frames = views()
    config = CONFIG.validate_python({"name": "classification"})
    logits, labels = emb.detach()[..., :5], torch.randint(-1, 5, frames.steps.shape)
    counts = frames.valid & (labels >= 0)
    expected = torch.nn.functional.cross_entropy(logits[counts], labels[counts])
    torch.testing.assert_close(alignment_loss(logits, frames, config, labels)["loss"], expected)
    with pytest.raises(UsageError, match="needs the labels"):
        alignment_loss(logits, frames, config)


def test_without_a_label_the_loss_is_0() -> None:
    logits = torch.rand(2, 3, 4, requires_grad=True)
    loss = frame_classification_loss(logits, torch.full((2, 3), -1), torch.ones(2, 3))
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


def test_wrong_names_and_fields_are_refused() -> None:
    for wrong in ({"name": "sclx"}, {"name": "scl", "gamma": 1}, {"name": "lav", "gamma": -1}):
        with pytest.raises(ValidationError):
            CONFIG.validate_python(wrong)


def test_options_load_without_torch() -> None:
    code = "import sys, actionspace.alignment.losses.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
