"""The linear head: one weight vector and one bias per class on pooled features."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionspace.errors import WeightsError
from actionspace.paths import atomic_path

KIND = "actionspace.linear_head.1"
CHECKPOINT_KEYS = ("cls_head.fc_cls", "head")
"""Where checkpoints keep this layer: mmaction 0.x and mmaction2 1.x, torchvision."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A classifier of features, computed in float32 with NumPy.

    Attributes:
        weight: ``[C, D]`` float32.
        bias: ``[C]`` float32.
        classes: class names in score order.
        multi_label: classes are independent (sigmoid) instead of exclusive (softmax).
        temperature: divides logits before they become probabilities; see :mod:`.calibrate`.
        thresholds: least probability that counts, set by calibration: empty (not calibrated), one
            (below it nothing is happening), or one per class (several labels).
        unit: features are brought to length 1 first, so that scores are of cosines.
    """

    weight: Floats
    bias: Floats
    classes: tuple[str, ...]
    multi_label: bool = False
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    unit: bool = False

    def __post_init__(self) -> None:
        expected = (len(self.classes), self.dim)
        if self.weight.shape != expected or self.bias.shape != expected[:1]:
            raise WeightsError(
                f"A linear head for {len(self.classes)} classes needs weight [classes, dims] and "
                f"bias [classes]; got {self.weight.shape} and {self.bias.shape}."
            )

    @property
    def dim(self) -> int:
        """Width D of the features this head takes."""
        return int(self.weight.shape[-1])

    @property
    def size(self) -> int:
        """How many numbers were learnt."""
        return self.weight.size + self.bias.size

    def scores(self, x: ArrayLike) -> Floats:
        """Return logits ``[..., C]`` of features ``[..., D]``.

        Raises:
            WeightsError: features of another width than the head was fitted on.
        """
        features = np.asarray(x, dtype=np.float32)
        if features.shape[-1] != self.dim:
            raise WeightsError(
                f"Features have width {features.shape[-1]} but this head was fitted on width "
                f"{self.dim}: use the encoder of the run."
            )
        if self.unit:
            length = np.linalg.norm(features, axis=-1, keepdims=True)
            features = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
        return features @ self.weight.T + self.bias

    def probabilities(self, x: ArrayLike) -> Floats:
        """Return calibrated probabilities ``[..., C]`` of features ``[..., D]``."""
        return to_probabilities(self.scores(x), self.multi_label, self.temperature)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the head as one safetensors file, everything but the arrays in its metadata."""
        from safetensors.numpy import save_file

        facts = {
            "classes": list(self.classes),
            "multi_label": self.multi_label,
            "temperature": self.temperature,
            "thresholds": list(self.thresholds),
            "unit": self.unit,
        }
        arrays = {"weight": np.ascontiguousarray(self.weight), "bias": self.bias}
        with atomic_path(path) as tmp:
            save_file(arrays, tmp, metadata={"kind": KIND, "head": json.dumps(facts)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LinearHead:
        """Read what :meth:`save` wrote.

        Raises:
            WeightsError: the file is missing, damaged or something else than a linear head.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(os.fspath(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("kind") != KIND:
                    raise WeightsError(
                        f"{path} is not a linear head of this version: its kind is "
                        f"{metadata.get('kind')!r}, expected {KIND!r}."
                    )
                weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
                facts = json.loads(metadata["head"])
        except FileNotFoundError as e:
            raise WeightsError(f"{path} does not exist.") from e
        except (SafetensorError, OSError, KeyError, ValueError) as e:
            raise WeightsError(f"{path} is damaged or no safetensors file: {e}") from e
        return cls(
            weight.astype(np.float32),
            bias.astype(np.float32),
            tuple(facts["classes"]),
            bool(facts["multi_label"]),
            float(facts["temperature"]),
            tuple(facts["thresholds"]),
            bool(facts.get("unit", False)),
        )

    @classmethod
    def from_state(
        cls,
        state: Mapping[str, Any],
        classes: Sequence[str] | None = None,
        *,
        multi_label: bool = False,
    ) -> LinearHead:
        """Take the classifier out of an original checkpoint's state dict.

        Args:
            state: arrays or tensors by key; the layer is looked for under ``cls_head.fc_cls`` and
                ``head``, with or without a leading ``module.``.
            classes: names in checkpoint order; None numbers them.
            multi_label: whether its scores go through a sigmoid.

        Raises:
            WeightsError: no such layer, or another number of classes than names.
        """
        arrays = {key.removeprefix("module."): value for key, value in state.items()}
        for prefix in CHECKPOINT_KEYS:
            if f"{prefix}.weight" in arrays and f"{prefix}.bias" in arrays:
                weight, bias = (
                    np.asarray(arrays[f"{prefix}.{part}"], dtype=np.float32)
                    for part in ("weight", "bias")
                )
                names = classes if classes is not None else [str(i) for i in range(len(bias))]
                return cls(weight, bias, tuple(names), multi_label)
        raise WeightsError(
            f"The checkpoint holds no classifier: looked for "
            f"{' and '.join(f'{p}.weight' for p in CHECKPOINT_KEYS)} among {len(arrays)} keys."
        )


def to_probabilities(
    logits: ArrayLike, multi_label: bool = False, temperature: float = 1.0
) -> Floats:
    """Return softmax (or, with several labels, sigmoid) of ``logits / temperature``, float32."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if multi_label:
        share = 0.5 * (1 + np.tanh(scaled / 2))
    else:
        share = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
    return np.asarray(share, dtype=np.float32)
