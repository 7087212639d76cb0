from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actionspace.report import figures_svg as fig
from actionspace.report.timeline_svg import Lane, Span, merge_spans, thin_curve, timeline


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@given(st.text())
def test_escaped_text_is_always_well_formed(text):
    root = parse(f'<svg a="{fig.esc(text)}">{fig.esc(text)}</svg>')
    assert root.get("a") == root.text or not text
    assert len(root) == 0


def test_shorten_keeps_both_ends():
    assert fig.shorten("abc", 5) == "abc"
    assert fig.shorten("public/rearing/cage2_6_22_0.mkv", 12) == "public/….mkv"
    assert len(fig.shorten("x" * 99, 22)) == 22


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599.6, "1:00:00"), (36_061, "10:01:01")]
)
def test_clock(seconds, text):
    assert fig.clock(seconds) == text


def test_clock_with_tenths_carries():
    assert fig.clock(59.96, tenths=True) == "1:00.0"
    assert fig.clock(1.25, tenths=True) in ("0:01.2", "0:01.3")


def test_span_text():
    assert fig.span_text(4.24) == "4.2 s"
    assert fig.span_text(200) == "3 min 20 s"
    assert fig.span_text(7500) == "2 h 05 min"


@given(st.floats(0.01, 1e7))
def test_ticks_are_few_even_and_inside(duration):
    ticks = fig.time_ticks(duration)
    assert 1 <= len(ticks) <= 11
    assert ticks[0] == 0 and ticks[-1] <= duration * (1 + 1e-6)
    if duration >= 0.2:
        assert len(ticks) >= 2
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0] if len(steps) else 0)


def test_interval_bar_places_value_band_and_chance():
    svg = fig.interval_bar(0.62, 0.5, 0.7, 0.25)
    assert 'cx="62%"' in svg
    assert 'x="50%"' in svg and 'width="20%"' in svg
    assert 'x1="25%"' in svg
    bare = fig.interval_bar(62, stop=100)
    assert 'cx="62%"' in bare and "band" not in bare and "chance" not in bare


def test_stacked_bar_adds_up():
    parts = [fig.Part("a", 0.25, 0, "a"), fig.Part("b", 0.5, 13, "b <c>")]
    root = parse(fig.stacked_bar(parts, "shares"))
    rects = root.findall("rect")[1:]
    assert [r.get("x") for r in rects] == ["0%", "25%"]
    assert rects[1].get("class") == "k1"  # colours come around again
    assert rects[1].find("title").text == "b <c>"


def test_confusion_matrix_counts_and_strengths():
    counts = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    root = parse(fig.confusion_matrix(counts, ["a", "b", "<c>"], summary="s"))
    titles = [g.find("title").text for g in root.findall("g")]
    assert titles[:3] == [
        "3 of 4 a clips named a (75%)",
        "1 of 4 a clips named b (25%)",
        "0 of 4 a clips named <c> (0%)",
    ]
    assert titles[8] == "no <c> clips"
    kinds = [r.get("class") for r in root.iter("rect") if r.get("class") != "empty"]
    assert kinds == ["hit", "miss", "hit"]
    shown = [t.text for t in root.iter("text") if t.get("class") == "count"]
    assert shown == ["3", "1", "4", "0"]


@pytest.mark.parametrize("n", [2, 20, 40])
def test_confusion_matrix_of_many_classes_fits(n):
    root = parse(fig.confusion_matrix(np.eye(n, dtype=int), [f"class_{i}" for i in range(n)]))
    width, height = float(root.get("width")), float(root.get("height"))
    for rect in root.iter("rect"):
        assert float(rect.get("x")) + float(rect.get("width")) <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height
    assert bool(next(root.iter("g")).findall("text")) == (n <= 24)


def spans(pairs, label="a"):
    return [Span(a, b, label, 0) for a, b in pairs]


def test_merge_spans_bridges_the_smallest_gaps_first():
    found = merge_spans(spans([(0, 1), (1.1, 2), (5, 6), (9, 10)]), 3)
    assert [(s.start, s.end, s.count) for s in found] == [(0, 2, 2), (5, 6, 1), (9, 10, 1)]


@given(
    st.lists(
        st.tuples(st.floats(0, 1e4), st.floats(0, 5), st.sampled_from("ab")),
        min_size=1,
        max_size=80,
    ),
    st.integers(1, 30),
)
def test_merge_spans_never_exceeds_and_loses_no_bout(items, most):
    given_spans = [Span(a, a + d, x, 0) for a, d, x in items]
    found = merge_spans(given_spans, most)
    assert 1 <= len(found) <= max(most, 1)
    assert sum(s.count for s in found) == len(given_spans)


def test_thin_curve_keeps_peaks():
    values = np.zeros(10_000)
    values[4321] = 1.0
    times, thin = thin_curve(np.arange(10_000.0), values, 100)
    assert len(times) == 100 and thin.max() == 1.0 and times[thin.argmax()] == 4321


def test_timeline_positions_titles_and_strip():
    lane = Lane(
        "rearing",
        (Span(10, 30, "rearing", 3, 0.9),),
        (Span(10, 20, "rearing", 3), Span(50, 50, "rearing", 3)),
        3,
        (np.arange(0.0, 100.0), np.linspace(0, 1, 100)),
    )
    root = parse(timeline([lane], 100, differs=[(20, 30)], summary="one lane"))
    assert root.get("aria-label") == "one lane"
    marks = {r.get("class"): r for r in root.iter("rect")}
    assert (marks["pred k3"].get("x"), marks["pred k3"].get("width")) == ("10%", "20%")
    assert (marks["differs"].get("x"), marks["differs"].get("width")) == ("20%", "10%")
    title = marks["pred k3"].find("title").text
    assert title == "rearing · predicted · 0:10.0 – 0:30.0 (20.0 s), score 0.90"
    points = [x for x in root.iter("line") if x.get("class") == "truth k3"]
    assert points[0].get("x1") == points[0].get("x2") == "50%"
    assert "rearing · truth · at 0:50.0" in points[0].find("title").text
    assert root.find("svg/path").get("d").endswith("Z")


def test_timeline_of_a_crowd_is_bounded():
    many = tuple(spans([(i, i + 0.5) for i in range(0, 36_000, 2)]))
    svg = timeline([Lane("a", many, many, 0)], 36_000)
    assert len(re.findall("<rect", svg)) <= 810
    assert "bouts</title>" in svg


def test_a_curve_breaks_where_there_is_no_score():
    values = np.array([0.1, 0.2, np.nan, 0.3, 0.4])
    svg = timeline([Lane("a", (), None, 0, (np.arange(5.0), values))], 5)
    assert len(re.findall(r"M[\d.]+ 100", svg)) == 2


def test_an_empty_timeline():
    assert len(parse(timeline([], 0.0))) >= 1
