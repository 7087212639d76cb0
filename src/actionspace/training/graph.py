"""Writing a torch module as one file that other programs can run: ONNX or torch.export."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from actionspace.errors import RunError
from actionspace.training.graph_files import META

OPSET = 20
BATCHES = {0: "batch"}
"""The axes that are free where a file takes any number of samples."""


def trace(
    module: nn.Module, example: Sequence[Tensor], what: str, *, free: Mapping[int, str] = BATCHES
) -> ExportedProgram:
    """Return the graph of a module.

    Args:
        module: takes tensors.
        example: such tensors; longer than 1 along axes that are free.
        what: names the module in messages.
        free: axes of each tensor that may have any size, with a name; the others keep that of the
            example.

    Raises:
        RunError: the module does something that cannot be written down as a graph.
    """
    axes = {axis: torch.export.Dim(name) for axis, name in free.items()}
    shapes = tuple(axes for _ in example) if axes else None
    try:
        # On failure torch prints the whole graph; the message has what matters.
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            program = torch.export.export(module.eval(), tuple(example), dynamic_shapes=shapes)
    except Exception as e:  # the encoder may be anybody's code
        raise RunError(
            f"{what} cannot be written down as a graph: {_brief(e)}. Usual causes are Python that "
            "looks at values of tensors (if x.sum() > 0) and batch sizes taken as numbers (len(x); "
            "write x.shape[0]). Change its code, or export the head alone (--part head)."
        ) from e
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names files of this machine
    return program


def write_torch(program: ExportedProgram, path: Path, about: Mapping[str, Any]) -> None:
    """Write a ``.pt2`` file: a zip of JSON and arrays in which nothing is pickled."""
    program._example_inputs = None  # would be the one pickle of the archive
    program._guards_code = []  # Python text; sizes are checked without it
    torch.export.save(program, path, extra_files={f"{META}.json": json.dumps(about)})


def write_onnx(
    program: ExportedProgram,
    path: Path,
    about: Mapping[str, Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    what: str,
    *,
    free: Mapping[int, str] = BATCHES,
) -> None:
    """Write one ``.onnx`` file with the weights in it.

    Args:
        program: the graph.
        path: the file.
        about: goes into its metadata.
        inputs, outputs: their names.
        what: names the module in messages.
        free: as it was traced.

    Raises:
        RunError: ONNX has no counterpart of an operation, or the file would be too large.
    """
    try:
        # Fused attention promises another memory layout than the one ONNX conversion assumes.
        with sdpa_kernel(SDPBackend.MATH):
            made = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=tuple(dict(free) for _ in inputs) if free else None,
                custom_translation_table={
                    torch.ops.aten._adaptive_avg_pool3d.default: _average_pool
                },
            )
    except Exception as e:
        raise RunError(
            f"{what} cannot be written as ONNX: {_brief(e)}. Use --format torch-export, write that "
            "operation in others that ONNX has, or export the head alone (--part head)."
        ) from e
    assert made is not None
    made.model.metadata_props[META] = json.dumps(about)
    try:
        made.save(path, external_data=False)
    except ValueError as e:
        raise RunError(
            f"{what} is too large for one ONNX file (2 GiB): {_brief(e)}. Use --format "
            "torch-export."
        ) from e


def _average_pool(x: Any, output_size: Sequence[int]) -> Any:
    """Adaptive pooling whose windows are all alike, in ONNX, which knows no other."""
    from onnxscript import opset20 as ops

    sizes = list(x.shape[-3:])
    if any(size % out for size, out in zip(sizes, output_size, strict=True)):
        raise NotImplementedError(
            f"adaptive_avg_pool3d of {sizes} to {list(output_size)} has windows of unequal size"
        )
    window = [size // out for size, out in zip(sizes, output_size, strict=True)]
    return ops.AveragePool(x, kernel_shape=window, strides=window)


def _brief(e: BaseException) -> str:
    """Return the innermost cause in one line."""
    while e.__cause__ is not None:
        e = e.__cause__
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    return (lines[0] if lines else type(e).__name__).rstrip(".")[:300]
