"""The demo of alignment on a few small videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace.alignment.timemap import TimeMap
from actionspace.demo.align import FEW, SETTINGS, chance, handed_on, run_align, stretched
from actionspace.errors import ActionspaceError
from actionspace.events.table import Events
from actionspace.features.track import Track
from actionspace.video.index import frame_index


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZE": (64, 48), "LASTING": (0.2, 0.4)}.items():
        monkeypatch.setattr(f"actionspace.demo.pouring_videos.{name}", value)
    settings = (*SETTINGS, "training.epochs=1")
    monkeypatch.setattr("actionspace.demo.align.SETTINGS", settings)


@pytest.mark.usefixtures("quick")
def test_the_tour_leaves_what_it_tells_of(tmp_path: Path) -> None:
    found = run_align(tmp_path / "demo", {"train": 2, "test": 2})
    said = found.summary()
    for name in ("kendall_tau", "phase_accuracy", FEW, "retrieval_ap@5"):
        for value in (found.metrics[name], found.metrics["raw_features"][name]):
            assert value is None or f"{value:.2f}" in said
    assert found.metrics["phase_accuracy"] is not None
    assert found.report.is_file()
    assert 0 <= found.handed_on <= 1 and 0 < found.stretched < 1
    made = {path.name for path in found.alignment.iterdir()}
    assert made >= {"time_map.csv", "phases.csv", "curves.csv", "progress.svg", "side_by_side.mp4"}
    shown = frame_index(found.alignment / "side_by_side.mp4")
    assert len(shown) == len(frame_index(found.out / "videos" / "test_01.mp4"))


def test_other_peoples_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ActionspaceError, match="holds other files"):
        run_align(tmp_path)


def phased(**cuts: float) -> Events:
    """Videos of 10 s, in each phase a to the cut and phase b after it."""
    rows = [
        {"video": video, "start": start, "end": end, "phase": phase}
        for video, cut in cuts.items()
        for phase, start, end in (("a", 0.0, cut), ("b", cut, 10.0))
    ]
    return Events.from_frames(rows, heads=("phase",))


def test_chance_follows_from_how_long_phases_last() -> None:
    found = chance(phased(x=8.0, y=6.0))
    assert found["kendall_tau"] == 0
    assert found["phase_accuracy"] == pytest.approx(0.7)
    assert found["retrieval_ap@5"] == pytest.approx(0.7**2 + 0.3**2)


def test_phases_handed_on_are_right_where_the_map_is() -> None:
    times = np.arange(0.05, 10, 0.1)
    x, y, z = (Track.of(name, np.ones((len(times), 1)), times, 10.0) for name in "xyz")
    right, also = (
        TimeMap(each, x, np.interp(times, [0, cut, 10], [0, 8, 10]), np.zeros(len(times)))
        for each, cut in ((y, 4), (z, 2))
    )
    truth = phased(x=8.0, y=4.0, z=2.0)
    assert handed_on(truth, [right, also]) == pytest.approx(1.0)
    even = [stretched(right), stretched(also)]
    assert np.allclose(even[0].times, times), "both last as long"
    assert handed_on(truth, even) == pytest.approx(0.5), "4 to 8 s and 2 to 8 s are wrong"
