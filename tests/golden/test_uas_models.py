"""Video Swin against outputs of the original code, one test per case of the manifests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.golden.uas import Case, load_model, model_cases, other_cases

CASES = model_cases()
MULTIVIEW = other_cases("input_views", "out_none")
HEADS = other_cases("features", "logits", "cls_head.fc_cls.weight")


def _ids(cases: list[Case]) -> list[str]:
    return [case.id for case in cases]


def _check(got: Any, expected: Any, tolerance: dict[str, float]) -> float:
    import torch

    torch.testing.assert_close(got, expected, atol=tolerance["atol"], rtol=tolerance["rtol"])
    return float((got - expected).abs().max())


@pytest.mark.skipif(not CASES, reason="no golden/uas model cases here")
@pytest.mark.parametrize("case", CASES, ids=_ids(CASES))
def test_model(case: Case, record_property: Callable[[str, object], None]) -> None:
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    net, head = load_model(case)
    expected = load_file(case.file())
    stages: dict[str, torch.Tensor] = {}
    for name, module in [("patch_embed", net.patch_embed)] + [
        (f"stage{i}", stage) for i, stage in enumerate(net.layers)
    ]:
        module.register_forward_hook(
            lambda _m, _i, out, name=name: stages.__setitem__(f"{name}_out", out.movedim(-1, 1))
        )
    with torch.no_grad():
        features = net(expected["input"].float())
        kept = net(expected["input"].float())  # With the kept bias and mask.
    pooled = features.mean(dim=(2, 3, 4))
    got = stages | {"features": features, "pooled": pooled}
    got["logits"] = F.linear(pooled, head["weight"], head["bias"])
    tolerance = case.entry["tolerance"]["fp32"]
    errors = [_check(got[name], expected[name], tolerance) for name in case.entry["outputs"]]
    errors.append(_check(kept, features, tolerance))
    record_property("max_abs_error", max(errors))
    print(f"{case.id}: max abs error {max(errors):.2e}")


@pytest.mark.skipif(not CASES, reason="no golden/uas model cases here")
def test_mistakes_would_show() -> None:
    """The cases can tell the original's clipped bias index from the right one."""
    import torch
    from safetensors.torch import load_file

    key = "true_clipped_bias_index"
    case = max(
        CASES, key=lambda c: c.entry.get("sensitivity_max_abs_feature_change", {}).get(key, 0)
    )
    change = case.entry.get("sensitivity_max_abs_feature_change", {}).get(key, 0)
    if change < 0.1:
        pytest.skip("no case here is clipped in space")
    net, _ = load_model(case)
    for stage in net.layers:
        stage.clipped_bias_compat = False
    expected = load_file(case.file())
    with torch.no_grad():
        error = float((net(expected["input"].float()) - expected["features"]).abs().max())
    assert error == pytest.approx(change, rel=0.02)


@pytest.mark.skipif(not MULTIVIEW, reason="no golden/uas multi-view case here")
@pytest.mark.parametrize("case", MULTIVIEW, ids=_ids(MULTIVIEW))
def test_multiview(case: Case, record_property: Callable[[str, object], None]) -> None:
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.spec import ClipSpec

    net, head = load_model(case)
    encoder = Encoder(net, name="golden", dim=net.dim, clip=ClipSpec()).eval()
    expected = load_file(case.file())
    with torch.no_grad():
        pooled = encoder(expected["input_views"].flatten(0, 1).float())
    logits = F.linear(pooled, head["weight"], head["bias"])
    got = {
        "out_none": logits,
        "out_score": logits.mean(0, keepdim=True),
        "out_prob": logits.softmax(1).mean(0, keepdim=True),
        "out_feat": pooled.mean(0, keepdim=True),
    }
    tolerance = case.entry["tolerance"]
    errors = [_check(value, expected[name], tolerance) for name, value in got.items()]
    record_property("max_abs_error", max(errors))
    print(f"{case.id}: max abs error {max(errors):.2e}")


@pytest.mark.skipif(not HEADS, reason="no golden/uas head case here")
@pytest.mark.parametrize("case", HEADS, ids=_ids(HEADS))
def test_head_on_pooled_features(
    case: Case, record_property: Callable[[str, object], None]
) -> None:
    import torch.nn.functional as F
    from safetensors.torch import load_file
    from torch import nn

    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.spec import ClipSpec

    expected = load_file(case.file())
    features = expected["features"]
    encoder = Encoder(nn.Identity(), name="golden", dim=features.shape[1], clip=ClipSpec())
    weight, bias = (expected[f"cls_head.fc_cls.{n}"] for n in ("weight", "bias"))
    logits = F.linear(encoder(features), weight, bias)
    error = _check(logits, expected["logits"], case.entry["tolerance"])
    record_property("max_abs_error", error)
    print(f"{case.id}: max abs error {error:.2e}")
