"""What does not go together in a network's options is said; the options need no torch."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from actionspace.config import parse
from actionspace.errors import ConfigError
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import ModelConfig


def test_thumos_is_the_default() -> None:
    config = ModelConfig()
    assert config.divisor == 576 and config.longest == 13824
    assert config.strides == (1, 2, 4, 8, 16, 32) and config.width == 512


def test_windows_and_scales_have_a_common_multiple() -> None:
    changes = {
        "windows": [7, 7, 5],
        "scale_factor": 4,
        "branch_blocks": 2,
        "regression_ranges": [[0, 4], [4, 8], [8, 99]],
    }
    config = ModelConfig.model_validate(changes | {"max_length": 960})
    assert config.divisor == 192  # of 6, 24 and 64
    with pytest.raises(ConfigError, match=r"multiple of 192 .*e.g. 1152"):
        parse(ModelConfig, changes | {"max_length": 1000})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": [100, 28]}, "must name the same parts"),
        ({"neck_dim": 256}, "neck_dim 256 must be the backbone's 512"),
        ({"head_kernel": 4}, "head_kernel 4 must be odd"),
        ({"heads": 3}, "does not divide into 3 heads"),
        ({"windows": [9, 9]}, "6 levels .* need one each"),
        ({"windows": 3}, "the narrowest one is 4"),
        ({"windows": 8, "relative_positions": True}, "must be odd with relative_positions"),
        ({"first_level": 6}, "lies above the last, 5"),
        ({"first_level": 1}, "6 regression_ranges for 5 levels"),
        ({"regression_ranges": [[4, 4]] * 6}, "ends before it begins"),
        ({"max_length": 2300}, "must be a multiple of 576"),
        ({"dropp": 0.1}, "unknown key 'dropp'"),
    ],
)
def test_messages(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(ModelConfig, changes)


def test_options_of_the_losses() -> None:
    with pytest.raises(ConfigError, match="regression_weight"):
        parse(LossConfig, {"regression_weight": -1})
    assert LossConfig(regression_weight=None).regression_weight is None


def test_without_torch() -> None:
    code = "import sys, actionspace.localization.recipe; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
