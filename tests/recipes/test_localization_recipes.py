"""Recipes of ActionFormer against the original's resolved configurations, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import ANY

import pytest

from actionspace.datasets.epic100_detection import COUNTS
from actionspace.datasets.prepare import list_datasets
from actionspace.features.presets import PRESETS
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.detection import THRESHOLDS
from actionspace.recipes.loader import list_recipes, load_recipe
from tests.golden.actionformer import layouts

LAYOUTS = layouts()

ORIGINALS = {
    "thumos14_i3d": "thumos_i3d",
    "activitynet13_tsp": "anet_tsp",
    "activitynet13_i3d": "anet_i3d",
    "epic100_slowfast_verb": "epic_slowfast_verb",
    "epic100_slowfast_noun": "epic_slowfast_noun",
    "ego4d_slowfast": "ego4d_slowfast",
    "ego4d_omnivore": "ego4d_omnivore",
    "ego4d_egovlp": "ego4d_egovlp",
    "ego4d_slowfast_egovlp": "ego4d_slowfast_egovlp",
    "ego4d_omnivore_egovlp": "ego4d_omnivore_egovlp",
    "ego4d_all": "ego4d_slowfast_omnivore_egovlp",
}
NAMES = {
    "thumos14": "thumos",
    "activitynet13": "anet",
    "epic100-detection": "epic",
    "ego4d-mq": "ego4d",
}


def _classes(r: LocalizationRecipe) -> int:
    return len(r.classes or ()) or COUNTS.get(r.column) or list_datasets(r.dataset)[0].classes


def _one_or_split(parts: tuple[int, ...]) -> Any:
    return list(parts) or ANY  # one kind of features: its width is read from them


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, tuple) else value


Of = Callable[[LocalizationRecipe], Any]

#: What each field of the original is here, in the original's terms.
HERE: dict[str, Of] = {
    "dataset_name": lambda r: NAMES[r.dataset],
    "dataset.crop_ratio": lambda r: r.sampling.crop_ratio,
    "dataset.default_fps": lambda r: r.files.fps,
    "dataset.downsample_rate": lambda r: r.files.every,
    "dataset.feat_stride": lambda r: r.files.stride,
    "dataset.file_prefix": lambda r: r.files.prefix or None,
    "dataset.force_upsampling": lambda r: r.files.length == r.model.max_length,
    "dataset.input_dim": lambda r: _one_or_split(r.model.input_split),
    "dataset.max_seq_len": lambda r: r.model.max_length,
    "dataset.num_classes": _classes,
    "dataset.num_frames": lambda r: r.files.window,
    "dataset.trunc_thresh": lambda r: r.sampling.threshold,
    "init_rand_seed": lambda r: r.training.seed,
    "loader.batch_size": lambda r: r.training.batch_size,
    "model_name": lambda r: {"localization": "LocPointTransformer"}[r.task],
    "model.backbone_arch": lambda r: (
        r.model.embed_layers,
        r.model.stem_blocks,
        r.model.branch_blocks,
    ),
    "model.backbone_type": lambda r: {"transformer": "convTransformer"}[r.model.backbone],
    "model.embd_dim": lambda r: r.model.embed_dim,
    "model.embd_kernel_size": lambda r: r.model.embed_kernel,
    "model.embd_with_ln": lambda r: r.model.embed_norm,
    "model.fpn_dim": lambda r: r.model.neck_dim,
    "model.fpn_start_level": lambda r: r.model.first_level,
    "model.fpn_type": lambda r: r.model.neck,
    "model.fpn_with_ln": lambda r: r.model.neck_norm,
    "model.head_dim": lambda r: r.model.head_dim,
    "model.head_kernel_size": lambda r: r.model.head_kernel,
    "model.head_num_layers": lambda r: r.model.head_layers,
    "model.head_with_ln": lambda r: r.model.head_norm,
    "model.input_dim": lambda r: _one_or_split(r.model.input_split),
    "model.max_buffer_len_factor": lambda r: r.model.buffer_factor,
    "model.max_seq_len": lambda r: r.model.max_length,
    "model.n_head": lambda r: r.model.heads,
    "model.n_mha_win_size": lambda r: r.model.windows,
    "model.num_classes": _classes,
    "model.regression_range": lambda r: r.model.regression_ranges,
    "model.scale_factor": lambda r: r.model.scale_factor,
    "model.use_abs_pe": lambda r: r.model.absolute_positions,
    "model.use_rel_pe": lambda r: r.model.relative_positions,
    "opt.epochs": lambda r: r.training.epochs - r.training.schedule.warmup_epochs,
    "opt.learning_rate": lambda r: r.training.optimizer.lr,
    "opt.momentum": lambda r: r.training.optimizer.momentum,
    "opt.schedule_gamma": lambda r: r.training.schedule.gamma,
    "opt.schedule_steps": lambda r: r.training.schedule.milestones,
    "opt.schedule_type": lambda r: r.training.schedule.name,
    "opt.type": lambda r: {"adamw": "AdamW"}[r.training.optimizer.name],
    "opt.warmup": lambda r: r.training.schedule.warmup == "before",
    "opt.warmup_epochs": lambda r: r.training.schedule.warmup_epochs,
    "opt.weight_decay": lambda r: r.training.optimizer.weight_decay,
    "test_cfg.duration_thresh": lambda r: r.suppression.min_length,
    # Which file it is says who trains: only whether there is one is the recipe's.
    "test_cfg.ext_score_file": lambda r: ANY if r.classes == ("action",) else None,
    "test_cfg.iou_threshold": lambda r: r.suppression.iou_threshold,
    "test_cfg.max_seg_num": lambda r: r.suppression.max_segments,
    "test_cfg.min_score": lambda r: r.suppression.min_score,
    "test_cfg.multiclass_nms": lambda r: r.suppression.multiclass,
    "test_cfg.nms_method": lambda r: r.suppression.method,
    "test_cfg.nms_sigma": lambda r: r.suppression.sigma,
    "test_cfg.pre_nms_thresh": lambda r: r.suppression.candidate_score,
    "test_cfg.pre_nms_topk": lambda r: r.suppression.candidates,
    "test_cfg.voting_thresh": lambda r: r.suppression.voting_threshold,
    "train_cfg.center_sample": lambda r: r.loss.center_sampling,
    "train_cfg.center_sample_radius": lambda r: r.loss.center_radius,
    "train_cfg.clip_grad_l2norm": lambda r: r.training.clip_norm,
    "train_cfg.cls_prior_prob": lambda r: r.model.prior,
    "train_cfg.dropout": lambda r: r.model.dropout,
    "train_cfg.droppath": lambda r: r.model.drop_path,
    "train_cfg.init_loss_norm": lambda r: r.loss.initial_norm,
    "train_cfg.label_smoothing": lambda r: r.loss.label_smoothing,
    "train_cfg.loss_weight": lambda r: r.loss.regression_weight,
}

#: Fields of the original that no recipe has, and why.
ELSEWHERE = {
    "dataset.feat_folder": "a place on somebody's disk: `prepare ... features=`",
    "dataset.file_ext": "files are found by any ending that is known",
    "dataset.json_file": "a place on somebody's disk: `data=`",
    "devices": "`device=`; several by torchrun",
    "loader.num_workers": "`training.workers`, by the machine",
    "output_folder": "`--out`",
    "train_cfg.head_empty_cls": "classes without an event are found in the manifest",
    "train_split": "`prepare` calls it train",
    "val_split": "`prepare` calls it test",
}


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _recipe(name: str) -> LocalizationRecipe:
    recipe = load_recipe(name)
    assert isinstance(recipe, LocalizationRecipe)
    return recipe


def test_all_eleven_are_here() -> None:
    if LAYOUTS:
        assert sorted(ORIGINALS.values()) == sorted(LAYOUTS)
    assert not set(HERE) & set(ELSEWHERE)


@pytest.mark.skipif(not LAYOUTS, reason="no golden/tal key_layouts.json here")
@pytest.mark.parametrize("name", ORIGINALS)
def test_every_field(name: str) -> None:
    theirs = dict(_flat(LAYOUTS[ORIGINALS[name]]["resolved_config"]))
    assert set(theirs) == set(HERE) | set(ELSEWHERE)
    recipe = _recipe(name)
    different = {
        key: (_listed(of(recipe)), theirs[key])
        for key, of in HERE.items()
        if _listed(of(recipe)) != theirs[key]
    }
    assert not different


@pytest.mark.skipif(not LAYOUTS, reason="no golden/tal key_layouts.json here")
@pytest.mark.parametrize("name", ORIGINALS)
def test_the_network(name: str) -> None:
    """Parameters by name and shape, and how many."""
    import torch

    from actionspace.localization.network.model import ActionFormer

    layout, recipe = LAYOUTS[ORIGINALS[name]], _recipe(name)
    dims = layout["resolved_config"]["model"]["input_dim"]
    with torch.device("meta"):
        model = ActionFormer(
            recipe.model, sum(dims) if isinstance(dims, list) else dims, _classes(recipe)
        )
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert shapes == {key: shape for key, shape, _ in layout["keys"]}
    count = sum(p.numel() for p in model.parameters())
    assert recipe.published is not None
    assert count == layout["n_params"] == recipe.published.trainable_parameters


@pytest.mark.parametrize("name", ORIGINALS)
def test_what_stands_in_the_originals_code(name: str) -> None:
    recipe = _recipe(name)
    training, schedule = recipe.training, recipe.training.schedule
    assert training.ema.decay == 0.999 and training.ema.evaluate
    assert training.drop_last and training.shuffle and training.precision == "float32"
    assert training.optimizer.no_decay == "norms_and_biases" and not training.optimizer.rules
    assert schedule.warmup_inclusive and schedule.per == "step" and schedule.horizon is None
    assert schedule.final * training.optimizer.lr == pytest.approx(1e-8)
    assert training.checkpoint.every_epochs == 5 and training.checkpoint.keep == "last"
    key = recipe.dataset.replace("-detection", "").replace("-", "_")
    assert recipe.evaluation.thresholds == pytest.approx(THRESHOLDS[key])
    assert recipe.evaluation.clean == (key != "epic100") and recipe.evaluation.recalls == (1, 5)
    assert recipe.sampling.inside == (key == "activitynet13") and not recipe.sampling.whole
    assert recipe.files.array == ("feats" if key == "epic100" else None)
    assert recipe.suppression.voting_by_overlap and not recipe.model.input_dropout


@pytest.mark.parametrize("name", [*ORIGINALS, "thumos14_i3d_opentad", "activitynet13_tsp_opentad"])
def test_published_tables(name: str) -> None:
    """A figure per threshold (of ActivityNet three), whose mean is the one that is quoted."""
    recipe = _recipe(name)
    assert recipe.published is not None
    figures = {f.metric: f.value for f in recipe.published.figures}
    maps = [v for k, v in figures.items() if k.startswith("map@")]
    recalls = [v for k, v in figures.items() if k.startswith("recall1x@")]
    if recipe.dataset == "activitynet13":
        assert list(figures) == ["map", "map@0.50", "map@0.75", "map@0.95"]
    else:
        wanted = [f"map@{t:.2f}" for t in recipe.evaluation.thresholds]
        assert list(figures)[:6] == ["map", *wanted]
        assert figures["map"] == pytest.approx(sum(maps) / 5, abs=0.0101)  # of rounded ones
    assert len(recalls) == (5 if recipe.dataset == "ego4d-mq" else 0)
    assert recipe.published.verified_here.startswith("no")


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_grid_for_own_videos_is_the_features_one(name: str) -> None:
    recipe = _recipe(name)
    if recipe.rows.preset is not None:
        grid = PRESETS[recipe.rows.preset]
        assert (grid.hop, grid.frames) == (recipe.files.stride, recipe.files.window)
        assert grid.fps == recipe.files.fps


def test_opentad_differs_in_little() -> None:
    def differences(name: str) -> dict[str, Any]:
        told = {"name", "description", "published"}
        of = dict(_flat(_recipe(name).model_dump(exclude=told)))
        base = dict(_flat(_recipe(name.removesuffix("_opentad")).model_dump(exclude=told)))
        return {key: value for key, value in of.items() if value != base[key]}

    assert differences("thumos14_i3d_opentad") == {
        "model.input_dropout": 0.2,
        "suppression.max_segments": 2000,
    }
    assert differences("activitynet13_tsp_opentad") == {
        "model.input_dropout": 0.2,
        "suppression.voting_by_overlap": False,
    }


def test_no_other_recipe_of_published_features() -> None:
    recipes = [r for r in list_recipes() if r.task == "localization" and r.dataset]
    found = {r.name for r in recipes if r.encoder is None}
    found = {name for name in found if not name.startswith("tridet_")}
    beyond = {"thumos14_i3d_opentad", "activitynet13_tsp_opentad", "thumos14_i3d_tbtformer"}
    assert found == {*ORIGINALS, *beyond}
