"""Reading the golden cases of X3D, SlowFast, I3D: whatever the manifests list, each case once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import golden_dirs


@dataclass(frozen=True)
class Case:
    id: str
    folder: Path
    entry: dict[str, Any]

    @property
    def file(self) -> Path:
        return self.folder / self.entry["file"]

    @property
    def kwargs(self) -> dict[str, Any]:
        return self.entry.get("kwargs", {})


def folders() -> list[Path]:
    return [root / "x3d" for root in golden_dirs() if (root / "x3d").is_dir()]


def model_cases(*builders: str) -> list[Case]:
    """Cases of ``manifest_models.json`` made by a builder whose name begins with one of these."""
    found: dict[str, Case] = {}
    for folder in folders():
        manifest = folder / "manifest_models.json"
        if not manifest.is_file():
            continue
        for entry in json.loads(manifest.read_text(encoding="utf-8"))["cases"]:
            case = Case(f"x3d-{entry['name']}", folder, entry)
            if entry["builder"].startswith(builders) and case.file.is_file():
                found.setdefault(case.id, case)
    return list(found.values())


def key_files(pattern: str) -> list[tuple[str, dict[str, Any]]]:
    """The key lists and maps beside the manifests, by name."""
    found: dict[str, dict[str, Any]] = {}
    for folder in folders():
        for path in sorted((folder / "keys").glob(pattern)):
            found.setdefault(f"x3d-{path.stem}", json.loads(path.read_text(encoding="utf-8")))
    return list(found.items())


def unit(name: str, n: int) -> np.ndarray:
    """``n`` doubles in [0, 1) that follow from the name: rule ``crc-hash-v1``."""
    h = np.uint32(zlib.crc32(name.encode())) + np.arange(1, n + 1, dtype=np.uint32) * np.uint32(
        2654435761
    )
    for _ in range(2):
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return (h ^ (h >> np.uint32(16))) / 2.0**32


def tensor(name: str, shape: tuple[int, ...], low: float, high: float) -> Any:
    """A float32 tensor of the rule."""
    import torch

    values = low + (high - low) * unit(name, int(np.prod(shape)))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(state: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of the rule for every entry of a state dict under its published names."""
    import torch

    norms = {name.rpartition(".")[0] for name in state if name.endswith(".running_mean")}
    filled = {}
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        shape = tuple(value.shape)
        if leaf == "num_batches_tracked":
            filled[name] = torch.zeros((), dtype=torch.long)
        elif module in norms and leaf in ("weight", "running_var"):
            gain = 0.3 if leaf == "weight" and module.endswith("norm_c") else 1.0
            filled[name] = tensor(name, shape, 0.5 * gain, 1.5 * gain)
        elif module in norms:
            filled[name] = tensor(name, shape, -0.2, 0.2)
        elif leaf == "bias" or len(shape) < 2:
            filled[name] = tensor(name, shape, -0.1, 0.1)
        else:
            bound = float(np.sqrt(6.0 / np.prod(shape[1:])))
            filled[name] = tensor(name, shape, -bound, bound)
    return filled


def inputs(case: Case, run: int, stored: Mapping[str, Any]) -> list[Any]:
    """The input of every pathway in a run."""
    clips = []
    for path, shape in enumerate(case.entry["inputs"][run]):
        kept = stored.get(f"in/{run}.{path}")
        named = tensor(f"{case.entry['name']}/input{run}.{path}", tuple(shape), -2, 2)
        clips.append(named if kept is None else kept)
    return clips


def worst(got: Any, stored: Mapping[str, Any], name: str) -> float:
    """Compare ``got`` with what is stored under ``name``, whole or thinned out; the worst error."""
    import torch

    errors = []
    for key, expected in stored.items():
        if key == name:
            value = got
        elif key.startswith(f"{name}.every"):
            value = got.flatten()[:: int(key.removeprefix(f"{name}.every"))]
        elif key == f"{name}.mean_thw":
            value = got.mean(dim=(2, 3, 4))
        elif key == f"{name}.meanabs":
            value = got.abs().mean().reshape(1)
        else:
            continue
        bound = float(expected.abs().max())
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4 * bound)
        errors.append(float((value - expected).abs().max()) / bound)
    assert errors, f"nothing is stored under {name}"
    return max(errors)
