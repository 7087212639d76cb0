"""A store of tokens given to each task: pooled, or a finer time grid, never taken for views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.alignment.encode import encode
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.errors import RunError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.store import FeatureStore
from actionspace.features.token_rows import MeanTokens, TokenTimeline
from actionspace.heads.linear import LinearHead
from actionspace.localization.encode import Encoding as Rows
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recognition.encode import Encoding
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.recognition.scores import score
from tests.features.tiny import CLIP, encoder, make_video, manifest


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    root = tmp_path_factory.mktemp("videos")
    make_video(root / "a.mp4", 33, seed=1)
    return manifest(root, [("a.mp4", 0.2, 1.0, "x"), ("a.mp4", 1.5, 2.0, "y")])


def store(events: Events, out: Path, **options: Any) -> FeatureStore:
    return extract(events, encoder(), out, progress=False, dtype="float32", **options)


def test_recognition_scores_the_mean(tmp_path: Path, events: Events) -> None:
    pooled = store(events, tmp_path / "p")
    given = Encoding(
        RecognitionRecipe(), features=store(events, tmp_path / "s", tokens="2x2")
    ).given
    assert isinstance(given, MeanTokens)
    rng = np.random.default_rng(0)
    head = LinearHead(
        rng.normal(size=(2, 8)).astype(np.float32), np.zeros(2, np.float32), ("x", "y")
    )
    found, expected = (score([head], s, ["a.mp4"])[0].get("a.mp4") for s in (given, pooled))
    assert found.features.shape == expected.features.shape == (8, 2)
    np.testing.assert_allclose(found.features, expected.features, atol=1e-5)


@pytest.mark.parametrize("task", ["localization", "alignment"])
def test_whole_videos_have_time_steps_as_rows(tmp_path: Path, events: Events, task: str) -> None:
    tokens = store(events, tmp_path / "s", tokens="time", hop=CLIP.span)
    rows = {"tokens": "time", "dtype": "float32"}
    if task == "localization":
        recipe = LocalizationRecipe.model_validate(
            {"rows": rows | {"resize": "exact"}, "encoder": "tiny"}
        )
        given = Rows(recipe, features=tokens.path).source(events)
        made = Rows(recipe, encoder=encoder()).source(events)
        other = Rows(recipe, expect={"dim": 8, "fingerprint": made.fingerprint}, features=given)
        with pytest.raises(RunError, match="tokens: time then, None now"):
            Rows(
                recipe,
                expect={"dim": 8, "fingerprint": made.fingerprint},
                features=store(events, tmp_path / "p", hop=CLIP.span),
            ).source(events)
        assert other.source(events) is given
    else:
        aligned = AlignmentRecipe.model_validate({"rows": rows, "encoder": "tiny"})
        given = encode(aligned, events, features=tokens).source
        made = encode(aligned, events, encoder=encoder()).source
    assert isinstance(given, TokenTimeline) and isinstance(made, TokenTimeline)
    one, two = given.get("a.mp4"), made.get("a.mp4")
    assert one.features.shape == (9, 8) and one.times[1].tolist() == pytest.approx([0.4, 0.8])
    np.testing.assert_array_equal(one.features, two.features)
