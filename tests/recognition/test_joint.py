"""Several columns in one table, one loss and one judgement: each column as it would be alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from actionspace.errors import DataError
from actionspace.events.table import Events
from actionspace.metrics.epic import recognition_metrics
from actionspace.recognition import data as manifest
from actionspace.recognition.columns import JointTargets
from actionspace.recognition.head_model import HeadLoss
from actionspace.recognition.head_task import Truth, Validation
from actionspace.recognition.joint import joint_metrics
from actionspace.recognition.joint_loss import JointLoss
from actionspace.recognition.joint_validation import JointValidation
from actionspace.recognition.recipe import HeadConfig
from actionspace.training.augment.mixing import Mix, mix_targets

LABELS = {
    "verb": ["cut", "cut", "wash", None, "cut", "open", "wash", None, "open", "cut"],
    "noun": ["egg", "jar", None, "egg", "jar", "egg", "jar", None, "egg", "egg"],
    "tool": ["hand", "hand|knife", None, "knife", None, "hand", "hand", "knife", None, "knife"],
}
"""Ten events; the tools are several, some labels are missing, one event has none but a tool."""
N = 10


def events() -> Events:
    rows = [
        {"video": f"{i}.mp4", **{column: labels[i] for column, labels in LABELS.items()}}
        for i in range(N)
    ]
    return Events.from_frames(pd.DataFrame(rows), [], heads=tuple(LABELS))


def joint(*columns: str) -> JointTargets:
    return JointTargets({column: manifest.targets(events(), column) for column in columns})


def test_a_table_holds_each_column():
    targets = joint(*LABELS)
    table = targets.of(events())
    assert table.shape == (N, 3 + 2 + 2 + 3) and targets.classes[:3] == ["cut", "open", "wash"]
    for column, told in targets.each.items():
        values, known = targets.split(table, column)
        assert known.tolist() == [label is not None for label in LABELS[column]]
        np.testing.assert_array_equal(values, told.values)
        assert not table[~known][:, targets.part(column)].any()
    ignored = events()
    ignored.rows.loc[0, "status"] = "ignore"
    assert not targets.of(ignored)[0].any()


def losses(config: HeadConfig, *columns: str) -> tuple[JointLoss, Tensor, Tensor]:
    targets = joint(*columns)
    table = targets.of(events())
    torch.manual_seed(0)
    logits = torch.randn(N, len(targets.classes))
    return JointLoss(table, targets, config), logits, torch.from_numpy(table)


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_column_is_the_mean_over_its_labelled_events(class_weight: Any, smoothing: float):
    config = HeadConfig(class_weight=class_weight, label_smoothing=smoothing)
    loss, logits, table = losses(config, *LABELS)
    found = loss.parts(logits, table)
    alone = {}
    for column, told in joint(*LABELS).each.items():
        z, at = logits[:, joint(*LABELS).part(column)], manifest.use(events(), column)
        own = HeadLoss(told.values[at], len(told.classes), config)
        alone[column] = own(z[at], torch.from_numpy(told.values[at]))
        torch.testing.assert_close(found[f"{column}_loss"], alone[column])
        for name, value in own.parts(z[at], torch.from_numpy(told.values[at])).items():
            torch.testing.assert_close(found[f"{column}_{name}"], value)
    torch.testing.assert_close(found["loss"], torch.stack([*alone.values()]).mean())
    assert loss(logits, table) == found["loss"]


@given(cuts=st.lists(st.integers(1, N - 1), max_size=4, unique=True))
@settings(max_examples=8, deadline=None)
def test_parts_of_a_step_add_up(cuts: list[int]):
    """Also where a part has not one label of a column; and so do their gradients."""
    config = HeadConfig(label_smoothing=0.1)
    loss, logits, table = losses(config, *LABELS)
    logits.requires_grad_(True)
    whole = loss(logits, table)
    [wanted] = torch.autograd.grad(whole, logits)
    edges = [0, *sorted(cuts), N]
    parts = [(b - a) / N * loss(logits[a:b], table[a:b]) for a, b in pairwise(edges)]
    total = torch.stack(parts).sum()
    torch.testing.assert_close(total, whole)
    torch.testing.assert_close(torch.autograd.grad(total, logits)[0], wanted)


def test_the_baseline_of_epic():
    """0.5 (verb + noun), where every segment has both."""
    targets = joint("verb", "noun")
    table = targets.of(events())
    full = table[:, -2:].all(axis=1)
    loss = JointLoss(table[full], targets, HeadConfig(class_weight="none"))
    logits = torch.randn(int(full.sum()), 5)
    verb, noun = (
        torch.from_numpy(targets.split(table[full], column)[0]) for column in ("verb", "noun")
    )
    expected = functional.cross_entropy(logits[:, :3], verb)
    expected = 0.5 * (expected + functional.cross_entropy(logits[:, 3:], noun))
    torch.testing.assert_close(loss(logits, torch.from_numpy(table[full])), expected)


@pytest.mark.parametrize("share", [1.0, 0.7, 0.0])
def test_mixed_clips_mix_their_losses(share: float):
    """A clip mixed with one that lacks a label counts as much as there is of it."""
    loss, logits, table = losses(HeadConfig(label_smoothing=0.1), *LABELS)
    partner = np.roll(np.arange(N), 1)
    kept = np.full(N, share, np.float32)
    mix = Mix(partner, kept, np.zeros((N, 4), np.int64))
    mixed = mix_targets(table, mix, kept, table.shape[1])
    found = loss(logits, mixed)
    expected = share * loss(logits, table) + (1 - share) * loss(logits, table[partner])
    torch.testing.assert_close(found, expected)


def test_a_column_without_labels_is_refused():
    targets = joint("verb", "noun")
    table = targets.of(events())[[2, 6]][:1]  # wash, no noun
    with pytest.raises(DataError, match="No training event has a 'noun'"):
        JointLoss(table, targets, HeadConfig())


def test_judged_as_each_alone_and_together():
    """Two views per event, in any order; action measures are those of EPIC-KITCHENS-100."""
    targets = joint("verb", "noun")
    event = np.repeat(np.arange(N), 2)
    table, weight = targets.of(events())[event], np.full(2 * N, 0.5)
    logits = np.random.default_rng(0).normal(0, 2, (2 * N, 5)).astype(np.float32)
    none: Any = None
    judge = JointValidation(none, Truth(table, weight, event), targets, "prob")
    order = np.random.default_rng(1).permutation(2 * N)
    found = judge.judge(order, logits[order])
    assert next(iter(found.metrics)) == "joint_score"
    scored: dict[str, Any] = {}
    for column, told in targets.each.items():
        values, known = targets.split(table, column)
        one = Validation(none, Truth(values, weight, event), told.classes, "prob")
        at = np.flatnonzero(known)
        z = logits[at][:, targets.part(column)]
        for name, value in one.judge(at, z).metrics.items():
            assert found.metrics[f"{column}_{name}"] == pytest.approx(value)
        scored[column] = one.averaged(at, z)
    lead = [found.metrics[f"{column}_top1_accuracy"] for column in targets.each]
    assert found.metrics["joint_score"] == np.mean(lead)
    both = np.intersect1d(scored["verb"][0], scored["noun"][0])
    p, y = ([scored[c][i][np.isin(scored[c][0], both)] for c in ("verb", "noun")] for i in (1, 2))
    expected = recognition_metrics(np.log(p[0]), np.log(p[1]), *y)
    for name in ("action_top1_accuracy", "action_top5_accuracy"):
        assert found.metrics[name] == expected[name]
    assert set(found.images) == {"verb_confusion", "noun_confusion"}


def test_other_columns_are_right_together():
    values, truth = np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 2])
    scores = (np.arange(4), values, truth)
    found = joint_metrics({"who": scores, "what": (np.arange(1, 4), values[1:], truth[1:])})
    assert found == {"joint_top1_accuracy": pytest.approx(2 / 3)}
    assert joint_metrics({"who": scores, "what": (np.arange(4), values, values > 0)}) == {}
