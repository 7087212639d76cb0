"""Write a trained run as one file that other programs can run: ONNX or torch.export.

The file takes clips as they were decoded (uint8) or features, and gives logits and probabilities.
Before it is put in place it is run, and compared with the run it was made from.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from actionspace.errors import RunError, UsageError
from actionspace.heads.attentive_head import AttentiveHead
from actionspace.heads.linear import LinearHead
from actionspace.paths import atomic_path
from actionspace.recognition.evaluate import encoding_of, recipe_of
from actionspace.recognition.exported_session import (
    FORMAT,
    FORMAT_VERSION,
    Scores,
    Session,
    open_session,
)
from actionspace.recognition.probe import Probe, describe_probes, load_probes
from actionspace.training.graph_files import need, place
from actionspace.training.run import FORMAT_VERSION as RUN_FORMAT
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.recognition.encode import Encoding
    from actionspace.recognition.recipe import RecognitionRecipe

Part = Literal["auto", "model", "head"]
TOLERANCE = 1e-3
"""Largest difference of a probability, and of a logit as a share of the largest logit."""
BATCHES = (1, 3)
"""Batch sizes the file is run with."""
KEPT = {"feature_options", "clips", "split", "folds", "evaluation", "predict"}
"""Sections of the recipe that decide what is predicted."""
VIEW = (
    *("frames", "stride", "fps", "size", "short_side", "geometry", "resize"),
    *("clips", "out_of_bound", "flow"),
)
"""What of the views decides how a video becomes clips when nothing is random."""


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from its run, on random input.

    Attributes:
        logits: largest difference, as a share of the largest logit (or of 1, if that is less).
        probabilities: largest difference.
        tolerance: what either may be.
        batches: batch sizes that were run.
    """

    logits: float
    probabilities: float
    tolerance: float
    batches: tuple[int, ...] = BATCHES

    def __str__(self) -> str:
        sizes = " and ".join(map(str, self.batches))
        return (
            f"max error {self.probabilities:.1e} of probabilities, {self.logits:.1e} of logits "
            f"(relative), on random input in batches of {sizes}; tolerance {self.tolerance:.0e}"
        )


@dataclass(frozen=True)
class Export:
    """A file that was written and compared with its run.

    Attributes:
        path: the file.
        about: what it says of itself; see ``docs/export.md``.
        parity: how far it is from the run.
    """

    path: Path
    about: dict[str, Any]
    parity: Parity

    def __str__(self) -> str:
        shape = ", ".join(map(str, self.about["input"]["shape"]))
        size = self.path.stat().st_size / 1e6
        several = len(self.about["heads"]) > 1
        classes = " and ".join(
            f"{len(head['classes'])} {name if several else 'classes'}"
            for name, head in self.about["heads"].items()
        )
        return (
            f"{self.path}: {self.about['input']['name']} [{shape}] to {classes}, "
            f"{size:.1f} MB; {self.parity}"
        )


@dataclass(frozen=True)
class _Source:
    """What is exported: a module, what it takes, and the run's own answer to compare with."""

    module: Any
    what: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    preprocessing: dict[str, Any] | None
    answer: Callable[[np.ndarray], Scores]

    def sample(self, batch: int, seed: int) -> np.ndarray:
        """Return random input: features, or clips half of noise and half of large patches."""
        rng = np.random.default_rng(seed)
        if self.name == "features":
            return rng.standard_normal((batch, *self.shape), np.float32)
        clips = rng.integers(0, 256, (batch, *self.shape), np.uint8)
        coarse = np.repeat(np.repeat(clips[::2, :, ::8, ::8], 8, axis=2), 8, axis=3)
        clips[::2] = coarse[:, :, : self.shape[1], : self.shape[2]]
        return clips


def export(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    format: str | None = None,
    part: Part = "auto",
    weights: str | None = None,
    tolerance: float = TOLERANCE,
) -> Export:
    """Write a run as one ``.onnx`` or ``.pt2`` file, checked against the run in float32 on the CPU.

    Args:
        run: a finished run.
        out: the file, written whole or not at all; by default beside the run, named as it.
        format: ``onnx`` or ``torch-export``; by default what the ending of ``out`` says, else onnx.
        part: ``model``: clips in; ``head``: features in; ``auto``: ``model``, but ``head`` for a
            run trained on features of another make.
        weights: where the encoder's weights are, if not as in the recipe.
        tolerance: largest difference from the run, of probabilities and (relative) of logits.

    Raises:
        UsageError: an unknown format, an ending that is another's, a model without an encoder, an
            attentive head.
        RunError: not a run; its encoder cannot be had or not be written as a graph; packages of the
            extra ``export`` are missing; the file disagrees with the run.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    format, path = place(run.path, out, format)
    if format == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            need(package)
    recipe = recipe_of(run, weights=weights, device="cpu")
    probes = load_probes(run)
    if _part(run, recipe, part) == "head":
        source = _head(probes)
    else:
        source = _model(probes, encoding_of(run, recipe))
    about = _describe(run, recipe, probes, source)
    with atomic_path(path) as tmp:
        _write(source, tmp, format, about)
        parity = _compare(source, open_session(tmp, "cpu"), tolerance)
    return Export(path, about, parity)


def _linear(probe: Probe) -> LinearHead:
    if isinstance(probe.head, AttentiveHead):
        raise UsageError(
            f"The head of '{probe.column}' is attentive: it looks at tokens, maybe of many clips,"
            " and an exported file takes one clip or one vector. Predict with the run, or train "
            "with head.kind=linear."
        )
    return probe.head


def _part(run: Run, recipe: RecognitionRecipe, part: str) -> str:
    if part not in ("auto", "model", "head"):
        raise UsageError(f"part='{part}' is none of auto, model, head.")
    has_encoder = recipe.features is None or (run.labels.get("encoder") or {}).get("name")
    if part == "model" and not has_encoder:
        raise UsageError(
            f"{run.path} was trained on features of another make ({recipe.features}); there is no "
            "encoder to export. Export the head (--part head), which takes such features."
        )
    return part if part != "auto" else "model" if has_encoder else "head"


def _answer(probes: Sequence[Probe], features: np.ndarray) -> Scores:
    """Return logits and probabilities of all heads side by side."""
    heads = [probe.head for probe in probes]
    logits = np.concatenate([head.scores(features) for head in heads], axis=1)
    return logits, np.concatenate([head.probabilities(features) for head in heads], axis=1)


def _head(probes: Sequence[Probe]) -> _Source:
    from actionspace.recognition.export_graph import FeatureScores

    module, dim = FeatureScores([_linear(probe) for probe in probes]), probes[0].head.dim
    answer = functools.partial(_answer, probes)
    return _Source(module, "The head", "features", (dim,), "float32", None, answer)


def _model(probes: Sequence[Probe], encoding: Encoding) -> _Source:
    from actionspace.features.forward import Forward
    from actionspace.recognition.export_graph import ClipScores

    heads = [_linear(probe) for probe in probes]
    encoder, views = encoding.encoder, encoding.views("test")
    if encoder.clip.input == "audio":
        raise UsageError(
            f"Encoder '{encoder.name}' listens: its features are made while sound is decoded. "
            "Export the head (--part head), which takes them."
        )
    forward = Forward(encoder, "float32")

    def answer(clips: np.ndarray) -> Scores:
        return _answer(probes, forward(clips, 0))

    clip = encoder.clip.as_dict()
    preprocessing = {
        **clip,
        **{name: getattr(views, name) for name in VIEW},
        "rows": encoding.recipe.clips.rows,
        "hop": encoding.recipe.clips.hop,
        "normalised_in_graph": True,
    }
    return _Source(
        ClipScores(encoder, heads),
        f"The model of encoder '{encoder.name}'",
        "clips",
        (views.frames, views.size, views.size, len(clip["mean"])),
        "uint8",
        preprocessing,
        answer,
    )


def _describe(
    run: Run, recipe: RecognitionRecipe, probes: Sequence[Probe], source: _Source
) -> dict[str, Any]:
    """Return what the file says of itself: nothing in it depends on this machine."""
    import torch

    from actionspace import __version__
    from actionspace.paths import plain

    width = sum(len(probe.classes) for probe in probes)
    outputs = {
        name: {"dtype": "float32", "shape": ["batch", width]}
        for name in ("logits", "probabilities")
    }
    each = ["sigmoid" if probe.head.multi_label else "softmax" for probe in probes]
    about = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "run_format_version": run.environment.get("format_version", RUN_FORMAT),
        "made_with": {"actionspace": __version__, "torch": torch.__version__},
        "run": run.path.resolve().name,
        "part": "head" if source.name == "features" else "model",
        "input": {"name": source.name, "dtype": source.dtype, "shape": ["batch", *source.shape]},
        "outputs": outputs,
        "activation": each[0] if len(each) == 1 else each,
        "preprocessing": source.preprocessing,
        # Where features are brought to length 1, the graph does it.
        **describe_probes([replace(p, head=replace(_linear(p), unit=False)) for p in probes]),
        "encoder": run.labels.get("encoder") or {},
        "recipe": recipe.model_dump(mode="json", include=KEPT),
    }
    return dict(plain(about))


def _write(source: _Source, path: Path, format: str, about: dict[str, Any]) -> None:
    import torch

    from actionspace.recognition.export_graph import OUTPUTS
    from actionspace.training.graph import trace, write_onnx, write_torch

    program = trace(source.module, [torch.from_numpy(source.sample(2, 0))], source.what)
    if format == "onnx":
        write_onnx(program, path, about, [source.name], OUTPUTS, source.what)
    else:
        write_torch(program, path, about)


def _compare(source: _Source, session: Session, tolerance: float) -> Parity:
    """Run the file and the run on the same random input.

    Raises:
        RunError: they differ by more than the tolerance, or the file cannot be run.
    """
    worst = [0.0, 0.0]
    for seed, batch in enumerate(BATCHES, start=1):
        sample = source.sample(batch, seed)
        try:
            found = session.run(sample)
        except Exception as e:  # whatever the other program raises
            raise RunError(
                f"{source.what} was written, but the file cannot be run with a batch of {batch}: "
                f"{e}. It is not kept."
            ) from e
        logits, probabilities = source.answer(sample)
        scale = max(1.0, float(np.abs(logits).max()))
        for i, (got, told, unit) in enumerate(
            zip(found, (logits, probabilities), (scale, 1.0), strict=True)
        ):
            error = float(np.abs(got - told).max()) / unit if got.shape == told.shape else np.inf
            worst[i] = max(worst[i], np.inf if np.isnan(error) else error)
    parity = Parity(worst[0], worst[1], tolerance)
    if not max(worst) <= tolerance:
        raise RunError(
            f"{source.what} was written, but the file does not agree with the run: {parity}. It is "
            "not kept. Export in the other format, or say what difference is acceptable "
            "(tolerance=)."
        )
    return parity
