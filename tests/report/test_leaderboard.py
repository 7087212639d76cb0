"""The page of a leaderboard."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actionspace.report.leaderboard import view, write_leaderboard
from actionspace.report.leaderboard_svg import Curve, Dot, cost_chart, shots_chart


def make_board(**more: Any) -> dict[str, Any]:
    """Two encoders, one of them with random weights and a name that is markup."""

    def row(encoder: str, head: str, value: float, gmacs: float, apart: bool) -> dict[str, Any]:
        return {
            "encoder": encoder,
            "head": head,
            "mean_class_accuracy": value,
            "mean_class_accuracy_ci": [value - 0.1, value + 0.1],
            "top1_accuracy": value,
            "behind_best": value - 0.8,
            "behind_best_ci": [value - 0.9, value - 0.75],
            "apart_from_best": apart,
            "fit_seconds": 1.0,
            "gmacs": gmacs,
            "random_weights": encoder != "good",
        }

    def facts(encoder: str, gmacs: float) -> dict[str, Any]:
        return {
            "encoder": encoder,
            "random": encoder != "good",
            "clip": "16 frames",
            "gmacs": gmacs,
            "clips_per_second": float("nan"),
            "device": "cpu",
            "parameters": 1e6,
            "dim": 8,
            "store_bytes": 1e6,
            "licence": "",
        }

    points = [{"shots": n, "value": 0.3 + n / 50, "interval": [0.2, 0.7]} for n in (1, 2, 10)]
    return {
        "rows": [
            row("good", "ridge", 0.8, 10.0, False),
            row("good", "knn", 0.7, 10.0, False),
            row("<b>bad", "knn", 0.4, 0.5, True),
        ],
        "encoders": [facts("good", 10.0), facts("<b>bad", 0.5)],
        "failed": {"big": "its weights are not here"},
        "left_out": {},
        "few_shot": [{"encoder": "good", "head": "ridge", "points": points}],
        "protocol": {
            "how": "5 grouped folds",
            "classes": ["a", "b"],
            "events": 40,
            "groups": 9,
            "chance": 0.5,
            "draws": 5,
        },
        "notes": ["Something to know."],
        "command": "actionspace train linear_probe encoder=good",
        "command_note": "Trains a linear classifier.",
        **more,
    }


def test_the_page_holds_everything_and_asks_nobody(tmp_path: Path) -> None:
    page = write_leaderboard(tmp_path, make_board()).read_text(encoding="utf-8")
    for text in (
        "80.0",
        "-40.0",
        "5 grouped folds",
        "its weights are not here",
        "actionspace train linear_probe encoder=good",
        "Something to know.",
        "1 of the 2 others",
        "labels per class",
        "&lt;b&gt;bad",
        "not stated",
        "random weights",
    ):
        assert text in page, text
    assert "<b>bad" not in page and "nan" not in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)


def test_what_was_not_measured_leaves_no_chart(tmp_path: Path) -> None:
    board = make_board(few_shot=[])
    for row in board["rows"]:
        row["gmacs"] = float("nan")
        row["mean_class_accuracy_ci"] = [float("nan"), float("nan")]
    page = write_leaderboard(tmp_path, board).read_text(encoding="utf-8")
    assert 'id="cost"' not in page and 'id="few"' not in page


def test_an_encoder_is_drawn_at_its_best_head() -> None:
    shown = view(make_board())
    assert [(dot.name, dot.value, dot.hollow) for dot in shown.costs] == [
        ("good, ridge", 0.8, False),
        ("<b>bad, knn", 0.4, True),
    ]
    assert shown.tied == 1


def circles(svg: str) -> list[tuple[float, float]]:
    found = re.findall(r'<circle class="[^"]+" cx="([\d.]+)%" cy="([\d.]+)"', svg)
    return [(float(x), float(y)) for x, y in found]


def test_dearer_is_further_right_better_is_higher_and_equals_lie_side_by_side() -> None:
    dots = [
        Dot("a", 1.0, 0.5, 0.4, 0.6, 0),
        Dot("b", 1.0, 0.7, None, None, 1),
        Dot("c", 100.0, 0.9, 0.8, 1.0, 2, hollow=True),
    ]
    svg = cost_chart(dots, 0.25, "GMACs")
    a, b, c = circles(svg)
    assert a[0] < b[0] < c[0] and b[0] - a[0] == pytest.approx(1.4, abs=0.01)
    assert a[1] > b[1] > c[1]
    assert svg.count('<line class="k') == 2  # whiskers where there are intervals


def test_charts_side_by_side_share_their_scale() -> None:
    def curve(value: float) -> Curve:
        return Curve("x", 0, tuple(Dot("x", n, value, value, value, 0) for n in (1, 5, 20)))

    low, high = curve(0.3), curve(0.9)
    alone = circles(shots_chart([low], 0.2))
    beside = circles(shots_chart([low], 0.2, [low, high]))
    assert [x for x, _ in alone] == [x for x, _ in beside] and alone[0][1] < beside[0][1]
    assert beside[1][0] - beside[0][0] == pytest.approx(beside[2][0] - beside[1][0], abs=0.01)
