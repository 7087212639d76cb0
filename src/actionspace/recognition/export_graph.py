"""What an exported file computes: torch modules, and writing them as ONNX or torch.export."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from actionspace.encoders.encoder import Encoder
from actionspace.errors import RunError
from actionspace.heads.linear import LinearHead
from actionspace.recognition.exported_session import META

OPSET = 20
OUTPUTS = ("logits", "probabilities")


class FeatureScores(nn.Module):
    """Features float32 [B, D] to logits and probabilities, float32 [B, C] each.

    Those of several heads lie side by side, in their order.
    """

    def __init__(self, heads: Sequence[LinearHead]) -> None:
        super().__init__()
        weight = torch.from_numpy(np.concatenate([head.weight for head in heads]))
        bias = torch.from_numpy(np.concatenate([head.bias for head in heads]))
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.sizes = [len(head.classes) for head in heads]
        self.multi_label = [head.multi_label for head in heads]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Score features; a calibrated temperature is part of weight and bias already."""
        logits = F.linear(features, self.weight, self.bias)
        if len(self.sizes) == 1:
            return logits, _probabilities(logits, self.multi_label[0])
        parts = torch.split_with_sizes(logits, self.sizes, dim=-1)
        each = map(_probabilities, parts, self.multi_label)
        return logits, torch.cat([*each], dim=-1)


def _probabilities(logits: Tensor, multi_label: bool) -> Tensor:
    return logits.sigmoid() if multi_label else logits.softmax(-1)


class ClipScores(nn.Module):
    """Clips uint8 [B, T, H, W, 3], as they were decoded, to logits and probabilities [B, C]."""

    def __init__(self, encoder: Encoder, heads: Sequence[LinearHead]) -> None:
        super().__init__()
        self.encoder = encoder
        self.scores = FeatureScores(heads)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, encode and score clips."""
        scores: tuple[Tensor, Tensor] = self.scores(self.encoder(self.encoder.prepare(clips)))
        return scores


def trace(module: nn.Module, example: Tensor, what: str) -> ExportedProgram:
    """Return the graph of a module for batches of any size.

    Args:
        module: takes one tensor whose first axis is the batch.
        example: such a tensor, of two samples.
        what: names the module in messages.

    Raises:
        RunError: the module does something that cannot be written down as a graph.
    """
    shapes = ({0: torch.export.Dim("batch")},)
    try:
        # On failure torch prints the whole graph; the message has what matters.
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):
            program = torch.export.export(module.eval(), (example,), dynamic_shapes=shapes)
    except Exception as e:  # the encoder may be anybody's code
        raise RunError(
            f"{what} cannot be written down as a graph: {_brief(e)}. Usual causes are Python that "
            "looks at values of tensors (if x.sum() > 0) and batch sizes taken as numbers (len(x); "
            "write x.shape[0]). Change its code, or export the head alone (--part head)."
        ) from e
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names files of this machine
    return program


def write_torch(program: ExportedProgram, path: Path, about: dict[str, Any]) -> None:
    """Write a ``.pt2`` file: a zip of JSON and arrays in which nothing is pickled."""
    program._example_inputs = None  # would be the one pickle of the archive
    program._guards_code = []  # Python text; sizes are checked without it
    torch.export.save(program, path, extra_files={f"{META}.json": json.dumps(about)})


def write_onnx(
    program: ExportedProgram, path: Path, about: dict[str, Any], name: str, what: str
) -> None:
    """Write one ``.onnx`` file with the weights in it.

    Args:
        program: the graph.
        path: the file.
        about: goes into its metadata.
        name: of its input.
        what: names the module in messages.

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
                input_names=[name],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: "batch"},),
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
