"""Running an exported file, and comparing it with the network it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from actionspace.errors import RunError
from actionspace.training.graph_files import need

Runner = Callable[..., list[np.ndarray]]
"""From the inputs of a file to its outputs, arrays in their order."""


def open_graph(path: Path, format: str, inputs: Sequence[str], outputs: Sequence[str]) -> Runner:
    """Return what runs a file that was written here, on the CPU.

    Args:
        path: the file.
        format: ``onnx`` or ``torch-export``.
        inputs, outputs: their names in the file.

    Raises:
        RunError: onnxruntime is not installed.
    """
    if format == "onnx":
        options = need("onnxruntime").SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        session = need("onnxruntime").InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

        def run_onnx(*given: np.ndarray) -> list[np.ndarray]:
            return list(session.run(list(outputs), dict(zip(inputs, given, strict=True))))

        return run_onnx
    module = torch.export.load(path).module()

    def run_torch(*given: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = module(*map(torch.from_numpy, given))
        return [value.numpy() for value in found]

    return run_torch


def largest_errors(
    module: nn.Module,
    run: Runner,
    examples: Iterable[Sequence[Tensor]],
    outputs: Sequence[str],
    what: str,
    tolerance: float,
) -> dict[str, float]:
    """Run the file and the network on the same inputs and return, by output, the largest
    difference as a share of its largest value (of 1, if that is less).

    Args:
        module: the network; returns a tuple of tensors.
        run: the file.
        examples: inputs.
        outputs: names.
        what: names the network in messages.
        tolerance: largest difference.

    Raises:
        RunError: they differ by more than the tolerance, or the file cannot be run.
    """
    worst = dict.fromkeys(outputs, 0.0)
    for given in examples:
        with torch.no_grad():
            wanted = module(*given)
        try:
            found = run(*(value.numpy() for value in given))
        except Exception as e:  # whatever the other program raises
            raise RunError(f"{what} was written, but the file cannot be run: {e}.") from e
        for name, got, told in zip(outputs, found, wanted, strict=True):
            scale = max(1.0, float(told.abs().max()))
            error = float(np.abs(got - told.numpy()).max()) / scale
            worst[name] = max(worst[name], np.inf if np.isnan(error) else error)
    if not max(worst.values()) <= tolerance:
        said = ", ".join(f"{error:.1e} of {name}" for name, error in worst.items())
        raise RunError(
            f"{what} was written, but the file does not agree with the run: {said}, at most "
            f"{tolerance:.0e} of the largest value is allowed. It is not kept. Export in the other "
            "format, or say what difference is acceptable (tolerance=)."
        )
    return worst
