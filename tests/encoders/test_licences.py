"""Licences of weights: shown once, refused until accepted, remembered."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from actionspace.encoders.create import create_encoder, list_encoders
from actionspace.encoders.hf_files import models_folder
from actionspace.encoders.licences import VARIABLE, accept_licences, check_licence
from actionspace.errors import WeightsError
from tests.encoders.hf_tiny import TINY, whole_model


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path))
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back
    return tmp_path


def test_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        check_licence("a", "MIT", "")
    assert [r.getMessage() for r in caplog.records] == ["Licence of the weights of a: MIT"]
    check_licence("a", "Apache-2.0", "")  # another one now
    check_licence("b", "MIT", "")
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    ("gate", "word"), [("gated", "on terms of its own"), ("non-commercial",) * 2]
)
def test_refused_until_accepted(gate: str, word: str, caplog: pytest.LogCaptureFixture) -> None:
    def check(accepted: bool = False) -> None:
        check_licence("a", "L", gate, accepted=accepted, where="https://x/a")

    with pytest.raises(WeightsError, match=word) as e:
        check()
    for way in ("--accept-licence", "accept_licence=True", VARIABLE, "https://x/a"):
        assert way in str(e.value)
    check(accepted=True)
    check()  # remembered
    assert [r.getMessage() for r in caplog.records] == [f"Licence of the weights of a: L ({gate})"]
    with pytest.raises(WeightsError):
        check_licence("a", "another licence", gate)
    with pytest.raises(WeightsError):
        check_licence("b", "L", gate)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    with pytest.raises(WeightsError):
        check_licence("a", "L", "gated")
    accept_licences()
    check_licence("a", "L", "gated")


def test_a_cache_that_cannot_be_written_or_read(cache: Path) -> None:
    (cache / "licences.json").write_text("[1")
    check_licence("a", "MIT", "")
    (cache / "licences.json").unlink()
    (cache / "licences.json").mkdir()
    check_licence("a", "MIT", "gated", accepted=True)


def test_an_encoder(caplog: pytest.LogCaptureFixture) -> None:
    """Random weights are nobody's; a folder is its owner's affair; a name's are licensed."""
    tiny = TINY[0]
    whole_model(tiny).save_pretrained(models_folder("MCG-NJU/videomae-base-finetuned-kinetics"))
    create_encoder("untrained:videomae_base_k400", **tiny.options)
    with caplog.at_level(logging.WARNING), pytest.raises(WeightsError, match="CC-BY-NC-4"):
        create_encoder("videomae_base_k400")
    assert not caplog.records
    encoder = create_encoder("videomae_base_k400", accept_licence=True)
    assert encoder.licence == "CC-BY-NC-4.0"
    assert "CC-BY-NC-4.0 (non-commercial)" in caplog.text
    create_encoder("videomae_base_k400")
    gates = {info.name: info.gate for info in list_encoders("*")}
    assert gates["videomae_base_k400"] == "non-commercial" and gates["dinov3_vits16"] == "gated"
    assert gates["dinov2_base"] == gates["starter"] == ""


@pytest.mark.parametrize("verb", ["extract", "train", "predict"])
def test_on_the_command_line(verb: str) -> None:
    from typer.testing import CliRunner

    from actionspace.cli import app

    runner = CliRunner()
    rest = {"extract": ["nowhere"], "train": ["no recipe"], "predict": ["nowhere", "a.mp4"]}[verb]
    runner.invoke(app, [verb, *rest])
    assert os.environ[VARIABLE] == ""
    assert runner.invoke(app, [verb, *rest, "--accept-licence"]).exit_code == 1
    assert os.environ[VARIABLE] == "1"


def test_stored_with_features(tmp_path: Path) -> None:
    from actionspace.features.extract import extract
    from actionspace.features.store import FeatureStore
    from tests.features.tiny import make_video, manifest

    make_video(tmp_path / "a.mp4", 4, size=(64, 48))
    events = manifest(tmp_path, [("a.mp4", 0.0, 0.1, "x")])
    encoder = create_encoder("starter")
    store = extract(events, encoder, tmp_path / "store", progress=False)
    assert store.licence == FeatureStore.open(tmp_path / "store").licence == encoder.licence != ""
