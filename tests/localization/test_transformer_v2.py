"""The second transformer, its neck and its heads through training, evaluation and loading."""

from __future__ import annotations

from pathlib import Path

import torch

from actionspace.localization.evaluate import evaluate
from actionspace.localization.fit import train
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.localization.saved import load_network
from tests.localization import untrimmed


def test_it_trains_and_says_what_has_no_effect(tmp_path: Path) -> None:
    untrimmed.make(tmp_path)
    model = {
        "backbone": "transformer_v2",
        "v2": {"kv_heads": 1},
        "relative_positions": True,
        "windows": -1,
        "neck": "cs_fpn",
        "head_skip": True,
        "head_layers": 4,
    }
    recipe = untrimmed.recipe(model=model)
    data, features = tmp_path / "events.csv", tmp_path / "features"
    run = train(recipe, out=tmp_path / "run", data=data, features=features)
    assert run.finished  # what it has learnt in these few steps varies with the seed
    assert "relative_positions means nothing without windows" in str(run.environment["notes"])
    kept = LocalizationRecipe.model_validate(run.config)
    assert kept.model == recipe.model
    network = load_network(run, kept)
    assert torch.equal(
        network.state_dict()["backbone.stem.0.attn.rope.inv_freq"][:1], torch.ones(1)
    )
    again = evaluate(run.path, data=data, features=features)
    assert again["map@0.50"] == run.metrics["map@0.50"]
