"""Moments that are like a text, on features of an encoder that knows text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import actionspace as A
from actionspace.encoders.text_create import create_text_encoder
from actionspace.errors import UsageError
from actionspace.features.store import FeatureStore
from tests.cli.test_cli import call
from tests.encoders.text_tiny import make_model

RATS = Path(A.__file__).parent / "demo" / "data"
WORDS = "a rat is washing its face"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_model(folder, "siglip", seed=5)
    return folder


@pytest.fixture(scope="module")
def store(model: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Eight clips of rats."""
    clips = A.read_events(RATS / "clips.csv")
    some = clips.select(videos=list(clips.videos["video"][::14]))
    out = tmp_path_factory.mktemp("store") / "s"
    joint = {"pool": "joint"}
    return A.extract(some, encoder=str(model), out=out, device="cpu", encoder_options=joint)


def test_the_nearest_are_found(model: Path, store: FeatureStore) -> None:
    vector = create_text_encoder(str(model)).encode([WORDS])[0].astype(float)
    alike = {}
    for video in store.videos():
        rows = store.get(video).features.astype(float)
        alike[video] = float((rows @ vector / np.linalg.norm(rows, axis=1)).max())
    best = sorted(alike, key=lambda video: -alike[video])
    found = A.search(store, text=WORDS, k=50, apart=100.0, weights=model, device="cpu")
    assert [m.video for m in found] == best and len(best) > 5
    np.testing.assert_allclose(
        [m.similarity for m in found], sorted(alike.values())[::-1], atol=1e-6
    )
    assert np.ptp(list(alike.values())) > 1e-4
    other = A.search(store, text="climbing left", k=50, weights=model, device="cpu")
    assert other[0].similarity != found[0].similarity


def test_from_the_command_line(
    model: Path, store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.jpg"
    words = ["search", store.path, "--text", WORDS, "-k", 3, "--root", RATS, "--sheet", sheet]
    assert call(*words, "--json", "--set", f"weights={model}", "--set", "device=cpu") == 0
    assert len(json.loads(capsys.readouterr().out)) == 3 and sheet.stat().st_size > 2000
    assert call("search", store.path) == 2
    assert "a moment (query) or a text" in capsys.readouterr().err
    assert call("search", store.path, "--text", "a", "--query", "a.mp4@1") == 2
    assert (
        call("search", store.path, "--text", WORDS) == 2
    )  # made from a folder, which is not named
    assert "give that as weights=" in capsys.readouterr().err


def test_what_cannot_be_asked(model: Path, store: FeatureStore) -> None:
    how = {"weights": model, "device": "cpu"}
    with pytest.raises(UsageError, match="says nothing"):
        A.search(store, text=" ", **how)
    with pytest.raises(UsageError, match="a text is of no video"):
        A.search(store, text=WORDS, elsewhere=True, **how)
