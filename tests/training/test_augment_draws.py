"""Random numbers are those of Philox, and belong to (seed, epoch, sample, purpose)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.training.augment.draws import Draws, philox

ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "bits"),
    [
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, 2**64 - 1, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0_A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_bits_are_those_the_authors_publish(counter, key, bits):
    assert tuple(philox(np.array(counter, np.uint32), key).tolist()) == bits


@given(
    st.lists(st.integers(0, 2**31), min_size=1, max_size=9),
    st.integers(-(2**63), 2**64),
    st.integers(0, 10**6),
    st.integers(1, 9),
)
def test_a_sample_has_the_same_numbers_in_any_company(indices, seed, epoch, count):
    together = Draws(seed, epoch, np.array(indices)).uniform("x", count)
    alone = [Draws(seed, epoch, np.array([i])).uniform("x", count)[0] for i in indices]
    assert (together == np.stack(alone)).all()
    assert together.shape == (len(indices), count)
    assert ((together > 0) & (together < 1)).all()


def test_every_part_of_the_name_counts():
    rows = [
        Draws(seed, epoch, np.array([index])).uniform(purpose, 2)[0]
        for seed in (0, 1, 2**32, -1)
        for epoch in (0, 1)
        for index in (0, 1)
        for purpose in ("crop", "flip")
    ]
    assert len(np.unique(np.concatenate(rows))) == 2 * len(rows)


def test_numbers_are_uniform_and_unrelated_between_neighbours():
    u = Draws(3, 5, np.arange(20_000)).uniform("x", 6)
    assert np.abs(u.mean(axis=0) - 0.5).max() < 0.01
    assert np.abs(np.histogram(u, 10, (0, 1))[0] / u.size - 0.1).max() < 0.005
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 0.03
    assert abs(np.corrcoef(u[1:, 0], u[:-1, 0])[0, 1]) < 0.03
    following = Draws(3, 6, np.arange(20_000)).uniform("x", 1)[:, 0]
    assert abs(np.corrcoef(u[:, 0], following)[0, 1]) < 0.03
