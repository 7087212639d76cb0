"""Checking a recipe of localization: features that are not there, or not what was said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actionspace.config import write_yaml
from actionspace.recipes.check import check_recipe
from tests.localization import untrimmed


def findings(tmp_path: Path, **changes: Any) -> list[str]:
    write_yaml(tmp_path / "recipe.yaml", untrimmed.recipe(**changes))
    return [f"{f.severity} {f.message}" for f in check_recipe(tmp_path / "recipe.yaml")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder, videos=6)
    return folder


def test_a_good_recipe_is_fine(folder: Path, tmp_path: Path) -> None:
    given = {"data": str(folder / "events.csv"), "features": str(folder / "features")}
    assert findings(tmp_path, **given) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"features": "nowhere"}, "error the features nowhere do not exist"),
        ({"rows": {"preset": "thumos"}}, "error rows.preset: There is no grid 'thumos'."),
        ({"encoder": "startr"}, "error there is no encoder 'startr'. Did you mean 'starter'?"),
        ({}, "note there is neither features nor an encoder"),
        (
            {"training": {"checkpoint": {"metric": "map@0.55"}}},
            "error training.checkpoint.metric 'map@0.55' is not evaluated.",
        ),
    ],
)
def test_what_would_stop_a_training_is_found(
    tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    assert any(found.startswith(text) for found in findings(tmp_path, **changes))


def test_features_are_looked_at(folder: Path, tmp_path: Path) -> None:
    given = {"data": str(folder / "events.csv"), "features": str(folder / "features")}
    assert any("stride or fps" in f for f in findings(tmp_path, **given, files={"stride": 2}))
    split = {"model": {"input_split": (4, 2), "embed_dim": (8, 8)}}
    assert any("the recipe expects 6" in f for f in findings(tmp_path, **given, **split))
