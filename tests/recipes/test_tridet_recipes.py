"""Recipes of TriDet against the original's resolved configurations, field by field."""

from __future__ import annotations

import pytest

from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.detection import THRESHOLDS
from actionspace.recipes.loader import list_recipes, load_recipe
from tests.golden.tridet import layouts
from tests.recipes import test_localization_recipes as actionformer

LAYOUTS = layouts()

ORIGINALS = {
    "tridet_thumos14_i3d": "thumos_i3d",
    "tridet_activitynet13_tsp": "anet_tsp",
    "tridet_epic100_verb": "epic_slowfast_verb",
    "tridet_epic100_noun": "epic_slowfast_noun",
    "tridet_hacs_slowfast": "hacs_slowfast",
    "tridet_hacs_i3d": "hacs_i3d",
}
LIKE_ACTIONFORMER = {  # same data set and grid
    "tridet_thumos14_i3d": "thumos14_i3d",
    "tridet_epic100_verb": "epic100_slowfast_verb",
    "tridet_epic100_noun": "epic100_slowfast_noun",
}

#: What each field of the original is here where ActionFormer's has another meaning or none.
OWN: dict[str, actionformer.Of] = {
    "dataset_name": lambda r: (actionformer.NAMES | {"hacs": "hacs"})[r.dataset],
    "model_name": lambda r: {"trident": "TriDet"}[r.model.head],
    "model.backbone_type": lambda r: {"sgp": "SGP"}[r.model.backbone],
    "model.boudary_kernel_size": lambda r: r.model.trident.boundary_kernel,
    "model.downsample_type": lambda r: r.model.sgp.downsample,
    "model.init_conv_vars": lambda r: r.model.sgp.init_std,
    "model.input_noise": lambda r: r.model.input_noise,
    "model.iou_weight_power": lambda r: r.loss.trident.iou_power,
    "model.k": lambda r: r.model.sgp.factor,
    "model.n_sgp_win_size": lambda r: r.model.sgp.windows,
    "model.num_bins": lambda r: r.model.trident.bins,
    "model.sgp_mlp_dim": lambda r: r.model.sgp.hidden,
    "model.use_trident_head": lambda r: r.model.head == "trident",
    "opt.eta_min": lambda r: pytest.approx(r.training.schedule.final * r.training.optimizer.lr),
}
LACKING = {  # of ActionFormer's fields
    "model.fpn_start_level",
    "model.n_head",
    "model.n_mha_win_size",
    "model.use_rel_pe",
}
HERE = {k: v for k, v in actionformer.HERE.items() if k not in LACKING} | OWN
ELSEWHERE = actionformer.ELSEWHERE | {"dataset.backbone_type": "`prepare hacs annotation=`"}


def recipe_of(name: str) -> LocalizationRecipe:
    recipe = load_recipe(name)
    assert isinstance(recipe, LocalizationRecipe)
    return recipe


def test_all_six_are_here() -> None:
    if LAYOUTS:
        assert sorted(ORIGINALS.values()) == sorted(LAYOUTS)
    assert {r.name for r in list_recipes("tridet_*")} == set(ORIGINALS)


@pytest.mark.skipif(not LAYOUTS, reason="no golden/tridet key_layouts_tridet.json here")
@pytest.mark.parametrize("name", ORIGINALS)
def test_every_field(name: str) -> None:
    theirs = dict(actionformer._flat(LAYOUTS[ORIGINALS[name]]["resolved_config"]))
    unsaid = {"dataset.file_prefix", "dataset.backbone_type"}  # by some
    assert set(theirs) | unsaid == set(HERE) | set(ELSEWHERE)
    recipe = recipe_of(name)
    different = {
        key: (actionformer._listed(of(recipe)), theirs[key])
        for key, of in HERE.items()
        if actionformer._listed(of(recipe)) != theirs.get(key)
    }
    assert not different


@pytest.mark.skipif(not LAYOUTS, reason="no golden/tridet key_layouts_tridet.json here")
@pytest.mark.parametrize("name", ORIGINALS)
def test_the_network(name: str) -> None:
    """Parameters by name and shape, and how many."""
    import torch

    from actionspace.localization.network.create import create_network

    layout, recipe = LAYOUTS[ORIGINALS[name]], recipe_of(name)
    dim = layout["resolved_config"]["model"]["input_dim"]
    with torch.device("meta"):
        model = create_network(recipe.model, dim, actionformer._classes(recipe))
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in layout["keys"]}
    count = sum(p.numel() for p in model.parameters())
    assert recipe.published is not None
    assert count == layout["n_params"] == recipe.published.trainable_parameters
    assert recipe.model.divisor == layout["max_div_factor"]


@pytest.mark.parametrize("name", ORIGINALS)
def test_what_stands_in_the_originals_code(name: str) -> None:
    recipe = recipe_of(name)
    training, schedule = recipe.training, recipe.training.schedule
    assert training.ema.decay == 0.999 and training.ema.evaluate
    assert training.drop_last and training.shuffle and training.precision == "float32"
    assert training.optimizer.no_decay == "norms_and_biases" and not training.optimizer.rules
    assert schedule.warmup_inclusive and schedule.per == "step" and schedule.horizon is None
    assert training.checkpoint.every_epochs == 5 and training.checkpoint.keep == "last"
    key = recipe.dataset.replace("-detection", "")
    wanted = THRESHOLDS["activitynet13" if key == "hacs" else key]
    assert recipe.evaluation.thresholds == pytest.approx(wanted)
    assert recipe.evaluation.clean == (key != "epic100")
    assert recipe.sampling.inside == {"activitynet13": True, "hacs": "begun"}.get(key, False)
    assert not recipe.sampling.enlarged and not recipe.suppression.voting_by_overlap
    assert not recipe.loss.trident.detach_iou_weight
    assert recipe.files.length is None


@pytest.mark.parametrize("name", ORIGINALS)
def test_published_tables(name: str) -> None:
    published = recipe_of(name).published
    assert published is not None and published.verified_here.startswith("no")
    figures = {f.metric: f.value for f in published.figures}
    if name == "tridet_hacs_i3d":
        assert not figures  # there are none
    elif recipe_of(name).dataset in ("activitynet13", "hacs"):
        assert list(figures) == ["map", "map@0.50", "map@0.75", "map@0.95"]
    else:
        maps = [v for k, v in figures.items() if k != "map"]
        thresholds = recipe_of(name).evaluation.thresholds
        assert list(figures) == ["map", *(f"map@{t:.2f}" for t in thresholds)]
        assert figures["map"] == pytest.approx(sum(maps) / 5, abs=0.0101)  # of rounded ones


@pytest.mark.parametrize("name", LIKE_ACTIONFORMER)
def test_data_is_that_of_actionformer(name: str) -> None:
    """The same manifest, files and grid; what differs of the rest is told apart by the fields."""
    ours, theirs = recipe_of(name), recipe_of(LIKE_ACTIONFORMER[name])
    for part in ("dataset", "column", "classes", "files", "rows", "evaluation"):
        assert getattr(ours, part) == getattr(theirs, part)
    assert ours.model.max_length == theirs.model.max_length
