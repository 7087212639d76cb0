"""Boundaries as distributions: how they are spread, and which bins a recipe may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import ConfigError
from actionspace.localization.auto_bins import check_bins, choose_widths, longest_distances
from actionspace.localization.learning.config import LossConfig
from tests.localization import networks

WIDE = {"head": "boundaries", "boundaries": {"compat": True}}


def _spread(shares: list[float]) -> Any:
    import torch

    from actionspace.localization.network.boundaries import distance_spread

    return distance_spread(torch.tensor(shares).clamp(min=1e-12).log())


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.9])
def test_a_known_distance_between_two_bins_is_certain(fraction: float) -> None:
    std, low, high = _spread([0.0, 0.0, 1 - fraction, fraction, 0.0])
    assert std == pytest.approx(0, abs=2e-3)
    assert low == pytest.approx(0, abs=5e-3) and high == pytest.approx(0, abs=5e-3)


@pytest.mark.parametrize("mean", [20.0, 20.3, 20.5])
@pytest.mark.parametrize("std", [1.0, 1.5, 3.0, 5.0])
def test_what_is_learnt_of_a_bell_is_its_spread(mean: float, std: float) -> None:
    """Distances from a bell, each learnt as a share of the two bins about it."""
    import torch

    distances = torch.linspace(mean - 5 * std, mean + 5 * std, 4001).clamp(0, 40)
    bell = (-((distances - mean) ** 2) / (2 * std**2)).exp()
    tents = (1 - (distances[:, None] - torch.arange(41.0)).abs()).clamp(min=0)
    got, low, high = _spread((bell / bell.sum() @ tents).tolist())
    assert got == pytest.approx(std, rel=0.02 + 0.08 / std**2)
    assert high == pytest.approx(1.2816 * std, rel=0.1 / std)
    assert low == pytest.approx(-1.2816 * std, rel=0.1 / std)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20).filter(lambda s: sum(s) > 0.1))
def test_any_distribution_has_a_finite_spread(shares: list[float]) -> None:
    total = sum(shares)
    std, low, high = _spread([s / total for s in shares]).tolist()
    assert 0 <= std <= len(shares) / 2
    assert -len(shares) <= low <= high + 1e-5 <= len(shares)


def test_an_event_begins_earlier_when_its_distance_is_larger() -> None:
    import torch

    from actionspace.localization.network.boundaries import boundary_spread

    skewed = torch.tensor([0.5, 0.3, 0.1, 0.05, 0.05]).log()
    begin, end = boundary_spread(torch.stack([skewed, skewed]), torch.tensor(2.0))
    assert end[2] > -end[1] > 0
    assert torch.equal(begin, torch.stack([end[0], -end[2], -end[1]]))
    assert torch.equal(boundary_spread(torch.stack([skewed] * 2), torch.tensor(4.0))[1], 2 * end)


def test_distances_at_learnt_points_are_those_of_the_whole() -> None:
    import torch

    model = networks.network(**WIDE).eval()
    features, mask = networks.pad([torch.randn(networks.DIM, 60)], 96)
    with torch.no_grad():
        whole = model(features, mask)
        learnt = torch.rand(whole.mask.shape) < 0.05
        some = model(features, mask, learnt)
    assert whole.bins is not None and some.bins is not None
    torch.testing.assert_close(some.bins[learnt], whole.bins[learnt], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(some.offsets[learnt], whole.offsets[learnt], rtol=1e-5, atol=1e-5)
    levels = whole.levels()
    assert torch.equal(torch.cat([level.bins for level in levels], 1), whole.bins)
    assert torch.equal(torch.cat([level.width for level in levels]), whole.width)


def test_widths_stretch_the_bins() -> None:
    import torch

    features, mask = networks.pad([torch.randn(networks.DIM, 60)], 96)
    one = networks.network(**WIDE).eval()
    bins = {"widths": (1.0, 2.0, 0.5, 3.0), "compat": True}
    other = networks.network(head="boundaries", boundaries=bins).eval()
    with torch.no_grad():
        said, stretched = one(features, mask), other(features, mask)
    for a, b, width in zip(said.levels(), stretched.levels(), bins["widths"], strict=True):
        torch.testing.assert_close(b.offsets, a.offsets * width)


def test_bins_that_end_before_a_range_are_refused_with_the_number_needed() -> None:
    with pytest.raises(ValueError, match=r"level 1 .* up to 8 rows.*model.boundaries.bins=4"):
        networks.tiny(head="boundaries", boundaries={"bins": 3}, regression_ranges=_RANGES)
    with pytest.raises(ValueError, match=r"3 boundaries.widths for 4 levels"):
        networks.tiny(head="boundaries", boundaries={"widths": (1, 1, 1)})
    networks.tiny(head="boundaries", boundaries={"bins": 3, "compat": True})
    networks.tiny(head="segments", boundaries={"bins": 3})


_RANGES = ((0, 3), (3, 8), (8, 12), (12, 10_000))


def test_the_last_level_needs_what_the_longest_event_does() -> None:
    model, loss = networks.tiny(head="boundaries"), LossConfig()
    # Half of 80 rows, and a point may lie one and a half cells of 8 beside the middle.
    assert longest_distances(model, loss, 80) == [4, 8, 16, 52]
    assert longest_distances(model, LossConfig(center_sampling="none"), 80)[-1] == 80
    assert longest_distances(model, LossConfig(center_sampling="none"), 500)[-1] == 96  # a window
    check_bins(model, loss, 80)
    few = model.model_copy(update={"boundaries": model.boundaries.model_copy(update={"bins": 5})})
    with pytest.raises(ConfigError, match=r"level 3 .*52 rows, which are 7 .*bins=7"):
        check_bins(few, loss, 80)
    chosen, note = choose_widths(few, loss, 80)
    check_bins(chosen, loss, 80)
    assert len(chosen.boundaries.widths) == 4 and "5 of" in note
    assert 5 * chosen.boundaries.widths[3] * 8 == pytest.approx(52 / 0.8, rel=0.02)
