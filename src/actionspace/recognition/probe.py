"""A trained probe: the head, the column it answers, and how it tells that nothing happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from actionspace.errors import RunError
from actionspace.heads.linear import LinearHead
from actionspace.training.run import Run

Average = Literal["prob", "score"]


@dataclass(frozen=True)
class Background:
    """How a run tells that nothing happens.

    Attributes:
        kind: ``trained`` (a class of its own), ``threshold`` (no class scores enough), ``none``.
        label: name of the class, or of frames without an event.
        note: what decided, in words.
    """

    kind: Literal["trained", "threshold", "none"] = "none"
    label: str = "background"
    note: str = ""


@dataclass(frozen=True)
class Probe:
    """A linear head and what its answers mean.

    Attributes:
        column: head column of the manifest it was trained on.
        head: the classifier; a trained background class is one of its classes.
        background: how nothing happening is told; ``head.thresholds`` hold its threshold.
        clip_seconds: the longest whole-video event of training, in seconds; 0 = there was none.
    """

    column: str
    head: LinearHead
    background: Background = Background()
    clip_seconds: float = 0.0

    @property
    def classes(self) -> list[str]:
        """The C classes in the order of scores."""
        return list(self.head.classes)

    @property
    def background_class(self) -> int | None:
        """Column of the trained background class, or None."""
        trained = self.background.kind == "trained" and self.background.label in self.classes
        return self.classes.index(self.background.label) if trained else None

    @property
    def threshold(self) -> dict[str, float] | None:
        """Least probability of an event per class, or None where the likeliest class wins."""
        least = self.head.thresholds or ((0.5,) if self.head.multi_label else ())
        if not least:
            return None
        each = least if len(least) == len(self.classes) else least[:1] * len(self.classes)
        return dict(zip(self.classes, each, strict=True))

    def save(self, run: Run, about: Mapping[str, Any]) -> None:
        """Write ``weights.safetensors`` and ``labels.json`` (with the entries of ``about``)."""
        arrays = {"weight": self.head.weight, "bias": self.head.bias}
        run.write_weights({f"{self.column}.{name}": np.asarray(a) for name, a in arrays.items()})
        run.write_labels({**self.describe(), **about})

    def describe(self) -> dict[str, Any]:
        """Return what ``labels.json`` says of the head, in runs and in predictions."""
        head = {
            "classes": self.classes,
            "multi_label": self.head.multi_label,
            "thresholds": list(self.head.thresholds),
        }
        return {
            "heads": {self.column: head},
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
            weight, bias = arrays[f"{column}.weight"], arrays[f"{column}.bias"]
            if weight.shape[0] != len(about["classes"]):
                raise RunError(
                    f"{run.path}: {len(about['classes'])} classes in labels.json, "
                    f"{weight.shape[0]} in weights.safetensors. The folder is of two runs; train "
                    "again."
                )
            head = LinearHead(
                weight.astype(np.float32),
                bias.astype(np.float32),
                tuple(str(name) for name in about["classes"]),
                bool(about["multi_label"]),
                thresholds=tuple(float(t) for t in about.get("thresholds", ())),
            )
            return cls(
                column=str(column),
                head=head,
                background=Background(**labels["background"]),
                clip_seconds=float(labels.get("clip_seconds", 0.0)),
            )
        except (KeyError, StopIteration, TypeError, AttributeError) as e:
            raise RunError(
                f"{run.path} is not a linear probe's run ({e!r}). Train it again."
            ) from e
