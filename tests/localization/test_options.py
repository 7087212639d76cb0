"""The recipe of localization: what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actionspace.errors import ConfigError
from actionspace.recipes.loader import load_recipe


def test_a_recipe_is_known_by_its_task() -> None:
    found = load_recipe({"task": "localization"}, ["features=[rgb,flow]", "files.stride=4"])
    assert found.task == "localization"
    assert found.places == ("rgb", "flow")
    assert found.files.stride == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("suppression.sigm=1", "Did you mean 'sigma'"),
        ("model.windows=3", "narrowest"),
        ("predict.window=20000", "more than the network takes"),
        ("predict.overlap=13824", "smaller than a window"),
        ("suppression.class_scores=cuhk.json", "classes=[action]"),
        ("suppression.method=softer", "suppression.method"),
        ("evaluation.thresholds=0.5", "evaluation.thresholds"),
    ],
)
def test_what_does_not_fit_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as e:
        load_recipe({"task": "localization"}, [override])
    assert message in str(e.value)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'localization'"):
        load_recipe({"task": "localisation"})


def test_recipes_are_read_without_torch() -> None:
    code = (
        "import sys; from actionspace.recipes.loader import load_recipe; "
        "load_recipe('localize'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
