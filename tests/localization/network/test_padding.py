"""How long videos are padded and which go together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.errors import DataError
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.padding import batches, padded_length
from tests.localization.networks import tiny

CONFIGS = [
    ModelConfig(),
    tiny(),
    tiny(head_kernel=5),
    tiny(windows=[7, 7, 5, 5], scale_factor=4, max_length=2304),  # the largest is no multiple here
]


@given(config=st.sampled_from(CONFIGS), share=st.floats(0, 1))
def test_a_spare_cell_on_every_level_or_the_original_length(
    config: ModelConfig, share: float
) -> None:
    rows = max(1, int(share * config.longest))
    padded = padded_length(config, rows)
    assert padded >= rows and padded % config.divisor == 0
    spare = max(config.head_kernel, config.embed_kernel) // 2
    if rows > config.max_length:
        assert padded - rows < config.divisor
    elif padded != config.max_length:
        for stride in config.strides:
            assert padded // stride - -(-rows // stride) >= spare
        less = padded - config.divisor
        top = config.strides[-1]
        assert less // top - -(-rows // top) < spare


@given(
    rows=st.lists(st.integers(1, 384), max_size=12),
    size=st.integers(1, 5),
)
def test_batches_hold_every_video_once(rows: list[int], size: int) -> None:
    config = tiny()
    found = batches(config, rows, size)
    assert sorted(i for batch in found for i in batch) == list(range(len(rows)))
    for batch in found:
        lengths = {padded_length(config, rows[i]) for i in batch}
        assert len(batch) <= size
        assert len(batch) == 1 or len(batch) * max(lengths) <= size * config.max_length
        assert len(lengths) == 1 or max(lengths) <= config.max_length


def test_figures() -> None:
    assert padded_length(ModelConfig(), 800) == 1152
    assert padded_length(ModelConfig(), 2304) == 2304
    assert padded_length(ModelConfig(), 2305) == 2880
    assert padded_length(ModelConfig(), 1) == 576


@pytest.mark.parametrize("rows", [0, 13825])
def test_message(rows: int) -> None:
    with pytest.raises(DataError, match=f"{rows} rows of features; the network takes 1 to 13824"):
        padded_length(ModelConfig(), rows)
