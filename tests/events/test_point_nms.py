"""Suppression of moments: properties against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.events.point_nms import strongest

MOMENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8), st.integers(0, 2)), max_size=40)


def plain(rows: list[tuple[int, int, int]], radius: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i][1], i)):
        near = [k for k in kept if rows[k][2] == rows[i][2]]
        if all(abs(rows[k][0] - rows[i][0]) > radius for k in near):
            kept.append(i)
    return kept


@given(MOMENTS, st.integers(0, 12))
@settings(deadline=None)
def test_it_keeps_what_a_plain_loop_keeps(rows: list[tuple[int, int, int]], radius: int) -> None:
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    found = strongest(table[:, 0] / 4, table[:, 1], table[:, 2].astype(np.int64), radius / 4)
    assert found.tolist() == plain(rows, radius)
