"""Constraints in time: what is left obeys them, and is the best that does."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.config import parse
from actionspace.errors import ConfigError, DataError, UsageError
from actionspace.events.constraints import TemporalConstraints
from actionspace.events.table import Events

CLASSES = ("a", "b", "c")


def table(*rows: tuple[float, float, str, float], video: str = "v") -> pd.DataFrame:
    """Rows of start, end, label and score."""
    frame = pd.DataFrame(rows, columns=["start", "end", "label", "score"])
    return frame.assign(video=video)


def spans(rows: pd.DataFrame) -> list[tuple[float, float, str]]:
    return list(zip(rows["start"], rows["end"], rows["label"], strict=True))


events = st.lists(
    st.tuples(
        st.integers(0, 40).map(lambda n: n / 4),
        st.integers(0, 12).map(lambda n: n / 4),
        st.sampled_from(CLASSES),
        st.integers(1, 100).map(lambda n: n / 100),
    ).map(lambda e: (e[0], e[0] + e[1], e[2], e[3])),
    max_size=9,
)
limits = st.dictionaries(st.sampled_from((*CLASSES, "*")), st.integers(0, 8).map(lambda n: n / 4))
shares = st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0])
pairs = st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES))
rules = st.fixed_dictionaries(
    {
        "score_threshold": st.sampled_from([0.0, 0.3]),
        "merge_gap": limits,
        "merge_score": st.sampled_from(["max", "mean"]),
        "duration_range": st.dictionaries(
            st.sampled_from(CLASSES), st.sampled_from([(0.0, 1.5), (0.5, None), (0.25, 2.0)])
        ),
        "max_overlap_within": st.dictionaries(st.sampled_from(CLASSES), st.just(0.3)),
        "max_overlap_across": shares,
        "overlap_of": st.sampled_from(["union", "shorter"]),
        "min_gap": limits,
        "gap_between": st.sampled_from(["edges", "centres"]),
        "forbidden": st.lists(pairs, max_size=5),
        "order_overlap": st.booleans(),
    }
)


def overlap(a: Any, b: Any, of: str) -> float:
    shared = max(0.0, min(a.end, b.end) - max(a.start, b.start))
    lasting = [e.end - e.start for e in (a, b)]
    whole = min(lasting) if of == "shorter" else sum(lasting) - shared
    return shared / whole if whole > 0 else 0.0


def by_class(values: Any, name: str, none: float) -> float:
    return float(values.get(name, values.get("*", none)))


def obeys(rows: pd.DataFrame | list[Any], rule: TemporalConstraints) -> bool:
    """Look at every event and every pair, as slowly as the rules are worded."""
    told = list(rows.itertuples()) if isinstance(rows, pd.DataFrame) else rows
    told = sorted(told, key=lambda e: (e.start, e.end, e.label))
    for e in told:
        low, high = rule.duration_range.get(e.label, (0.0, None))
        if e.score < rule.score_threshold or not low <= e.end - e.start <= (high or np.inf):
            return False
    for a, b in itertools.combinations(told, 2):
        same, shared = a.label == b.label, overlap(a, b, rule.overlap_of)
        most = rule.max_overlap_within.get(a.label, 1.0) if same else rule.max_overlap_across
        if shared > (1.0 if most is None else most):
            return False
        between = max(b.start - a.end, a.start - b.end)
        if rule.gap_between == "centres":
            between = abs((a.start + a.end) / 2 - (b.start + b.end) / 2)
        needed = by_class(rule.min_gap, a.label, 0.0)
        if same and needed > 0 and between < needed:
            return False
    if not rule.ordered:
        return True
    return all(
        (a.label, b.label) not in rule.forbidden and (rule.order_overlap or a.end <= b.start)
        for a, b in itertools.pairwise(told)
    )


@settings(max_examples=100, deadline=None)
@given(events, rules)
def test_what_is_left_obeys_every_rule(given_: Any, rule: dict[str, Any]) -> None:
    constraints = TemporalConstraints.model_validate(rule)
    kept = constraints.applied(table(*given_))
    assert obeys(kept, constraints)
    again = constraints.applied(kept)
    assert spans(again) == spans(kept)


@settings(max_examples=60, deadline=None)
@given(events, st.lists(pairs, min_size=1, max_size=5), st.booleans())
def test_the_best_sequence_is_found(given_: Any, forbidden: Any, overlaps: bool) -> None:
    rule = TemporalConstraints(forbidden=forbidden, order_overlap=overlaps)
    rows = table(*given_[:7])
    told = list(rows.itertuples())
    best = max(
        sum(e.score for e in some)
        for n in range(len(told) + 1)
        for some in itertools.combinations(told, n)
        if obeys(list(some), rule)
    )
    assert rule.applied(rows)["score"].sum() == pytest.approx(best)


def test_a_removed_event_suppresses_nothing() -> None:
    rows = table((0, 9, "a", 0.9), (8, 10, "a", 0.8), (10.2, 12, "a", 0.7), (30, 31, "a", 0.1))
    rule = {"duration_range": {"a": (0, 5)}, "min_gap": {"a": 1.0}}
    assert spans(TemporalConstraints(**rule).applied(rows)) == [(8, 10, "a"), (30, 31, "a")]  # type: ignore[arg-type]
    fork = TemporalConstraints(**rule, max_overlap=1, compat="fork")  # type: ignore[arg-type]
    rows = table((0, 9, "a", 0.9), (4, 5.5, "a", 0.8))
    assert spans(fork.applied(rows)) == []
    assert len(TemporalConstraints(**rule).applied(rows)) == 1  # type: ignore[arg-type]


def test_gaps_are_of_a_class_and_a_video() -> None:
    rows = pd.concat(
        [
            table((0, 1, "a", 0.5), (1.4, 2, "a", 0.9), (1.5, 2, "b", 0.1), (2.5, 3, "a", 0.3)),
            table((1.4, 2, "a", 0.2), video="w"),
        ],
        ignore_index=True,
    )
    kept = TemporalConstraints.model_validate({"min_gap": {"a": 0.5}}).applied(rows)
    assert kept.index.tolist() == [1, 2, 3, 4]  # a gap of just 0.5 s is one
    centres = TemporalConstraints(min_gap={"*": 1.2}, gap_between="centres").applied(rows)
    assert centres.index.tolist() == [0, 1, 2, 4]


def test_merging_goes_by_all_that_came_before() -> None:
    rows = table((0, 10, "a", 0.5), (1, 2, "a", 0.9), (10.3, 11, "a", 0.4), (12, 13, "a", 0.1))
    rule = TemporalConstraints(merge_gap={"a": 0.5}, merge_score="mean")
    kept = rule.applied(rows)
    assert spans(kept) == [(0, 11, "a"), (12, 13, "a")]
    assert kept["score"].tolist() == pytest.approx([0.6, 0.1])
    assert kept.index.tolist() == [1, 3]  # it takes the place of the best of them


def test_overlap_rules_within_and_across_classes() -> None:
    rows = table((0, 10, "a", 0.9), (0, 8, "b", 0.8), (1, 10, "a", 0.7), (0, 4, "b", 0.6))
    within = TemporalConstraints(max_overlap_within={"a": 0.5})
    assert within.applied(rows).index.tolist() == [0, 1, 3]
    across = TemporalConstraints(max_overlap_across=0.5)
    assert across.applied(rows).index.tolist() == [0, 2, 3]
    assert TemporalConstraints(max_overlap=0.5).applied(rows).index.tolist() == [0, 3]
    shorter = TemporalConstraints(max_overlap=0.5, overlap_of="shorter")
    assert shorter.applied(rows).index.tolist() == [0]


def test_orders() -> None:
    rows = table(
        (0, 1, "a", 0.5), (2, 3, "c", 0.9), (4, 5, "b", 0.8), (6, 7, "c", 0.4), (8, 9, "a", 0.3)
    )
    rule = TemporalConstraints(order={"a": ["b"], "b": ["c"], "c": []})
    assert spans(rule.applied(rows)) == [(0, 1, "a"), (4, 5, "b"), (6, 7, "c")]
    only = TemporalConstraints(first=["b"])
    assert spans(only.applied(rows)) == [(4, 5, "b"), (6, 7, "c"), (8, 9, "a")]
    late = table((0, 1, "b", 0.9), (3, 4, "a", 0.2))
    assert spans(TemporalConstraints(first=["a"]).applied(late)) == [(3, 4, "a")]
    assert len(TemporalConstraints(first=["c"]).applied(late)) == 0
    moments = table((1, 1, "a", 0.5), (1, 1, "b", 0.5), (1, 2, "c", 0.5))
    assert len(TemporalConstraints(forbidden=[("a", "c")]).applied(moments)) == 3


def test_events_keep_what_rules_do_not_concern() -> None:
    rows = [
        {"id": "1", "video": "v", "start": 0, "end": 1, "label": "a", "score": 0.9},
        {"id": "2", "video": "v", "start": 1.2, "end": 2, "label": "a", "score": 0.5},
        {"id": "3", "video": "v", "start": 1.2, "end": 2, "label": "a", "status": "ignore"},
        {"id": "4", "video": "v", "label": "a"},
        {"id": "5", "video": "v", "start": 5, "end": 6, "label": "a"},
    ]
    made = Events.from_frames(rows)
    kept = TemporalConstraints(min_gap={"a": 1}).apply(made)
    assert kept.rows["id"].tolist() == ["1", "3", "4", "5"]
    assert np.isnan(kept.rows["score"]).tolist() == [False, True, True, True]
    assert TemporalConstraints().apply(made).equals(made)
    several = Events.from_frames([{"video": "v", "start": 0, "end": 1, "label": "a|b"}])
    with pytest.raises(DataError, match=r"has the labels 'a\|b'"):
        TemporalConstraints(min_gap={"a": 1}).apply(several)


def test_numbers_are_names_and_one_value_is_for_all() -> None:
    rule = TemporalConstraints(min_gap={0: 5.0}, duration_range=(1, None), forbidden=[(0, 1)])  # type: ignore[arg-type, dict-item, list-item]
    assert rule.min_gap == {"0": 5.0} and rule.duration_range == {"*": (1.0, None)}
    results = {"video-id": ["v"] * 2, "t-start": [0, 1], "t-end": [2, 2.5], "label": [0, 0]}
    told = rule.apply({**results, "score": np.array([0.2, 0.8])})
    assert told["video-id"] == ["v"] and told["t-start"].tolist() == [1]
    assert told["label"].dtype == np.int64
    with pytest.raises(UsageError, match="no 'score'"):
        rule.apply(results)


def test_what_a_merged_event_has_of_another_is_uncertain_no_more() -> None:
    rows = table((0, 1, "a", 0.9), (1, 3, "a", 0.5)).assign(start_std=0.1, end_std=[0.2, 0.3])
    merged = TemporalConstraints(merge_gap={"a": 0.5}).applied(rows)
    assert merged["start_std"].tolist() == [0.1] and np.isnan(merged["end_std"]).all()


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ({"duration_range": {"a": [5, 1]}}, "duration_range of 'a': the shortest duration, 5 s"),
        ({"min_gap": {"a": -1}}, "'min_gap.a' = -1"),
        ({"max_overlap": 1.2}, "'max_overlap' = 1.2"),
        ({"max_overlap": 0.2, "max_overlap_across": 0.5}, "max_overlap_across allows an overlap"),
        ({"max_overlap": 0.2, "max_overlap_within": 0.5}, "max_overlap_within of '*' allows"),
        ({"order": {"a": ["b"]}, "forbidden": [["a", "b"]]}, "order lets 'b' follow 'a'"),
        ({"first": ["a"], "order": {"a": ["a"], "b": ["a"]}}, "'b' can never occur"),
        ({"compat": "fork", "order": {"a": ["b"]}}, "compat=fork knows no order"),
        ({"min_gp": 3}, "Did you mean 'min_gap'?"),
    ],
)
def test_contradictions_are_named(given_: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse(TemporalConstraints, given_, "constraints")
    assert text in str(e.value)


def test_unknown_classes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"min_gap names an unknown class 'pek'\. Did you mean"):
        TemporalConstraints(min_gap={"pek": 1}).check(["peck", "preen"])
    with pytest.raises(ConfigError, match="'c' can never occur"):
        TemporalConstraints(first=["a"], order={"a": ["b"], "b": ["a"]}).check(CLASSES)
    TemporalConstraints(min_gap={"*": 1}, order={"a": ["b"]}, first=["c"]).check(CLASSES)


def test_rules_are_changed_one_by_one() -> None:
    rule = TemporalConstraints(min_gap={"a": 1, "b": 2}, max_overlap=0.5)
    changed = rule.changed({"min_gap": {"a": 3}})
    assert changed.min_gap == {"a": 3, "b": 2} and changed.max_overlap == 0.5
    assert rule.changed(None) is rule
    assert rule.changed({"min_gap": {}}) == rule.changed({"min_gap": None, "order": None})
    assert rule.changed({"min_gap": None}) == TemporalConstraints(max_overlap=0.5)
    with pytest.raises(ConfigError, match="Did you mean 'max_overlap'"):
        rule.changed({"max_overlp": 0.1})
