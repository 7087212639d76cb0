"""The head as a value: scores, probabilities, files, original checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import WeightsError
from actionspace.heads.linear import LinearHead, to_probabilities


def _head(**options: object) -> LinearHead:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 5)).astype(np.float32)
    names = ("rest", "walk | run", "grüßen")
    return LinearHead(weight, np.zeros(3, np.float32), names, **options)  # type: ignore[arg-type]


def test_scores_keep_leading_axes() -> None:
    head = _head()
    x = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float16)
    assert head.scores(x).shape == (2, 4, 3)
    assert head.scores(x).dtype == np.float32
    np.testing.assert_allclose(head.scores(x)[1, 2], head.weight @ x[1, 2], rtol=1e-5)
    np.testing.assert_allclose(head.probabilities(x).sum(axis=-1), 1, rtol=1e-6)


def test_probabilities_stand_extremes() -> None:
    logits = [[-1e4, 1e4, 0], [-np.inf, 3, 3]]
    np.testing.assert_allclose(to_probabilities(logits), [[0, 1, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(
        to_probabilities(logits, multi_label=True)[0], [0, 1, 0.5], atol=1e-7
    )
    warm = to_probabilities([[2.0, 0.0]], temperature=2.0)
    np.testing.assert_allclose(warm, to_probabilities([[1.0, 0.0]]))


def test_file_round_trip(tmp_path: Path) -> None:
    head = _head(multi_label=True, temperature=1.5, thresholds=(0.1, 0.5, 0.9))
    head.save(tmp_path / "head.safetensors")
    back = LinearHead.load(tmp_path / "head.safetensors")
    assert (back.weight == head.weight).all() and (back.bias == head.bias).all()
    assert (back.classes, back.multi_label) == (head.classes, True)
    assert (back.temperature, back.thresholds) == (1.5, (0.1, 0.5, 0.9))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(WeightsError, match="does not exist"):
        LinearHead.load(tmp_path / "none.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"\x80\x04not tensors")
    with pytest.raises(WeightsError, match="damaged or no safetensors"):
        LinearHead.load(tmp_path / "noise.safetensors")
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not a linear head"):
        LinearHead.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("prefix", ["cls_head.fc_cls", "module.cls_head.fc_cls", "head"])
def test_heads_of_original_checkpoints(prefix: str) -> None:
    state = {
        f"{prefix}.weight": np.ones((2, 4)),
        f"{prefix}.bias": np.zeros(2),
        "backbone.norm.weight": np.zeros(9),
    }
    head = LinearHead.from_state(state, ["a", "b"])
    assert (head.classes, head.dim) == (("a", "b"), 4)
    assert LinearHead.from_state(state).classes == ("0", "1")
    with pytest.raises(WeightsError, match="3 classes"):
        LinearHead.from_state(state, ["a", "b", "c"])


def test_mismatches_are_named() -> None:
    with pytest.raises(WeightsError, match="holds no classifier"):
        LinearHead.from_state({"backbone.norm.weight": np.zeros(3)})
    with pytest.raises(WeightsError, match="width 4 but this head was fitted on width 5"):
        _head().scores(np.zeros((2, 4)))
