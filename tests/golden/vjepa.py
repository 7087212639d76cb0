"""Reading golden/vjepa's cases: configurations in our words, and checkpoints as published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import golden_dirs


@dataclass(frozen=True)
class Case:
    folder: Path
    entry: dict[str, Any]

    @property
    def id(self) -> str:
        return f"vjepa-{self.entry['case']}"

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.entry["config"])

    def io(self) -> dict[str, Any]:
        return _single(self.folder / self.entry["io"])

    def checkpoint(self) -> dict[str, dict[str, Any]]:
        """The weights as their file had them: parts, and the names inside."""
        parts: dict[str, dict[str, Any]] = {}
        for name, value in _single(self.folder / self.entry["weights"]).items():
            part, _, inner = name.partition("/")
            parts.setdefault(part, {})[inner] = value
        return parts


def _single(path: Path) -> dict[str, Any]:
    """Tensors of a file; those stored as float16 are exact in float32."""
    import torch
    from safetensors.torch import load_file

    return {
        name: value.float() if value.dtype == torch.float16 else value
        for name, value in load_file(path).items()
    }


def cases(*families: str) -> list[Case]:
    """Cases of these families, of the first folder that has each."""
    found: dict[str, Case] = {}
    for folder in (root / "vjepa" for root in golden_dirs()):
        manifest = folder / "manifest.json"
        if not manifest.is_file():
            continue
        for entry in json.loads(manifest.read_text(encoding="utf-8"))["cases"]:
            case = Case(folder, entry)
            files = [folder / entry[kind] for kind in ("weights", "io")]
            if entry["config"]["family"] in families and all(map(Path.is_file, files)):
                found.setdefault(case.id, case)
    return list(found.values())


def x3d_probes() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Probes that golden/x3d has: their entries and tensors, of the first folder with each."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for folder in (root / "x3d" for root in golden_dirs()):
        manifest = folder / "manifest_vjepa2_probe.json"
        if not manifest.is_file() or not (folder / "vjepa2_probe.safetensors").is_file():
            continue
        stored = _single(folder / "vjepa2_probe.safetensors")
        for entry in json.loads(manifest.read_text(encoding="utf-8"))["cases"]:
            prefix = f"{entry['name']}/"
            own = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
            if own:
                found.setdefault(f"x3d-probe-{entry['name']}", (entry, own))
    return found


def layouts() -> dict[str, dict[str, Any]]:
    """Names and shapes of the released files, by ``family/file``."""
    for folder in (root / "vjepa" for root in golden_dirs()):
        path = folder / "key_layouts_vjepa.json"
        if path.is_file():
            content: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
            return content
    return {}


def encoder(config: dict[str, Any], state: dict[str, Any]) -> Any:
    """Our encoder of a published configuration, with weights as they are named in the file."""
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.keys_vjepa import to_plain
    from actionspace.encoders.vjepa import VJEPA2
    from actionspace.encoders.vjepa21 import VJEPA21

    options = dict(config["encoder"])
    options.pop("out_layers", None)
    fixed = not options.get("use_rope", False)
    if not options.pop("handle_nonsquare_inputs", True):
        options["position_grid"] = _height(options["img_size"]) // options["patch_size"]
    if config["family"] == "vjepa2":
        net: Any = VJEPA2(**options)
    else:
        for unused in ("img_size", "num_frames", "use_rope", "uniform_power"):
            options.pop(unused, None)
        published = {"interpolate_rope": False, "img_temporal_dim_size": None}
        net = VJEPA21(**published | options)
    fit_state(net, to_plain(state, keep_positions=fixed), what="a golden case")
    return net.eval()


def predictor(config: dict[str, Any], path: Path) -> Any:
    """Our predictor of a published configuration, out of its file."""
    from actionspace.encoders.vjepa_files import load_predictor

    theirs = config["predictor"]
    names = ("num_heads", "use_rope", "interpolate_rope", "num_frames", "tubelet_size")
    options = {name: theirs[name] for name in names if name in theirs}
    options["uniform_power"] = theirs.get("uniform_power", False)
    if config["family"] != "vjepa2":
        for unused in ("use_rope", "num_frames", "tubelet_size", "uniform_power"):
            options.pop(unused, None)
    return load_predictor(path, img_size=_height(theirs["img_size"]), **options)


def _height(img_size: Any) -> int:
    """The original reads token numbers on its height alone."""
    return int(img_size if isinstance(img_size, int) else img_size[0])


def layout_of(state: dict[str, Any]) -> dict[str, list[int]]:
    """Names, block and list numbers collapsed as in ``key_layouts_vjepa.json``, and shapes."""
    import re

    collapsed = {}
    for name, value in state.items():
        name = re.sub(r"blocks\.\d+\.", "blocks.{i}.", name)
        name = re.sub(r"(mask_tokens|norms_block)\.\d+", r"\1.{j}", name)
        collapsed[name] = list(value.shape)
    return collapsed
