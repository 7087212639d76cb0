"""The I3D head of the originals: mean over positions, linear layer, and each of its losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.golden.uas import Case, other_cases

CASES = other_cases("cls_head.fc_cls.weight", "features", "logits")
IDS = [case.id for case in CASES]
CLASS_WEIGHTED = 0.7
"""The loss weight of the class-weighted cases; their names say it."""


def _tensors(case: Case) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(case.file())


@pytest.mark.skipif(not CASES, reason="no golden/uas head here")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_logits_of_pooled_features(case: Case) -> None:
    from actionspace.heads.linear import LinearHead
    from actionspace.metrics.classification import top_k_accuracy

    t = _tensors(case)
    logits = LinearHead.from_state(t).scores(t["features"].mean(axis=(2, 3, 4)))
    np.testing.assert_allclose(logits, t["logits"], **case.entry["tolerance"])
    for k in (1, 5):
        if f"train_top{k}" in t:
            assert top_k_accuracy(logits, t["labels"], k) == pytest.approx(
                float(t[f"train_top{k}"])
            )


LOSSES = [
    (case, name) for case in CASES for name in sorted(_tensors(case)) if name.startswith("loss_")
]


@pytest.mark.skipif(not LOSSES, reason="no golden/uas head losses here")
@pytest.mark.parametrize("case,name", LOSSES, ids=[f"{c.id}-{name}" for c, name in LOSSES])
def test_loss(case: Case, name: str) -> None:
    import torch

    from actionspace.heads.losses import binary_cross_entropy, cross_entropy, smooth_labels

    t = {key: torch.from_numpy(np.array(value)) for key, value in _tensors(case).items()}
    options: dict[str, Any] = {}
    if name.endswith("_classweight_x0p7"):
        options = {"class_weight": t["class_weight"], "loss_weight": CLASS_WEIGHTED}
    if name == "loss_bce":
        ours = binary_cross_entropy(t["logits"], t["multi_labels"])
    elif name == "loss_label_smoothing":
        smooth = smooth_labels(t["labels"], t["logits"].shape[1], 0.1)
        torch.testing.assert_close(smooth, t["label_smoothing_0p1"], atol=1e-6, rtol=1e-6)
        ours = cross_entropy(t["logits"], smooth)
    else:
        labels = t["soft_labels"] if name.startswith("loss_soft") else t["labels"]
        ours = cross_entropy(t["logits"], labels, **options)
    np.testing.assert_allclose(float(ours), float(t[name]), **case.entry["tolerance"])
