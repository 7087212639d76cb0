"""The committed training script of the starter encoder: clips by index, and a run that goes on."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "starter"


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import render

    return render


def test_a_clip_is_a_function_of_seed_and_index(render: Any) -> None:
    a, b, other = render.render(5, 3), render.render(5, 3), render.render(5, 4)
    assert a["frames"].shape == (16, 128, 128, 3) and a["frames"].dtype == np.uint8
    assert a["dense"].shape == (4, 16, 16, render.DENSE)
    for key in a:
        assert np.array_equal(a[key], b[key]), key
    assert not np.array_equal(a["frames"], other["frames"])


def test_labels_follow_the_motion(render: Any) -> None:
    clips = [render.render(0, i) for i in range(40)]
    cover = np.stack([c["dense"][..., :5] for c in clips])
    assert cover.min() >= -1e-5 and cover.sum(-1).max() <= 1 + 1e-4
    assert all(np.isfinite(c["values"]).all() for c in clips)
    assert sum(c["motions"].any() for c in clips) > 20
    still = [c for c in clips if not c["motions"].any() and not c["values"][:3].any()]
    assert still
    # Idle movers breathe; nothing of a still clip moves by as much as a pixel per frame.
    assert all(np.abs(c["dense"][..., -3:]).max() < 1 for c in still)


def test_backgrounds_never_come_from_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from stills import FOLDERS

    assert not [f for f in FOLDERS if "rat_" in f]


@pytest.mark.slow
def test_training_stops_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, render: Any
) -> None:
    rendered: list[int] = []
    real = render.render

    def noted(seed: int, index: int, *more: Any, **options: Any) -> Any:
        rendered.append(index)
        return real(seed, index, *more, **options)

    monkeypatch.setattr(render, "render", noted)

    def train(*more: str) -> None:
        words = ["--out", str(tmp_path), "--workers", "0", "--batch", "2", "--threads", "1"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words, *more])
        runpy.run_path(str(SCRIPTS / "train.py"), run_name="__main__")

    train("--steps", "1")
    assert (tmp_path / "starter.safetensors").stat().st_size < 12e6
    assert rendered.pop(0) == 0
    rendered.clear()
    train("--steps", "2", "--resume")
    assert rendered[0] == 1
    assert '"steps": 2' in (tmp_path / "facts.json").read_text()
