"""The other side of ``benchmarks/localization_step.py`` computes what the original does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.golden.actionformer import cases, loss_config, network, pad, tensors

LOSSES = cases("train_losses")


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients(name: str) -> None:
    import torch
    from benchmarks.actionformer_plain import PlainActionFormer, PlainLoss

    from actionspace.localization.network.layers import AffineDropPath

    folder, case = LOSSES[name]
    io = tensors(folder, case["io"])
    model = network(case["config"])
    model.load_state_dict(tensors(folder, case["weights"]))
    for module in model.modules():
        if isinstance(module, AffineDropPath):
            module.rate = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    plain = PlainActionFormer(model.train())
    criterion = PlainLoss(loss_config(case["config"]["train_cfg"]))
    close = {"rtol": case["rtol"], "atol": case["atol"]}
    for batch in case["batches"]:
        videos: list[dict[str, Any]] = [
            {
                part: io[f"{batch['prefix']}v{i}.{part}"]
                for part in ("feats", "segments", "labels", "cls_targets")
            }
            for i in range(batch["n_videos"])
        ]
        outputs = plain(*pad([v["feats"] for v in videos], model.config.max_length))
        losses = criterion(outputs, videos)
        assert losses["loss"].item() == pytest.approx(batch["final_loss"], rel=2e-4)
        assert criterion.norm == pytest.approx(batch["loss_normalizer_after"], rel=1e-6)
        model.zero_grad()
        losses["loss"].backward()
        for key, parameter in model.named_parameters():
            expected = io.get(f"{batch['prefix']}grad.{key}")
            if expected is not None:
                atol = close["atol"] * max(1.0, float(expected.abs().max()))
                torch.testing.assert_close(parameter.grad, expected, rtol=close["rtol"], atol=atol)
