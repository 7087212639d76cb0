"""A trained probe: the head, the column it answers, and how it tells that nothing happens.

A run has one, or one for each of several columns that its network answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from actionspace.errors import RunError
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_head import AttentiveHead, Head
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
    """A head and what its answers mean.

    Attributes:
        column: head column of the manifest it was trained on.
        head: the classifier; a trained background class is one of its classes.
        background: how nothing happening is told; ``head.thresholds`` hold its threshold.
        clip_seconds: the longest whole-video event of training, in seconds; 0 = there was none.
    """

    column: str
    head: Head
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
        """Write the run of this probe alone; see :func:`save_probes`."""
        save_probes(run, (self,), about)

    @classmethod
    def load(cls, run: Run) -> Probe:
        """Read the first probe of a run; see :func:`load_probes`."""
        return load_probes(run)[0]


def describe_probes(probes: Sequence[Probe]) -> dict[str, Any]:
    """Return what ``labels.json`` says of the heads, in runs and in predictions.

    ``background`` is that of the first head; of several each has its own in its entry.
    """
    heads: dict[str, dict[str, Any]] = {}
    for probe in probes:
        heads[probe.column] = {
            "classes": probe.classes,
            "multi_label": probe.head.multi_label,
            "thresholds": list(probe.head.thresholds),
            **({"unit": True} if probe.head.unit else {}),
            **_pooling(probe.head),
            **({"background": asdict(probe.background)} if len(probes) > 1 else {}),
        }
    first = probes[0]
    background = asdict(first.background)
    return {"heads": heads, "background": background, "clip_seconds": first.clip_seconds}


def _pooling(head: Head) -> dict[str, Any]:
    return {"attentive": head.config.model_dump()} if isinstance(head, AttentiveHead) else {}


def save_probes(run: Run, probes: Sequence[Probe], about: Mapping[str, Any]) -> None:
    """Write ``weights.safetensors`` and ``labels.json`` (with the entries of ``about``)."""
    arrays = {}
    for probe in probes:
        arrays[f"{probe.column}.weight"] = np.asarray(probe.head.weight)
        arrays[f"{probe.column}.bias"] = np.asarray(probe.head.bias)
        if isinstance(probe.head, AttentiveHead):
            pooler = probe.head.pooler.items()
            arrays |= {f"{probe.column}.pooler.{name}": np.asarray(v) for name, v in pooler}
    run.write_weights(arrays)
    run.write_labels({**describe_probes(probes), **about})


def load_probes(run: Run) -> tuple[Probe, ...]:
    """Read the probes of a run, one for each of its columns.

    Raises:
        RunError: labels and weights do not fit each other.
    """
    arrays = run.weights()
    labels = run.labels

    def layer(column: str) -> tuple[np.ndarray, np.ndarray]:
        weight, classes = arrays[f"{column}.weight"], labels["heads"][column]["classes"]
        if len(weight) != len(classes):
            raise RunError(
                f"{run.path}: {len(classes)} classes in labels.json, {len(weight)} in "
                "weights.safetensors. The folder is of two runs; train again."
            )
        return weight, arrays[f"{column}.bias"]

    try:
        probes = tuple(_with_pooler(p, labels, arrays) for p in read_probes(labels, layer))
        probes[0]  # there is one
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as e:
        raise RunError(f"{run.path} is not a probe's run ({e!r}). Train it again.") from e
    return probes


def _with_pooler(
    probe: Probe, labels: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Probe:
    """Return the probe with the weights that pool its tokens, if its head is attentive."""
    options, linear = labels["heads"][probe.column].get("attentive"), probe.head
    if options is None:
        return probe
    front = f"{probe.column}.pooler."
    pooler = {
        name.removeprefix(front): values.astype(np.float32)
        for name, values in arrays.items()
        if name.startswith(front)
    }
    head = AttentiveHead(
        linear.weight,
        linear.bias,
        linear.classes,
        pooler,
        AttentiveConfig(**options),
        linear.multi_label,
        thresholds=linear.thresholds,
    )
    return replace(probe, head=head)


def read_probes(
    labels: Mapping[str, Any], layer: Callable[[str], tuple[np.ndarray, np.ndarray]]
) -> tuple[Probe, ...]:
    """Undo :func:`describe_probes`; the heads are linear, without what pools tokens.

    Args:
        labels: what it returned.
        layer: gives the weight ``[C, D]`` and bias ``[C]`` of a column.
    """
    probes = []
    for column, about in labels["heads"].items():
        weight, bias = layer(column)
        head = LinearHead(
            weight.astype(np.float32),
            bias.astype(np.float32),
            tuple(str(name) for name in about["classes"]),
            bool(about["multi_label"]),
            thresholds=tuple(float(t) for t in about.get("thresholds", ())),
            unit=bool(about.get("unit", False)),
        )
        background = Background(**(about.get("background") or labels["background"]))
        seconds = float(labels.get("clip_seconds", 0.0))
        probes.append(Probe(str(column), head, background, seconds))
    return tuple(probes)
