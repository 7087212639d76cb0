"""The list of published models and features, and the sums of those that have one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import actionspace as A
from actionspace.localization import published
from actionspace.localization.published import FEATURES, MODELS, known_md5, list_published
from actionspace.recipes.loader import list_recipes, load_recipe


def test_every_recipe_has_its_features_and_every_original_its_model() -> None:
    localize = [r for r in list_recipes() if r.task == "localization" and r.dataset]
    recipes = {r.name for r in localize if not r.encoder}  # others make their features here
    assert {name for one in FEATURES for name in one.recipes} == recipes
    assert {name for one in MODELS for name in one.recipes} == {
        name for name in recipes if not name.endswith(("_opentad", "_hacs_i3d", "_tbtformer"))
    }
    assert len(MODELS) == 16 and all(one.is_model and not one.md5 for one in MODELS)
    assert not any(one.is_model for one in FEATURES)


def test_notes_say_the_figure_of_the_recipe() -> None:
    for one in MODELS:
        [name] = one.recipes
        told = load_recipe(name).published
        assert told is not None
        assert f"published mAP {told.figures[0].value:.2f}" in one.note


def test_epochs_are_of_the_recipe() -> None:
    """The last one, but for Ego4D and TriDet's verbs."""
    for one in MODELS:
        epochs = load_recipe(one.recipes[0]).training.epochs
        number = int(one.file.rpartition("epoch_")[2].removesuffix(".pth.tar"))
        early = {"ego4d": 10, "tridet_epic100_verb": 22}
        assert number == next((n for word, n in early.items() if word in one.name), epochs - 1)


def test_they_are_listed_with_the_weights() -> None:
    names = {line["name"] for line in A.list_things("weights", "*thumos14*")}
    assert names == {"actionformer_thumos14_i3d", "tridet_thumos14_i3d", "features_thumos14_i3d"}
    assert A.list_things("weights", "tridet_*")[0]["architecture"] == "TriDet"
    assert [line.name for line in list_published("features_ego*vlp")] == ["features_ego4d_egovlp"]
    assert len(A.list_things("weights")) > len(list_published()) == len(MODELS) + len(FEATURES)
    one = list_published("features_epic*")[0]
    assert one.verified == "md5 add9803756afd9a023bc9a9c547e0229"
    assert one.url.count(" or ") == 2


def test_an_archive_is_compared_with_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "thumos.tar.gz"
    path.write_bytes(b"half of it")
    [found] = A.check(path)
    assert (found.severity, found.file) == ("error", str(path))
    assert "375f76ffbf7447af1035e694971ec9b2" in found.message
    right = hashlib.md5(b"half of it").hexdigest()
    changed = tuple(replace(f, md5=right) if f.file == path.name else f for f in FEATURES)
    monkeypatch.setattr(published, "FEATURES", changed)
    assert A.check(path) == []
    assert known_md5("elsewhere/thumos.tar.gz") == right
    assert known_md5("epoch_034.pth.tar") is None
