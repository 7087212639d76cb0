"""Tiles, contact sheets and curves over time."""

from __future__ import annotations

import re
from pathlib import Path
from xml.dom import minidom

import numpy as np
import pytest
from PIL import Image

from actionspace.errors import UsageError
from actionspace.report.contact_sheet import TILE, Shot, write_contact_sheet
from actionspace.report.tile import Tile, mosaic
from actionspace.report.time_curves_svg import Curve, standalone, time_curves
from actionspace.video.write import write_video


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 30), (7, 900), (320, 240)])
def test_a_picture_keeps_its_shape_and_fits(size: tuple[int, int]) -> None:
    tile = Tile(160, 120)
    wide, high = tile.transform(*size).output_size(*size)
    assert wide <= 160 or min(wide, high) == 1
    assert high <= 120 or min(wide, high) == 1
    drawn = tile.draw(np.full((high, wide, 3), 255, np.uint8), "a long name " * 9, "1.5 s")
    assert drawn.shape == (120 + tile.line, 160, 3)
    assert tile.draw(None, "x").shape == drawn.shape


def test_the_last_row_is_filled_up() -> None:
    tiles = [np.full((4, 6, 3), k, np.uint8) for k in (50, 100, 150)]
    found = mosaic(tiles, 2)
    assert found.shape == (8, 12, 3)
    assert found[0, 0, 0] == 50 and found[0, 11, 0] == 100 and found[7, 0, 0] == 150
    assert found[7, 11, 0] < 50


def test_a_contact_sheet_shows_the_moments(tmp_path: Path) -> None:
    for name, offset in (("a.mp4", 0), ("b.mp4", 5)):
        frames = [np.full((48, 64, 3), 20 * (k + offset), np.uint8) for k in range(5)]
        write_video(tmp_path / name, frames, 10.0, crf=5)
    shots = [
        Shot(tmp_path / n, t, n)
        for n, t in (("a.mp4", 0.35), ("b.mp4", 0.05), ("a.mp4", 0.1), ("b.mp4", 9), ("a.mp4", 0))
    ]
    found = np.asarray(Image.open(write_contact_sheet(shots, tmp_path / "s.png")).convert("L"))
    high, wide = TILE.height + TILE.line, TILE.width
    assert found.shape == (2 * high, 4 * wide)
    grey = [
        found[r * high + 100, c * wide + 160] for r, c in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]
    ]
    np.testing.assert_allclose(grey, [60, 100, 20, 180, 0], atol=4)
    with pytest.raises(UsageError, match=r"\.jpg"):
        write_contact_sheet(shots, tmp_path / "s.bmp")
    with pytest.raises(UsageError):
        write_contact_sheet([], tmp_path / "s.png")


def test_curves_are_drawn_where_they_have_values() -> None:
    times = np.arange(1000) / 10
    values = times / 100
    values[300:400] = np.nan
    curves = [Curve("a <b>", times, values), Curve("flat", times[:50], np.zeros(50))]
    drawn = standalone(time_curves(curves, "progress"))
    parsed = minidom.parseString(drawn)
    assert parsed.documentElement is not None
    paths = re.findall(r'class="line (k\d+)".*?d="([^"]+)"', drawn)
    assert [style for style, _ in paths] == ["k0", "k0", "k1"]  # cut in two by the gap
    ends = [[float(v) for v in re.split("[ L]", path[1:])[:2]] for _, path in paths]
    assert ends[0] == [0, 1000]  # at the foot of the scale
    assert ends[1] == pytest.approx([400, 600], abs=2)
    assert "a &lt;b&gt;" in drawn
    assert max(path.count("L") for _, path in paths) < 400


def test_no_value_at_all_is_an_empty_drawing() -> None:
    drawn = time_curves([Curve("a", np.arange(3.0), np.full(3, np.nan))], "distance")
    assert 'class="line' not in drawn and "distance" in drawn
