"""Reading the golden cases of Video Swin: whatever the manifests list, each case once."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import golden_dirs


@dataclass(frozen=True)
class Case:
    id: str
    folder: Path
    entry: dict[str, Any]
    manifest: dict[str, Any]

    def file(self, name: str | None = None) -> Path:
        return self.folder / (name or self.entry["file"])


def manifests() -> Iterator[tuple[Path, dict[str, Any]]]:
    for root in golden_dirs():
        path = root / "uas" / "manifest.json"
        if path.is_file():
            yield path.parent, json.loads(path.read_text(encoding="utf-8"))


def model_cases() -> list[Case]:
    found: dict[str, Case] = {}
    for folder, manifest in manifests():
        for entry in manifest.get("cases", []):
            case = Case(f"uas-{entry['name']}", folder, entry, manifest)
            if case.file().is_file():
                found.setdefault(case.id, case)
    return list(found.values())


def other_cases(*tensors: str) -> list[Case]:
    """Entries of the manifests' ``other`` whose safetensors file holds all of ``tensors``."""
    from safetensors import safe_open

    found: dict[str, Case] = {}
    for folder, manifest in manifests():
        for name, entry in manifest.get("other", {}).items():
            path = folder / str(entry.get("file", ""))
            if path.suffix != ".safetensors" or not path.is_file():
                continue
            with safe_open(path, "np") as f:
                if set(tensors) <= set(f.keys()):
                    found.setdefault(f"uas-{name}", Case(f"uas-{name}", folder, entry, manifest))
    return list(found.values())


def key_lists() -> list[tuple[str, dict[str, Any]]]:
    """JSON files beside the manifests that list every key of an official checkpoint."""
    found: dict[str, dict[str, Any]] = {}
    for folder, _ in manifests():
        for path in sorted(folder.glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and "mmaction0" in content:
                found.setdefault(f"uas-{path.stem}", content)
    return list(found.items())


def load_model(case: Case) -> tuple[Any, dict[str, Any]]:
    """The case's network with its weights (adapters merged), and its head's tensors."""
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.keys import merge_original_lora, split_head, to_plain
    from actionspace.encoders.swin3d import SwinTransformer3D
    from actionspace.encoders.weights import load_state

    model = case.manifest["models"][case.entry["model"]]
    config = model["config"]
    known = inspect.signature(SwinTransformer3D).parameters
    net = SwinTransformer3D(**{k: v for k, v in config.items() if k in known})
    plain = to_plain(load_state(case.file(model["weights"])))
    plain = merge_original_lora(plain, config.get("lora_alpha"))
    backbone, head = split_head(plain)
    fit_state(net, backbone, what=case.id)
    return net.eval(), head
