"""Which parameters decay and which do not in ActionFormer and TriDet, and in which order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actionspace.training.optimizers import OptimizerConfig, parameter_groups
from tests.conftest import golden_dirs


def _cases() -> dict[str, tuple[Path, dict[str, Any]]]:
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for root in golden_dirs():
        for path in (root / "tal" / "manifest_model.json", root / "tridet/manifest_tridet.json"):
            if path.is_file():
                for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                    if "param_groups" in case and (path.parent / case["io"]).is_file():
                        found.setdefault(case["id"], (path.parent / case["io"], case))
    return found


CASES = _cases()


def _skeleton(path: Path) -> Any:
    """Return modules with the names and shapes of a state's entries, norms being such classes."""
    import torch
    from safetensors import safe_open
    from torch import nn

    class LayerNorm(nn.Module):
        """As in ActionFormer: weight and bias are [1, C, 1]."""

    root = nn.Module()
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 (no mapping)
            if not key.startswith("init."):
                continue
            *modules, leaf = key.removeprefix("init.").split(".")
            at = root
            for name in modules:
                if name not in dict(at.named_children()):
                    at.add_module(name, nn.Module())
                at = getattr(at, name)
            value = file.get_tensor(key)
            at.register_parameter(leaf, nn.Parameter(torch.zeros(value.shape)))
    for module in root.modules():
        weight = module._parameters.get("weight")
        if weight is not None and weight.ndim == 3 and weight.shape[::2] == (1, 1):
            module.__class__ = LayerNorm
    return root


@pytest.mark.skipif(not CASES, reason="no golden/tal or golden/tridet trajectories here")
@pytest.mark.parametrize("name", CASES)
def test_groups_of_the_original(name: str) -> None:
    path, case = CASES[name]
    theirs = {group["weight_decay"]: group["names"] for group in case["param_groups"]}
    decay = max(theirs)
    model = _skeleton(path)
    listed = {n for names in theirs.values() for n in names}
    for key, parameter in model.named_parameters():
        parameter.requires_grad_(key in listed)  # the rest are buffers
    groups = parameter_groups(model, OptimizerConfig(weight_decay=decay))
    assert {group["weight_decay"]: group["names"] for group in groups} == theirs
