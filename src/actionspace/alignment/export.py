"""Write a trained network of alignment as one file: ONNX or torch.export.

The file takes the features (or pictures) of one video, of any length, and gives the embedding of
each. Before it is put in place it is run, and compared with the network it was made from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network, phases_in
from actionspace.config import parse
from actionspace.errors import UsageError
from actionspace.paths import atomic_path, plain
from actionspace.training.graph_files import need, place
from actionspace.training.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from actionspace.alignment.export_graph import Embeddings

FORMAT = "actionspace.exported_alignment"
FORMAT_VERSION = 1
TOLERANCE = 1e-5
"""Largest difference of an output, as a share of its largest value (of 1, if that is less)."""
WHAT = "The network"
LENGTHS = {"features": (1, 7, 300), "frames": (1, 5)}
"""Rows of the videos that the file is run on."""
EXAMPLE = 6
FREE = {1: "rows"}


@dataclass(frozen=True)
class Export:
    """A file that was written and compared with its run.

    Attributes:
        path: the file.
        about: what it says of itself; see ``docs/export.md``.
        errors: by output, the largest difference, relative as :data:`TOLERANCE`.
    """

    path: Path
    about: dict[str, Any]
    errors: dict[str, float]

    def __str__(self) -> str:
        (name, given), *_ = self.about["inputs"].items()
        outputs = " and ".join(
            f"{output} {_shape(one['shape'])}" for output, one in self.about["outputs"].items()
        )
        told = ", ".join(f"{error:.1e} of {output}" for output, error in self.errors.items())
        lengths = ", ".join(map(str, LENGTHS[name]))
        return (
            f"{self.path}: {name} {_shape(given['shape'])} to {outputs}, "
            f"{self.path.stat().st_size / 1e6:.1f} MB; max error {told} (relative), on random "
            f"{name} of videos of {lengths} rows"
        )


def export(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    part: str = "auto",
    tolerance: float = TOLERANCE,
) -> Export:
    """Write a run as one ``.onnx`` or ``.pt2`` file, checked against the run in float32 on the CPU.

    Args:
        run: a finished run.
        out: the file, written whole or not at all; by default beside the run, named as it.
        format: ``onnx`` or ``torch-export``; by default what the ending of ``out`` says, else onnx.
        part: ``head`` for a network of features, ``model`` for one of pictures; ``auto`` either.
        tolerance: largest difference from the run, relative.

    Raises:
        UsageError: an unknown format, an ending that is another's, a part that the run has not.
        RunError: not a run; packages of the extra ``export`` are missing; the file disagrees.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    format, path = place(run.path, out, format)
    recipe = parse(AlignmentRecipe, run.config, str(run.path / "config.yaml"))
    given = recipe.network.input
    own = "head" if given == "features" else "model"
    if part not in ("auto", own):
        raise UsageError(
            f"part='{part}': this run's network takes {given}, so it is exported as '{own}'."
        )
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package)
    from actionspace.alignment.export_graph import Embeddings
    from actionspace.training.graph_check import largest_errors, open_graph

    module = Embeddings(load_network(run, recipe), recipe.sampling.context_stride).eval()
    width = recipe.pictures.size if module.pictures else module.network.dim
    about = _describe(run, recipe, module, width)
    with atomic_path(path) as tmp:
        _write(module, tmp, format, about, width)
        examples = [
            (_example(module, rows, width, seed),)
            for seed, rows in enumerate(LENGTHS[given], start=1)
        ]
        found = open_graph(tmp, format, (given,), module.outputs)
        errors = largest_errors(module, found, examples, module.outputs, WHAT, tolerance)
    return Export(path, about, errors)


def _example(module: Embeddings, rows: int, width: int, seed: int = 0) -> Tensor:
    """Return random features ``[1, rows, width]``, or pictures ``[1, rows, width, width, 3]``."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    if module.pictures:
        size = (1, rows, width, width, 3)
        return torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    return torch.randn(1, rows, width, generator=generator)


def _write(
    module: Embeddings, path: Path, format: str, about: Mapping[str, Any], width: int
) -> None:
    from actionspace.training.graph import trace, write_onnx, write_torch

    program = trace(module, (_example(module, EXAMPLE, width),), WHAT, free=FREE)
    if format == "onnx":
        names = tuple(about["inputs"])
        write_onnx(program, path, about, names, module.outputs, WHAT, free=FREE)
    else:
        write_torch(program, path, about)


def _describe(run: Run, recipe: AlignmentRecipe, module: Embeddings, width: int) -> dict[str, Any]:
    """Return what the file says of itself: nothing in it depends on this machine."""
    import torch

    from actionspace import __version__

    config, phases = module.network.config, phases_in(run, recipe)
    size = ["rows", width, width, 3] if module.pictures else ["rows", width]
    widths = {"embeddings": config.embedding_dim, "logits": module.network.classes}
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_with": {"actionspace": __version__, "torch": torch.__version__},
        "run": run.path.resolve().name,
        "inputs": {
            config.input: {
                "dtype": "uint8" if module.pictures else "float32",
                "shape": [1, *size],
            }
        },
        "outputs": {
            name: {"dtype": "float32", "shape": [1, "rows", widths[name]]}
            for name in module.outputs
        },
        "heads": {recipe.column: {"classes": phases}} if module.network.classes else {},
        "longest": recipe.evaluation.frames_per_clip,
        "positions": config.positions,
        "l2_normalized": config.l2_normalize,
        "contexts": {"frames": config.contexts, "stride": recipe.sampling.context_stride},
        "pictures": {"size": width, "evaluate": recipe.augment.evaluate} if module.pictures else {},
        "encoder": run.labels.get("encoder") or {},
    }
    return dict(plain(about))


def _shape(sizes: list[Any]) -> str:
    return f"[{', '.join(map(str, sizes))}]"
