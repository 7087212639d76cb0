"""The report of embeddings: maps that hold every point, measures beside, damage told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.alignment.infer import Embedded
from actionspace.alignment.overview import MOST_POINTS, overview
from actionspace.errors import ActionspaceError, DataError
from actionspace.events.table import Events
from actionspace.report.alignment_view import NAME, alignment_view, write_overview
from actionspace.report.context import gather
from actionspace.report.embedding_map import planar_map
from actionspace.report.embedding_map_svg import HEIGHT, SIDE, Dots, embedding_map
from actionspace.report.html import write_report
from tests.alignment import phased

METRICS: dict[str, Any] = {
    "kendall_tau": 0.9,
    "phase_accuracy": 0.75,
    "phase_classification@1": 0.75,
    "progression_r2": None,
    "raw_features": {"kendall_tau": 0.5, "phase_accuracy": 0.8, "phase_classification@1": 0.8},
    "videos": {"test": 4},
    "protocol": {"split": "test"},
    "notes": ["something was <left> out"],
}


def embedded(folder: Path, videos: int, width: int, noise: float = 0.01) -> Embedded:
    """Embeddings that run along an arc in all videos, at their own speeds."""
    random = np.random.default_rng(width)
    found = Embedded()
    for k in range(videos):
        rows = 30 + 7 * k
        share = np.linspace(0, 1, rows) ** (0.6 + 0.2 * k)
        values = np.zeros((rows, width), np.float32)
        values[:, 0], values[:, 1] = np.cos(3 * share), np.sin(3 * share)
        values += noise * random.standard_normal(values.shape).astype(np.float32)
        edges = np.arange(rows + 1) / phased.FPS
        found.videos.append(f"v{k:02d}")
        found.embeddings.append(values)
        found.times.append(np.stack([edges[:-1], edges[1:]], axis=1))
    return found


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return phased.make(tmp_path / "data", videos=4, lengths=[30, 37, 44, 51])


def run_of(folder: Path, values: dict[str, Any], metrics: dict[str, Any] = METRICS) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    write_overview(folder, values)
    return folder


def test_the_page_shows_what_was_measured(events: Events, tmp_path: Path) -> None:
    held, raw = embedded(tmp_path, 4, 8), embedded(tmp_path, 4, 5, noise=0.5)
    values = overview(held, raw, events, phased.recipe(), phased.PHASES)
    assert values["tau"]["learnt"]["mean"] > values["tau"]["raw"]["mean"]
    assert len(values["progress"]) == len(values["phase_progress"]) == 3
    run = run_of(tmp_path / "run", values)
    page = write_report(run, events=events).read_text(encoding="utf-8")
    for phase in phased.PHASES:
        assert page.count(f"</span>{phase}</li>") == 2  # a legend for each of two maps
    assert page.count('<svg class="map"') == 4
    assert "something was &lt;left&gt; out" in page
    assert "Most confident mistakes" not in page
    assert "Kendall’s tau of 0.90 (0.50 for the features that went in)" in page
    view = alignment_view(run, METRICS)
    assert view is not None
    told = {m.learnt.name: m.gain for m in view.measures}
    assert told == {"Kendall’s tau": "+0.40", "Phase accuracy": "-5.0"}  # each figure once
    assert view.reference in values["videos"]
    assert (run / "report.html").stat().st_size < 300_000


def test_a_map_has_as_many_dots_as_points_all_within(events: Events, tmp_path: Path) -> None:
    held = embedded(tmp_path, 4, 8)
    values = overview(held, None, events, phased.recipe(), phased.PHASES)
    view = alignment_view(run_of(tmp_path / "run", values), METRICS)
    assert view is not None
    (one,) = view.maps
    rows = sum(map(len, held.embeddings))
    for groups in (one.by_time, one.by_phase):
        svg = embedding_map(groups, "all")
        dots = [(int(x), int(y)) for x, y in re.findall(r"M(-?\d+) (-?\d+)h0", svg)]
        assert len(dots) == rows
        assert all(0 <= x <= SIDE and 0 <= y <= HEIGHT for x, y in dots)


def test_names_that_would_meet_are_left_out() -> None:
    far, near = np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[9.0, 0.1]])
    apart = embedding_map([Dots("k0", "one", far[:1], True), Dots("k1", "two", far[1:], True)], "")
    assert apart.count("mapname") == 2
    meet = [Dots("k0", "one", far[1:], True), Dots("k1", "<b>", near, True)]
    svg = embedding_map([*meet, Dots("k2", "three", far[:1], True)], "")
    assert re.findall(r'class="mapname"[^>]*>(\w+)<', svg) == ["three"]
    assert "<title>&lt;b&gt;</title>" in svg


def test_many_points_and_many_phases_stay_small(tmp_path: Path) -> None:
    edges = np.arange(4001) / 10
    times = np.stack([edges[:-1], edges[1:]], axis=1)
    rows = np.random.default_rng(0).standard_normal((4000, 6)).astype(np.float32)
    held = Embedded([f"v{k}" for k in range(2)], [rows, rows[::-1]], [times, times])
    names = [f"element {k}" for k in range(40)]
    table = [
        {"video": v, "phase": name, "start": 10.0 * k, "end": 10.0 * (k + 1)}
        for v in held.videos
        for k, name in enumerate(names)
    ]
    events = Events.from_frames(table, [{"video": v} for v in held.videos], tmp_path, ("phase",))
    values = overview(held, None, events, phased.recipe(), names)
    assert len(values["rows"]["time"]) == MOST_POINTS
    view = alignment_view(run_of(tmp_path / "run", values), METRICS)
    assert view is not None
    assert len(view.maps[0].by_phase) == 13  # as many as there are colours, and the rest
    assert view.maps[0].others


def test_without_phases_and_with_one_video(events: Events, tmp_path: Path) -> None:
    alone = embedded(tmp_path, 1, 4)
    values = overview(alone, None, events, phased.recipe(), ())
    run = run_of(tmp_path / "run", values)
    view = alignment_view(run, METRICS)
    assert view is not None
    assert not view.maps[0].by_phase
    assert not view.progress
    assert "there is none it could be told by" in write_report(run).read_text(encoding="utf-8")


def test_a_phase_that_training_did_not_know(events: Events, tmp_path: Path) -> None:
    values = overview(embedded(tmp_path, 3, 4), None, events, phased.recipe(), ("reach", "lift"))
    assert values["phases"] == []
    assert "none of the classes" in values["notes"][0]


def test_constant_embeddings_are_a_map_of_one_place(events: Events, tmp_path: Path) -> None:
    held = embedded(tmp_path, 3, 4)
    held.embeddings = [np.zeros_like(rows) for rows in held.embeddings]
    values = overview(held, None, events, phased.recipe(), phased.PHASES)
    assert values["tau"]["learnt"]["undefined"] == 6
    assert values["tau"]["learnt"]["quartiles"] is None
    assert not values["progress"]
    assert "could not be told" in values["notes"][0]
    write_report(run_of(tmp_path / "run", values))


def test_only_the_most_frequent_kind_is_shown(tmp_path: Path) -> None:
    held = embedded(tmp_path, 4, 4)
    kinds = dict(zip(held.videos, ["squat", "bowl", "squat", "squat"], strict=True))
    rows = [{"video": video, "action": kind} for video, kind in kinds.items()]
    events = Events.from_frames(rows, [{"video": v} for v in kinds], tmp_path, ("action",))
    values = overview(held, None, events, phased.recipe(evaluation={"by": "action"}), ())
    assert values["videos"] == ["v00", "v02", "v03"]
    assert (values["kind"], values["of"]) == ("squat", 4)


def test_umap_is_asked_for_and_not_there(events: Events, tmp_path: Path) -> None:
    try:
        import umap  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        rows = np.random.default_rng(0).standard_normal((40, 4))
        with pytest.raises(ActionspaceError, match=r"pip install umap-learn"):
            planar_map(rows, np.arange(40), "umap")
        recipe = phased.recipe(evaluation={"map": "umap"})
        values = overview(embedded(tmp_path, 4, 4), None, events, recipe, phased.PHASES)
        assert values["method"] == "pca"
        assert "shows principal components instead" in values["notes"][0]


def test_principal_components_are_those_of_the_covariance() -> None:
    random = np.random.default_rng(3)
    rows = random.standard_normal((200, 5)) * [5, 3, 1, 0.5, 0.1]
    found = planar_map(rows, rows[:, 0], "pca")
    strengths = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[::-1]
    assert found.points.var(axis=0) == pytest.approx(strengths[:2])
    assert found.shares == pytest.approx(tuple(strengths[:2] / strengths.sum()))
    assert np.corrcoef(found.points[:, 0], rows[:, 0])[0, 1] > 0.9  # grows to the right


def test_a_damaged_overview_is_told(events: Events, tmp_path: Path) -> None:
    values = overview(embedded(tmp_path, 3, 4), None, events, phased.recipe(), ())
    run = run_of(tmp_path / "run", values)
    del values["maps"]
    write_overview(run, values)
    with pytest.raises(DataError, match=r"overview\.json is damaged"):
        alignment_view(run, METRICS)
    context = gather(run, [], None, None, None)
    assert context.alignment is None
    assert any("map of embeddings is not shown" in warning for warning in context.warnings)
    (run / NAME).unlink()
    assert alignment_view(run, METRICS) is None
