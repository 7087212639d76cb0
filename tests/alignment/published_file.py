"""A checkpoint as the published code writes it: tensors beside a pickled object of settings."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


class EasyDict(dict[str, Any]):
    """As the package of that name: a mapping whose keys are attributes, too."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        for key, value in values.items():
            inner = EasyDict(value) if isinstance(value, dict) else value
            self[key] = inner
            super().__setattr__(key, inner)


EasyDict.__module__ = "easydict"
EasyDict.__qualname__ = "EasyDict"

SETTINGS: dict[str, Any] = {
    "TRAIN": {"NUM_FRAMES": 80, "MAX_EPOCHS": 300},
    "DATA": {"NUM_CONTEXTS": 1},
    "MODEL": {
        "EMBEDDER_TYPE": "transformer",
        "TRAIN_BASE": "frozen",
        "L2_NORMALIZE": False,
        "BASE_MODEL": {"LAYER": 3, "FRAMES_PER_BATCH": 7},
        "EMBEDDER_MODEL": {
            "NUM_HEADS": 2,
            "FC_DROPOUT_RATE": 0.3,
            "CONV_LAYERS": [(256, 3, 0), (256, 3, 2)],
        },
    },
    "args": Namespace(local_rank=0, opts=None, workdir=Path.home().name),
}


def save(path: Path, state: Mapping[str, Any], settings: Mapping[str, Any] = SETTINGS) -> None:
    """Write a checkpoint of that layout; the package need not be there to read it."""
    module = ModuleType("easydict")
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    sys.modules["easydict"] = module
    try:
        optimizer = {"state": {}, "param_groups": [{"lr": 1e-4}, {"lr": 1e-4}]}
        content = {"epoch": 299, "model_state": dict(state), "optimizer_state": optimizer}
        torch.save(content | {"cfg": EasyDict(settings)}, path)
    finally:
        del sys.modules["easydict"]
