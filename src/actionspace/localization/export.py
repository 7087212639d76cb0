"""Write a trained network of localization as one file: ONNX or torch.export.

The file takes the features of one video and gives every point's segment with its scores, before
suppression. Before it is put in place it is run, and compared with the network it was made from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError
from actionspace.localization.evaluate import recipe_of
from actionspace.localization.saved import classes_of, load_network
from actionspace.paths import atomic_path, plain
from actionspace.training.graph_files import need, place
from actionspace.training.run import Run

if TYPE_CHECKING:
    import torch

    from actionspace.localization.export_graph import Candidates
    from actionspace.localization.recipe import LocalizationRecipe
    from actionspace.training.graph_check import Runner

FORMAT = "actionspace.exported_localization"
FORMAT_VERSION = 1
TOLERANCE = 1e-5
"""Largest difference of an output, as a share of its largest value (of 1, if that is less)."""
WHAT = "The network"


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
        outputs = " and ".join(
            f"{name} [{', '.join(map(str, shape['shape']))}]"
            for name, shape in self.about["outputs"].items()
        )
        told = ", ".join(f"{error:.1e} of {name}" for name, error in self.errors.items())
        shape = ", ".join(map(str, self.about["inputs"]["features"]["shape"]))
        return (
            f"{self.path}: features [{shape}] to {outputs}, "
            f"{self.path.stat().st_size / 1e6:.1f} MB; max error {told} (relative), on random "
            "features of a whole and of a padded video"
        )


def export(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    part: str = "auto",
    rows: int | None = None,
    checkpoint: str | None = None,
    tolerance: float = TOLERANCE,
) -> Export:
    """Write a run as one ``.onnx`` or ``.pt2`` file, checked against the run in float32 on the CPU.

    Args:
        run: a finished run.
        out: the file, written whole or not at all; by default beside the run, named as it.
        format: ``onnx`` or ``torch-export``; by default what the ending of ``out`` says, else onnx.
        part: ``auto`` or ``head``; the file takes features in either case.
        rows: of features that the file takes; shorter videos are padded. None = the network's
            training windows (``model.max_length``).
        checkpoint: weights kept while training, e.g. ``epoch_034``; None = those it ended with.
        tolerance: largest difference from the run, relative.

    Raises:
        UsageError: an unknown format, an ending that is another's, rows that the network cannot
            take, an encoder is asked for, a network of point events.
        RunError: not a run; packages of the extra ``export`` are missing; the file disagrees.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    format, path = place(run.path, out, format)
    if part not in ("auto", "head"):
        raise UsageError(
            f"part='{part}': of localization the network alone is exported; it takes features."
        )
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package)
    import torch

    from actionspace.localization.export_graph import Candidates
    from actionspace.training.graph_check import open_graph

    recipe = recipe_of(run)
    module = Candidates(load_network(run, recipe, checkpoint=checkpoint)).eval()
    size = _rows(recipe, rows)
    dim = int(run.labels["encoder"]["dim"])
    with torch.no_grad():
        outputs = dict(zip(module.outputs, module(*_example(size, size, dim)), strict=True))
    about = _describe(run, recipe, (size, dim), {n: list(v.shape) for n, v in outputs.items()})
    with atomic_path(path) as tmp:
        _write(module, tmp, format, about)
        run_file = open_graph(tmp, format, ("features", "mask"), module.outputs)
        errors = compare(module, run_file, (size, dim), tolerance)
    return Export(path, about, errors)


def _rows(recipe: LocalizationRecipe, asked: int | None) -> int:
    model = recipe.model
    if asked is None:
        return model.max_length
    if asked % model.unit or not 0 < asked <= model.longest:
        raise UsageError(
            f"rows={asked}: the network takes multiples of {model.unit} rows, up to "
            f"{model.longest // model.unit * model.unit}."
        )
    return asked


def _example(rows: int, real: int, dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random features ``[1, rows, dim]`` of a video of ``real`` rows, and their mask."""
    import torch

    features = torch.randn(1, rows, dim, generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(rows) < real).unsqueeze(0)
    return features * mask.unsqueeze(-1), mask


def _describe(
    run: Run,
    recipe: LocalizationRecipe,
    shape: tuple[int, int],
    outputs: Mapping[str, list[int]],
) -> dict[str, Any]:
    """Return what the file says of itself: nothing in it depends on this machine."""
    import torch

    from actionspace import __version__

    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "made_with": {"actionspace": __version__, "torch": torch.__version__},
        "run": run.path.resolve().name,
        "inputs": {
            "features": {"dtype": "float32", "shape": [1, *shape]},
            "mask": {"dtype": "bool", "shape": [1, shape[0]]},
        },
        "outputs": {n: {"dtype": "float32", "shape": s} for n, s in outputs.items()},
        "heads": {recipe.column: {"classes": classes_of(run, recipe.column)}},
        "threshold": run.labels.get("threshold"),
        "encoder": run.labels.get("encoder") or {},
        "suppression": recipe.suppression.model_dump(mode="json"),
    }
    return dict(plain(about))


def _write(module: Candidates, path: Path, format: str, about: Mapping[str, Any]) -> None:
    from actionspace.training.graph import trace, write_onnx, write_torch

    shape = about["inputs"]["features"]["shape"]
    example = _example(shape[1], shape[1], shape[2])
    program = trace(module, example, WHAT, free={})
    if format == "onnx":
        names = ("features", "mask")
        write_onnx(program, path, about, names, module.outputs, WHAT, free={})
    else:
        write_torch(program, path, about)


def compare(
    module: Candidates, run: Runner, shape: tuple[int, int], tolerance: float
) -> dict[str, float]:
    """Run the file and the network on the same features, of a whole and of a padded video.

    Raises:
        RunError: they differ by more than the tolerance, or the file cannot be run.
    """
    from actionspace.training.graph_check import largest_errors

    rows, dim = shape
    lengths = (rows, max(1, 2 * rows // 3))
    examples = [_example(rows, real, dim, seed) for seed, real in enumerate(lengths, start=1)]
    return largest_errors(module, run, examples, module.outputs, WHAT, tolerance)
