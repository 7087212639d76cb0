"""Recipes: they load, check, and say what the sheet of the original says."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.config import write_yaml
from actionspace.errors import ConfigError, UsageError
from actionspace.recipes.loader import list_recipes, load_recipe, recipe_names
from actionspace.recognition.recipe import LinearProbeRecipe

UAS = [name for name in recipe_names() if name != "linear_probe"]
TOP1, TOP5, MCA = "top1_accuracy", "top5_accuracy", "mean_class_accuracy"

# Name: (classes, published percentages, hours, train stride, test clips, batch).
SHEET = {
    "mammalnet_k400_linear_probe": (12, {TOP1: 56.6, MCA: 43.2}, 8.3, 2, 4, 8),
    "mammalnet_k600_linear_probe": (12, {}, None, 2, 4, 8),
    "chimpbehave_k400_linear_probe": (7, {TOP1: 93.7, MCA: 65.8}, 3.9, 1, 1, 16),
    "chimpbehave_k600_linear_probe": (7, {TOP1: 93.5, MCA: 72.3}, 3.9, 1, 1, 16),
    "chimpbehave_k700_linear_probe": (7, {TOP1: 94.2, MCA: 56.4}, 3.9, 1, 1, 16),
    "kinetics700_diff_k600_linear_probe": (
        103, {TOP1: 87.9, TOP5: 97.8, MCA: 87.8}, 54, 2, 4, 8,
    ),
}  # fmt: skip


def test_the_packaged_recipes_are_those_of_the_sheet():
    assert sorted(UAS) == sorted(SHEET)
    assert list_recipes()[0].name == "linear_probe"
    assert [r.name for r in list_recipes("chimp*")] == sorted(n for n in UAS if "chimp" in n)


@pytest.mark.parametrize("name", recipe_names())
def test_file_and_recipe_have_one_name(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description.endswith(".")


@pytest.mark.parametrize("name", UAS)
def test_published_figures_equal_the_sheet(name: str):
    classes, figures, hours, _, _, batch = SHEET[name]
    recipe = load_recipe(name)
    assert recipe.published is not None and recipe.original is not None
    first: dict[str, float] = {}
    for figure in recipe.published.figures:
        first.setdefault(figure.metric, figure.value)
        assert "README" in figure.source
    assert first == figures
    assert recipe.published.training_hours == hours
    assert recipe.published.trainable_parameters == classes * 1024 + classes
    assert recipe.published.verified_here == "no (no weights or data)"
    assert recipe.original.batch_size == batch
    assert recipe.original.epochs == 30 and recipe.original.lr == 3e-4
    assert recipe.original.validation_is_test == ("mammalnet" not in name)


@pytest.mark.parametrize("name", UAS)
def test_sampling_equals_the_original(name: str):
    _, _, _, stride, clips, _ = SHEET[name]
    recipe = load_recipe(name)
    features = recipe.clips
    assert (features.rows, features.resize) == ("events", "exact")
    assert features.stochastic_depth
    assert (features.train.frames, features.train.stride) == (32, stride)
    assert (features.train.short_side, features.train.size) == (256, 224)
    assert features.train.augment > 0 and features.train.out_of_bound == "loop"
    assert (features.val.stride, features.val.geometry, features.val.clips) == (stride, "center", 1)
    test = features.test
    assert (test.frames, test.stride, test.clips, test.geometry) == (32, 2, clips, "three")
    assert test.short_side == 224
    assert recipe.head.class_weight == "none"


def test_views_count_as_in_the_original():
    from actionspace.encoders.spec import ClipSpec
    from actionspace.recognition.encode import build_views

    for name, views in (("mammalnet_k400_linear_probe", 12), ("chimpbehave_k700_linear_probe", 3)):
        config = load_recipe(name).clips
        assert build_views(config.test, ClipSpec(), config.resize).n_views == views


def test_overrides_and_round_trip(tmp_path: Path):
    recipe = load_recipe("linear_probe", ["data=a.csv", "head.strengths=[1e-3, 1]", "folds=5"])
    assert recipe.data == "a.csv" and recipe.folds == 5
    assert recipe.head.strengths == [1e-3, 1.0]
    write_yaml(tmp_path / "mine.yaml", recipe)
    assert load_recipe(tmp_path / "mine.yaml") == recipe
    assert load_recipe(recipe.model_dump()) == recipe


def test_every_field_has_a_docstring():
    def undocumented(model: type) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if not field.description:
                found.append(f"{model.__name__}.{name}")
            for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if hasattr(inner, "model_fields"):
                    found += undocumented(inner)
        return found

    assert undocumented(LinearProbeRecipe) == []


@pytest.mark.parametrize(
    ("name", "overrides", "error", "says"),
    [
        ("linear_prob", [], UsageError, "Did you mean 'linear_probe'"),
        ("nothing.yaml", [], ConfigError, "does not exist"),
        ("linear_probe", ["head.strenths=[1]"], ConfigError, "Did you mean 'strengths'"),
        ("linear_probe", ["folds=1"], ConfigError, "folds"),
        ("linear_probe", ["head.class_weight=some"], ConfigError, "balanced"),
        ("linear_probe", ["task=recognise"], ConfigError, "Did you mean 'recognition'"),
    ],
)
def test_wrong_recipes_are_explained(
    name: str, overrides: list[str], error: type[Exception], says: str
):
    with pytest.raises(error, match=says):
        load_recipe(name, overrides)
