"""The make of a network: defaults of the original, and what does not go together."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from actionspace.alignment.network.config import NetworkConfig
from actionspace.config import parse
from actionspace.errors import ConfigError


def test_without_torch() -> None:
    code = (
        "import sys, actionspace.alignment.network.config, actionspace.alignment.keys, "
        "actionspace.alignment.published, actionspace.alignment.checkpoint; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "fields,message",
    [
        ({"hidden_dim": 10, "heads": 4}, "hidden_dim 10 does not divide into 4 heads"),
        ({"contexts": 2}, "contexts 2: embedder 'transformer' sees the whole clip"),
        ({"embedder": "conv", "layer": 2}, "layer 2 is only for embedder 'transformer'"),
        ({"embedder": "conv", "input": "features"}, "convolves in space, and features have none"),
        ({"input": "features", "train_base": "bn"}, "train_base 'bn' has nothing to train"),
        ({"layer": 5}, "'layer' = 5"),
        ({"embeding_dim": 5}, "Did you mean 'embedding_dim'"),
    ],
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(NetworkConfig, fields)


def test_every_field_says_what_it_is() -> None:
    assert all(field.description for field in NetworkConfig.model_fields.values())
