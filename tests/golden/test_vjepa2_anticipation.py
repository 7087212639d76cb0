"""The focal loss and the class-mean recall of V-JEPA 2's published anticipation."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from actionspace.heads.focal import focal_loss
from actionspace.metrics.anticipation import class_mean_recall
from actionspace.metrics.classification import top_k_accuracy
from tests.golden.x3d import folders


def stored() -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    for folder in folders():
        files = folder / "manifest_vjepa2_probe.json", folder / "vjepa2_probe.safetensors"
        if all(file.is_file() for file in files):
            return json.loads(files[0].read_text(encoding="utf-8")), load_file(files[1])
    pytest.skip("no golden/x3d vjepa2_probe here")


def test_focal_loss() -> None:
    manifest, tensors = stored()
    case = manifest["focal"]
    logits = tensors["focal/logits"].clone().requires_grad_()
    labels = torch.nn.functional.one_hot(tensors["focal/labels"].long(), logits.shape[1]).float()
    total = focal_loss(logits, labels).sum()
    total.backward()
    assert total.item() == pytest.approx(case["a0.25_g2.0_sum"], rel=1e-6)
    torch.testing.assert_close(logits.grad, tensors["focal/grad_default"])
    none = focal_loss(logits, labels, alpha=0.25, gamma=1.5)
    torch.testing.assert_close(none, torch.tensor(case["a0.25_g1.5_none"]), rtol=1e-5, atol=1e-7)
    alike = focal_loss(logits, labels, alpha=None).sum().item()
    assert alike == pytest.approx(case["a-1_g2.0_sum"], rel=1e-6)


def test_class_mean_recall() -> None:
    manifest, tensors = stored()
    case = manifest["class_mean_recall"]
    logits, labels = tensors["cmr/logits"].numpy(), tensors["cmr/labels"].numpy()
    assert 100 * class_mean_recall(logits, labels, 5) == pytest.approx(case["recall"], abs=1e-5)
    assert 100 * top_k_accuracy(logits, labels, 5) == pytest.approx(case["top5_accuracy"])
