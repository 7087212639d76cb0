"""Checking a recipe whose classes are told in words."""

from __future__ import annotations

from typing import Any

import pytest

from actionspace.recipes.check import check_recipe

TOLD = {"rearing": "a rat stands up", "grooming": "a rat licks its fur"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"zero_shot": {}}, "note no class is described"),
        ({"zero_shot": {"descriptions": "nowhere.csv"}}, "error The descriptions nowhere.csv"),
        ({"zero_shot": {"descriptions": {"a": "b"}}}, "error 1 class is described"),
        ({"encoder": "starter"}, "error Encoder 'starter' knows no text"),
    ],
)
def test_what_would_stop_it_is_found(changes: dict[str, Any], text: str) -> None:
    recipe = {"name": "x", "mode": "zero_shot", "encoder": "clip_vit_base_patch16"}
    recipe |= {"zero_shot": {"descriptions": TOLD}}
    assert not any("text" in f.message or "descri" in f.message for f in check_recipe(recipe))
    found = [f"{f.severity} {f.message}" for f in check_recipe(recipe | changes)]
    assert any(line.startswith(text) for line in found), found
