"""Recipes: they load, check, and say what the sheet of the original says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actionspace.config import write_yaml
from actionspace.encoders.create import list_encoders
from actionspace.errors import ConfigError, UsageError
from actionspace.recipes.check import check_recipe
from actionspace.recipes.loader import list_recipes, load_recipe, recipe_names
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.schedules import lr_at

UAS = [name for name in recipe_names() if name.endswith("_linear_probe")]
ADAPTED = [name for name in recipe_names() if name.endswith(("_lora", "_finetune"))]
RECOGNITION = [recipe.name for recipe in list_recipes() if recipe.task == "recognition"]
LOCALIZE = {"localize", "localize_boundaries", "localize_points"}
OWN = {
    "linear_probe",
    "attentive_probe",
    "lora",
    "finetune",
    "align",
    "align_frames",
    "anticipate",
} | LOCALIZE
FETCHED = {"zero_shot", "localize_vjepa2", "align_vjepa2", "align_dinov3"}  # own data, but weights
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


# Adapted encoders: (classes, published percentages, hours, trained parameters).
ADAPTED_SHEET = {
    "kinetics700_diff_k600_lora": (103, {TOP1: 88.6, TOP5: 98.1, MCA: 88.6}, 86, 1_645_671),
    "kinetics700_diff_k600_finetune": (103, {TOP1: 88.8, TOP5: 98.0, MCA: 88.8}, 105, 87_744_559),
    "mammalnet_k400_lora": (12, {}, None, 1_540_096 + 12_300),
    "mammalnet_k400_finetune": (12, {}, None, 87_638_984 + 12_300),
    "chimpbehave_k400_lora": (7, {}, None, 1_540_096 + 7_175),
    "chimpbehave_k400_finetune": (7, {}, None, 87_638_984 + 7_175),
}


def test_the_packaged_recipes_are_those_of_the_sheet():
    assert sorted(UAS) == sorted(SHEET)
    assert sorted(ADAPTED) == sorted(ADAPTED_SHEET)
    own = OWN | FETCHED
    assert {r.name for r in list_recipes()[: len(own)]} == own
    chimps = sorted(n for n in (*UAS, *ADAPTED, "chimpbehave_vjepa2_attentive") if "chimp" in n)
    assert [r.name for r in list_recipes("chimp*")] == chimps


@pytest.mark.parametrize("name", ADAPTED)
def test_adapted_encoders_are_trained_as_the_probes_of_their_data(name: str):
    """But for what the mode changes."""
    _, figures, hours, trained = ADAPTED_SHEET[name]
    recipe, base = load_recipe(name), load_recipe(f"{name.rpartition('_')[0]}_linear_probe")
    assert recipe.published is not None
    assert {f.metric: f.value for f in recipe.published.figures} == figures
    assert recipe.published.training_hours == hours
    assert recipe.published.trainable_parameters == trained
    assert recipe.published.verified_here == "no (no weights or data)"
    assert recipe.mode == ("lora" if name.endswith("_lora") else "full")
    assert (recipe.lora.rank, recipe.lora.targets) == (
        (32, "qv") if recipe.mode == "lora" else (8, "qv")
    )
    assert recipe.lora.alpha is None and recipe.lora.stages == "all"
    assert recipe.training == base.training and recipe.head == base.head
    assert (recipe.encoder, recipe.dataset) == (base.encoder, base.dataset)
    same = {"stochastic_depth": False, "train": base.clips.train.model_copy(update={"augment": 30})}
    assert recipe.clips == base.clips.model_copy(update=same)
    assert recipe.training.optimizer.rules["backbone"].lr == 0.1


def test_the_epic_baseline_is_that_of_the_sheet():
    recipe = load_recipe("epic100_slowfast")
    assert recipe.published is not None
    assert {f.metric: f.value for f in recipe.published.figures} == {
        "verb_top1_accuracy": 65.56,
        "noun_top1_accuracy": 50.02,
        "verb_top5_accuracy": 90.00,
        "noun_top5_accuracy": 75.62,
        "action_top1_accuracy": 38.5,
    }
    assert recipe.published.verified_here == "no (no weights or data)"
    assert (recipe.encoder, recipe.mode, recipe.freeze_norms) == ("slowfast_r50_k400", "full", True)
    assert recipe.head.columns == ("verb", "noun")
    views = recipe.clips.test
    assert (views.frames, views.stride, views.fps) == (32, 2, 60)
    assert (views.clips, views.geometry, views.size) == (10, "center", 256)
    training = recipe.training
    assert training.batch_size == 32
    rates = [
        lr_at(training.schedule, 0.01, epoch=e, step=s, steps_per_epoch=10, epochs=training.epochs)
        for e, s in ((0, 0), (0, 5), (1, 0), (19, 9), (20, 0), (24, 9), (25, 0), (29, 9))
    ]
    assert rates == pytest.approx([1e-3, 5.5e-3, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


@pytest.mark.parametrize("name", ["epic100_x3d_m", "epic100_i3d_flow"])
def test_the_other_recipes_of_epic_kitchens_train_as_the_baseline(name: str):
    recipe, base = load_recipe(name), load_recipe("epic100_slowfast")
    assert recipe.head == base.head and recipe.predict == base.predict and recipe.freeze_norms
    decay = recipe.training.optimizer.weight_decay
    optimizer = base.training.optimizer.model_copy(update={"weight_decay": decay})
    assert recipe.training == base.training.model_copy(update={"optimizer": optimizer})


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in RECOGNITION
        if name.startswith(("ucf50", "epic100")) and not name.endswith("_attentive")
    ],
)
def test_clips_are_those_the_encoder_expects(name: str):
    """But for the original X3D pipeline, and a rate of another clock that comes to the same."""
    recipe = load_recipe(name)
    clip = {e.name: e.clip for e in list_encoders()}[recipe.encoder]
    for views in (recipe.clips.train, recipe.clips.val, recipe.clips.test):
        if name != "ucf50_x3d_s_original":
            rate = (views.fps or clip.fps or 1) / views.stride  # type: ignore[operator]
            assert (views.frames, rate) == (clip.frames, (clip.fps or 1) / clip.stride) or (
                name == "epic100_slowfast" and (views.frames, rate) == (32, 30)
            )


@pytest.mark.parametrize("name", sorted(OWN))
def test_recipes_for_own_data_pass_the_check(name: str):
    assert [f.code for f in check_recipe(name)] == ["data"]
    assert not load_recipe(name).dataset


@pytest.mark.parametrize("name", sorted(FETCHED - {"zero_shot"}))
def test_weights_that_have_to_be_fetched_are_a_note(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path))
    found = check_recipe(name)
    assert [(f.code, f.severity) for f in found] == [("weights", "note"), ("data", "note")]
    assert "to download" in found[0].message
    assert not load_recipe(name).dataset


@pytest.mark.parametrize("name", [n for n in RECOGNITION if n.endswith("_vjepa2_attentive")])
def test_attentive_probes_are_those_of_v_jepa_2(name: str):
    """Its grid, network and clips; what is cached and what is chosen on differ."""
    recipe = load_recipe(name)
    how, clips = recipe.head.attentive, recipe.clips
    assert (how.depth, how.num_heads, how.epochs, how.join_clips) == (4, 16, 20, True)
    assert how.lrs == [5e-3, 3e-3, 1e-3, 3e-4, 1e-4]
    assert how.weight_decays == [0.01, 0.1, 0.4, 0.8]
    assert clips.test.frames == 16 and clips.test.geometry == "three" and clips.rows == "events"
    assert (clips.train.short_side, clips.test.short_side, clips.test.size) == (292, 256, 256)
    segments = 8 if name.startswith(("mammalnet", "kinetics")) else 2
    short = name.startswith("chimpbehave")
    assert (clips.test.clips, clips.test.stride) == ((1, 1) if short else (segments, 4))
    assert recipe.published is None and "not measured" in recipe.description
    assert [f.severity for f in check_recipe(name)] == ["note", "note"]


@pytest.mark.parametrize("name", recipe_names())
def test_file_and_recipe_have_one_name(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description.endswith(".")


@pytest.mark.parametrize("name", UAS)
def test_published_figures_equal_the_sheet(name: str):
    classes, figures, hours, _, _, batch = SHEET[name]
    recipe = load_recipe(name)
    assert recipe.published is not None
    first: dict[str, float] = {}
    for figure in recipe.published.figures:
        first.setdefault(figure.metric, figure.value)
        assert "README" in figure.source
    assert first == figures
    assert recipe.published.training_hours == hours
    assert recipe.published.trainable_parameters == classes * 1024 + classes
    assert recipe.published.verified_here == "no (no weights or data)"
    assert recipe.published.validation_is_test == ("mammalnet" not in name)
    assert recipe.training.batch_size == batch
    assert recipe.training.micro_batch_size == batch // 8


@pytest.mark.parametrize("name", UAS)
def test_head_mode_is_the_original_training(name: str):
    recipe = load_recipe(name, ["mode=head"])
    assert recipe.inputs == "clips"
    assert (recipe.head.dropout, recipe.head.init_std) == (0.5, 0.01)
    assert recipe.head.label_smoothing == 0 and not recipe.head.calibrate
    training, optimizer, schedule = (
        recipe.training,
        recipe.training.optimizer,
        recipe.training.schedule,
    )
    assert training.epochs == 30 and training.evaluate_every == 5
    assert training.clip_norm is None and not training.drop_last and training.shuffle
    assert training.checkpoint.keep == "last"
    assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adamw", 3e-4, 0.05)
    assert optimizer.betas == (0.9, 0.999) and optimizer.eps == 1e-8
    assert (schedule.name, schedule.per, schedule.final) == ("cosine", "epoch", 0)
    assert (schedule.warmup, schedule.warmup_epochs, schedule.warmup_start) == (
        "multiply",
        2.5,
        0.1,
    )


def test_the_head_steps_and_decays_in_full_and_the_backbone_by_the_longest_key():
    from torch import nn

    from actionspace.training.optimizers import parameter_groups

    class Swin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.ModuleDict({"linear": nn.Linear(4, 2)})
            self.encoder = nn.ModuleDict({"backbone": nn.ModuleDict({"norm": nn.LayerNorm(4)})})

    optimizer = load_recipe("mammalnet_k400_linear_probe").training.optimizer
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in parameter_groups(Swin(), optimizer)
        for name in group["names"]
    }
    assert found == {
        "head.linear.weight": (3e-4, 0.05),
        "head.linear.bias": (3e-4, 0.05),
        "encoder.backbone.norm.weight": (pytest.approx(3e-5), 0.05),
        "encoder.backbone.norm.bias": (pytest.approx(3e-5), 0.05),
    }


@pytest.mark.parametrize(
    ("overrides", "severity", "says"),
    [
        (["training.micro_batch_size=9"], "warning", "more than training.batch_size 8"),
        (["training.schedule.warmup_epochs=30"], "warning", "never reached"),
        (
            ["training.schedule={name: step, milestones: [20, 28, 40], warmup: before}"],
            "warning",
            r"milestones \[28.0, 40.0\] lie behind",
        ),
        (["training.checkpoint.metric=top1_acuracy"], "error", "Did you mean 'top1_accuracy'"),
        (["training.checkpoint.metric=map", "head.multi_label=false"], "error", "There are: top1"),
        (["training.checkpoint.metric=loss"], "warning", "mode=min"),
        (["training.precision=float16", "device=cpu"], "error", "needs a GPU"),
        (["training.early_stop=3", "split.ratio=[80, 0, 20]"], "warning", "never stops"),
        (["training.early_stop=3", "folds=5"], "warning", "never stops"),
        (["features=store"], "error", "say inputs=features"),
    ],
)
def test_a_training_section_that_cannot_work(
    tmp_path: Path, overrides: list[str], severity: str, says: str
):
    path = tmp_path / "mine.yaml"
    fine = ["mode=head", "encoder=starter"]
    write_yaml(path, load_recipe("mammalnet_k400_linear_probe", fine))
    assert [f.code for f in check_recipe(path)] == ["data"]
    write_yaml(path, load_recipe("mammalnet_k400_linear_probe", [*fine, *overrides]))
    found = [f for f in check_recipe(path) if f.code == "training"]
    assert [f.severity for f in found] == [severity]
    assert re.search(says, found[0].message)


def test_early_stop_goes_by_the_splits_of_the_manifest(tmp_path: Path):
    lines = ["video,label,split", "a.mp4,x,train", "b.mp4,y,test"]
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    path = tmp_path / "mine.yaml"
    overrides = ["mode=head", "training.early_stop=3", f"data={tmp_path / 'clips.csv'}"]
    write_yaml(path, load_recipe("linear_probe", overrides))
    assert ["never stops" in f.message for f in check_recipe(path)] == [True]
    (tmp_path / "clips.csv").write_text("\n".join([*lines, "c.mp4,y,val"]))
    assert check_recipe(path) == []


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

    assert undocumented(RecognitionRecipe) == []


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
