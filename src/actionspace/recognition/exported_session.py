"""Run an exported file: arrays in, logits and probabilities out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.errors import UsageError, WeightsError
from actionspace.training.graph_files import META, SUFFIXES, need

FORMAT = "actionspace.exported"
FORMAT_VERSION = 1
LOCALIZATION = "actionspace.exported_localization"
Scores = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Session:
    """An exported file, loaded.

    Attributes:
        about: what it says of itself; see ``docs/export.md``.
        device: where it runs.
        run: input ``[B, ...]`` to logits and probabilities, float32 ``[B, C]`` each.
    """

    about: dict[str, Any]
    device: str
    run: Callable[[np.ndarray], Scores]


def open_session(path: Path, device: str = "auto") -> Session:
    """Load an exported file by its ending.

    Args:
        path: ``.onnx`` or ``.pt2``.
        device: ``cpu``, ``cuda`` ...; ``auto`` is a GPU where there is one that can be used.

    Raises:
        RunError: the extra packages are missing.
        UsageError: the file cannot run on that device.
        WeightsError: the file is missing, damaged, unsafe or not one of ours.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist.")
    if path.suffix.lower() == SUFFIXES["onnx"]:
        return _onnx(path, device)
    return _torch(path, device)


def _onnx(path: Path, device: str) -> Session:
    import torch

    onnxruntime = need("onnxruntime")
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_cuda:
        raise UsageError(
            f"onnxruntime has no CUDA here, so {path} cannot run on {device}: pip install "
            "onnxruntime-gpu, export as torch-export, or use device=cpu."
        )
    use_cuda = has_cuda and device != "cpu"
    provider: Any = "CPUExecutionProvider"
    if use_cuda:
        provider = ("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others decode
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as e:  # onnxruntime has no common base of its errors
        reason = str(e).splitlines()[0]
        raise WeightsError(f"{path} cannot be loaded: {reason}. Export the run again.") from e
    text = session.get_modelmeta().custom_metadata_map.get(META, "")
    name = session.get_inputs()[0].name

    def run(batch: np.ndarray) -> Scores:
        logits, probabilities = session.run(None, {name: batch})
        return logits, probabilities

    return Session(_about(text, path), "cuda" if use_cuda else "cpu", run)


def _torch(path: Path, device: str) -> Session:
    import torch

    from actionspace.recognition.exported_archive import check_archive
    from actionspace.training.environment import pick_device

    device = pick_device(device)
    about = check_archive(path).get(f"{META}.json")
    try:
        program = torch.export.load(path)
        if device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as e:  # any JSON that does not fit torch's schema
        raise WeightsError(f"{path} cannot be loaded: {e}. Export the run again.") from e

    def run(batch: np.ndarray) -> Scores:
        with torch.inference_mode():
            logits, probabilities = module(torch.from_numpy(batch).to(device))
        return logits.cpu().numpy(), probabilities.cpu().numpy()

    return Session(_about(about, path), device, run)


def _about(found: Any, path: Path) -> dict[str, Any]:
    """Check what a file says of itself."""
    try:
        about = dict(json.loads(found) if isinstance(found, str) else found)
        if about["format"] == LOCALIZATION:
            raise UsageError(
                f"{path} is a network of localization, whose candidates still need suppression; "
                "predict with the run it was made from. docs/export.md says how to use the file."
            )
        version = int(about["format_version"]) if about["format"] == FORMAT else 0
    except (ValueError, KeyError, TypeError):
        version = 0
    if not version:
        raise WeightsError(
            f"{path} does not say what it was made from, so it was not written by actionspace "
            "export. Export a run."
        )
    if version > FORMAT_VERSION:
        raise WeightsError(
            f"{path} is of export format {version}; this version reads up to {FORMAT_VERSION}. "
            "Update actionspace."
        )
    return about
