"""A network against its training events, and configurations of the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.api import validate_config
from actionspace.config import write_yaml
from actionspace.errors import ConfigError, DataError
from actionspace.localization.fit import train
from actionspace.localization.learning.assign import assign, collect
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.points import level_points
from actionspace.localization.options import SamplingConfig
from actionspace.localization.validate import check_lengths, learnt_by
from actionspace.recipes.check import check_recipe
from tests.localization import untrimmed
from tests.localization.test_auto import SMALL

ORIGINAL: dict[str, Any] = {
    "dataset": {"json_file": "a.json", "feat_folder": "f", "max_seq_len": 2304},
    "model": {
        "backbone_type": "convTransformer",
        "backbone_arch": [2, 2, 5],
        "regression_range": [[0, 4], [4, 8], [8, 16], [16, 32], [32, 64], [64, 10000]],
        "n_mha_win_size": 19,
    },
    "train_cfg": {"loss_weight": -1},
    "test_cfg": {},
}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-9, 40), st.floats(0.1, 55)), min_size=1, max_size=6),
    st.sampled_from(["radius", "none"]),
)
def test_what_is_learnt_is_what_the_loss_assigns(events: Any, sampling: str) -> None:
    model = SMALL.model_copy(update={"regression_ranges": ((0, 3), (4, 8), (9, 30))})
    loss = LossConfig(center_sampling=sampling)  # type: ignore[arg-type]
    segments = np.array([(s, s + d) for s, d in events], dtype=np.float32)
    learnt = learnt_by(model, loss, segments)
    for i, segment in enumerate(segments):
        truth = collect([torch.from_numpy(segment[None])], [torch.zeros(1, dtype=torch.int64)])
        for level in range(3):
            cells = 100 // model.strides[level] + 1
            points = level_points(model, level, cells, torch.device("cpu"))
            assert learnt[level, i] == bool(assign(points, truth, 1, loss).learnt.any())


def codes(segments: Any, videos: Any = (60,), **model: Any) -> dict[str, str]:
    changed = ModelConfig.model_validate(SMALL.model_dump() | model)
    spans = np.array(segments, np.float32)
    found = check_lengths(changed, LossConfig(), SamplingConfig(), videos, spans)
    return {f.code: f"{f.severity}: {f.message}" for f in found}


FINE = [[1, 4], [5, 13], [20, 45]]


def test_what_is_never_learnt_is_said_with_the_fix() -> None:
    assert codes(FINE) == {}
    ended = {"regression_ranges": ((0, 4), (4, 8), (8, 10))}
    assert (
        "1 (25 to 25 rows) are too long: the last range ends at 10"
        in codes(FINE, **ended)["events-unlearnt"]
    )
    gap = {"regression_ranges": ((0, 2), (2, 3), (20, 90))}
    assert "between two ranges" in codes(FINE, **gap)["events-unlearnt"]
    assert "too short" in codes([*FINE, [1.2, 1.9]])["events-unlearnt"]
    assert codes([[1.2, 1.9]])["events-unlearnt"].startswith("error: 1 of 1 training events")
    assert "no level" not in codes(FINE)
    assert "of 2 of 3 levels (4 to 8, 8 to 10000 rows)" in codes([*FINE[:1], [5, 9]])["levels-idle"]
    assert "200 rows" not in str(codes(FINE)) and codes([[0, 200]])["events-too-long"].startswith(
        "error: 1 of 1 training events are never learnt: 50% of each"
    )
    assert "padded to 32" in codes(FINE, videos=(9, 9), windows=9)["windows-padded"]
    assert codes(FINE, videos=(60, 900))["videos-cut"].startswith("note: 1 of 2 training videos")
    assert codes([[1.2, 1.9]], head="points") == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder, videos=6)
    return folder


def test_check_and_training_say_it(folder: Path, tmp_path: Path) -> None:
    ended = {"model": {"regression_ranges": [[0, 1], [1, 2], [2, 2.2]]}}
    given_ = {"data": str(folder / "events.csv"), "features": str(folder / "features")}
    recipe = untrimmed.recipe(**given_, **ended)
    write_yaml(tmp_path / "recipe.yaml", recipe)
    [found] = [f for f in check_recipe(tmp_path / "recipe.yaml") if f.severity == "error"]
    assert found.code == "events-unlearnt" and "let it end at 10000" in found.message
    with pytest.raises(DataError, match="training events are learnt by no level"):
        train(recipe, out=tmp_path / "run", report=False)
    assert not (tmp_path / "run").exists()
    report = validate_config(tmp_path / "recipe.yaml")
    assert not report.valid and report.errors == (found.message,)
    rules = {"constraints": {"min_gap": {"digg": 1}}, "features": None, "encoder": "starter"}
    write_yaml(tmp_path / "recipe.yaml", untrimmed.recipe(**{**given_, **rules}))
    [error] = validate_config(tmp_path / "recipe.yaml").errors
    assert error.startswith("constraints.min_gap names an unknown class 'digg'. Did you mean 'dig'")


def test_our_recipes_are_validated_by_name_and_mapping() -> None:
    assert validate_config("thumos14_i3d").valid
    report = validate_config({"task": "localization", "model": {"windos": 3}})
    assert "Did you mean 'windows'" in report.errors[0]
    with pytest.raises(ConfigError, match="windos"):
        report.require()


def test_the_official_loss_weight_is_fine_here() -> None:
    assert validate_config(ORIGINAL).valid
    assert str(validate_config(ORIGINAL)) == "nothing is wrong"
    assert validate_config(ORIGINAL, compat="fork").errors == (
        "train_cfg.loss_weight is -1; the fork takes 0 and more.",
    )


def changed(section: str, **fields: Any) -> Any:
    return validate_config({**ORIGINAL, section: {**ORIGINAL[section], **fields}})


@pytest.mark.parametrize(
    ("section", "fields", "errors", "warnings"),
    [
        ("model", {"fpn_start_level": 1}, 1, 0),
        ("model", {"regression_range": [[0, 4, 5]] * 6}, 6, 0),
        ("model", {"n_mha_win_size": [19, 19, 19, 19, 19, 7]}, 0, 0),
        ("model", {"n_mha_win_size": [8, 11]}, 5, 0),
        ("model", {"scale_factor": 4}, 2, 0),
        ("model", {"head_dim": 512, "fpn_dim": 512}, 0, 0),
        ("model", {"n_mha_win_size": "19"}, 1, 0),
        ("test_cfg", {"iou_threshold": 1.5, "score_temperature": -1}, 2, 0),
        ("train_cfg", {"label_smoothing": -0.1, "reg_loss_type": "eiou"}, 1, 0),
        ("dataset", {"max_seq_len": "many"}, 1, 0),
    ],
)
def test_rules_of_the_original_layout(
    section: str, fields: Any, errors: int, warnings: int
) -> None:
    found = changed(section, **fields)
    assert (len(found.errors), len(found.warnings)) == (errors, warnings), found


def test_missing_sections_are_missing_fields() -> None:
    assert len(validate_config({}, compat="fork").errors) == 6
    assert len(validate_config({"model": ORIGINAL["model"], "test_cfg": None}).errors) == 3
