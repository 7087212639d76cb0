"""A fitted linear probe: features in, raw scores, probabilities and labels out. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from actionspace.errors import RunError, StoreError
from actionspace.training.run import Run

Average = Literal["prob", "score"]


@dataclass(frozen=True)
class Background:
    """How a run tells that nothing happens.

    Attributes:
        kind: ``trained`` (a class of its own), ``threshold`` (no class scores enough), ``none``.
        label: name of the class, or of frames without an event.
        threshold: probability below which nothing is said to happen, for ``threshold``.
        note: what decided, in words.
    """

    kind: Literal["trained", "threshold", "none"] = "none"
    label: str = "background"
    threshold: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Probe:
    """Weights and meaning of a linear head.

    Attributes:
        column: head column of the manifest it was trained on.
        classes: its C classes, the background class (if trained) among them.
        multi_label: independent probabilities instead of one distribution.
        weight: float32 ``[C, D]``.
        bias: float32 ``[C]``.
        background: how nothing happening is told.
        clip_seconds: the longest whole-video event of training, in seconds; 0 = there was none.
    """

    column: str
    classes: list[str]
    multi_label: bool
    weight: np.ndarray
    bias: np.ndarray
    background: Background = Background()
    clip_seconds: float = 0.0

    @property
    def dim(self) -> int:
        """Length D of a feature vector."""
        return int(self.weight.shape[1])

    @property
    def background_class(self) -> int | None:
        """Column of the trained background class, or None."""
        trained = self.background.kind == "trained" and self.background.label in self.classes
        return self.classes.index(self.background.label) if trained else None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return raw scores float32 ``[..., C]`` of features ``[..., D]``.

        Raises:
            StoreError: the features are of another length.
        """
        if features.shape[-1] != self.dim:
            raise StoreError(
                f"These features have {features.shape[-1]} numbers per row, the head was trained "
                f"on {self.dim}. Use features of the encoder of the run."
            )
        flat = features.reshape(-1, self.dim).astype(np.float32)
        scores = flat @ self.weight.T + self.bias
        return np.asarray(scores.reshape(*features.shape[:-1], len(self.classes)), np.float32)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities ``[..., C]`` of raw scores."""
        return to_probabilities(logits, self.multi_label)

    def save(self, run: Run, about: Mapping[str, Any]) -> None:
        """Write ``weights.safetensors`` and ``labels.json``; ``about`` adds entries to the latter."""
        run.write_weights({f"{self.column}.weight": self.weight, f"{self.column}.bias": self.bias})
        run.write_labels({**self.describe(), **about})

    def describe(self) -> dict[str, Any]:
        """Return what ``labels.json`` says of the head, in runs and in predictions."""
        return {
            "heads": {self.column: {"classes": self.classes, "multi_label": self.multi_label}},
            "background": asdict(self.background),
            "clip_seconds": self.clip_seconds,
        }

    @classmethod
    def load(cls, run: Run) -> Probe:
        """Read the probe of a run.

        Raises:
            RunError: labels and weights do not fit each other.
        """
        labels, arrays = run.labels, run.weights()
        try:
            column, about = next(iter(labels["heads"].items()))
            probe = cls(
                column=str(column),
                classes=[str(name) for name in about["classes"]],
                multi_label=bool(about["multi_label"]),
                weight=arrays[f"{column}.weight"].astype(np.float32),
                bias=arrays[f"{column}.bias"].astype(np.float32),
                background=Background(**labels["background"]),
                clip_seconds=float(labels.get("clip_seconds", 0.0)),
            )
        except (KeyError, StopIteration, TypeError, AttributeError) as e:
            raise RunError(f"{run.path} is not a linear probe's run ({e!r} missing).") from e
        if probe.weight.shape[0] != len(probe.classes):
            raise RunError(
                f"{run.path}: {len(probe.classes)} classes in labels.json, {probe.weight.shape[0]} "
                "in weights.safetensors. The folder is of two runs; train again."
            )
        return probe


def to_probabilities(logits: np.ndarray, multi_label: bool) -> np.ndarray:
    """Return float64 sigmoid (several labels) or softmax (one label) of raw scores ``[..., C]``."""
    x = np.asarray(logits, np.float64)
    if multi_label:
        return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))
