"""Many attentive probes at once, and the choice among them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from actionspace.errors import DataError, UsageError
from actionspace.heads import attentive_fit
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_fit import AttentiveFit, fit_attentive
from actionspace.heads.attentive_many import ManyProbes

SMALL = AttentiveConfig(depth=1, num_heads=2, mlp_ratio=2)
LRS, DECAYS = [1e-2, 1e-3, 3e-3], [0.1, 0.01, 0.8]


def _named(logits: Any) -> dict[str, torch.Tensor]:
    return logits if isinstance(logits, dict) else {"label": logits}


@pytest.mark.parametrize("classes", [5, {"verb": 3, "noun": 4, "action": 3}])
@pytest.mark.parametrize(
    "options",
    [
        {"depth": 1},
        {"depth": 1, "complete_block": False},
        {"depth": 3},
        {"depth": 2, "complete_block": False, "qkv_bias": False},
    ],
)
def test_at_once_is_one_after_the_other(classes: Any, options: dict[str, Any]) -> None:
    """The peer is the plain probe with torch's own AdamW; float64 leaves rounding no say."""
    torch.manual_seed(0)
    config = AttentiveConfig.model_validate({"num_heads": 4, **options})
    start = AttentiveProbe(16, classes, config).double()
    for p in start.parameters():
        p.data += 0.1 * torch.randn(p.shape, dtype=p.dtype)
    x, y = torch.randn(30, 6, 16).double(), torch.randint(0, 3, (30,))
    many = ManyProbes(start, config, LRS, DECAYS)
    plain = [copy.deepcopy(start) for _ in LRS]
    optimizers = [
        torch.optim.AdamW(probe.parameters(), lr=lr, weight_decay=decay)
        for probe, lr, decay in zip(plain, LRS, DECAYS, strict=True)
    ]
    for step in range(6):
        rows, share = slice(5 * step, 5 * step + 5), 1 - step / 6
        truth = y[rows].repeat(len(LRS))
        logits = many(x[rows]).values()
        losses = [F.cross_entropy(of.flatten(0, 1), truth, reduction="sum") / 5 for of in logits]
        many.step(torch.stack(losses).sum(), share)
        for probe, optimizer, lr in zip(plain, optimizers, LRS, strict=True):
            optimizer.param_groups[0]["lr"] = lr * share
            optimizer.zero_grad()
            own = [F.cross_entropy(of, y[rows]) for of in _named(probe(x[rows])).values()]
            torch.stack(own).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.no_grad():
        together = many(x)
        for k, probe in enumerate(plain):
            for name, expected in _named(probe(x)).items():
                torch.testing.assert_close(together[name][k], expected, atol=1e-8, rtol=0)
            for name, value in _named(many.probe(k).double()(x)).items():
                torch.testing.assert_close(together[name][k], value, atol=1e-5, rtol=0)
    changed = [p - q for p, q in zip(plain[0].parameters(), start.parameters(), strict=True)]
    assert all(bool(c.abs().max() > 1e-4) for c in changed)


def _marked(rows: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """One token of five, never the same, is the mark of a class; the others are noise."""
    rng = np.random.default_rng(seed)
    marks = np.random.default_rng(99).normal(size=(classes, 8))
    x = 0.1 * rng.normal(size=(rows, 5, 8))
    y = rng.integers(0, classes, rows)
    x[np.arange(rows), rng.integers(0, 5, rows)] += marks[y]
    return x.astype(np.float16), y


def _fit(**options: Any) -> AttentiveFit:
    (x, y), (xv, yv) = _marked(120, 0), _marked(60, 1)
    given = {"x_train": x, "y_train": y, "x_val": xv, "y_val": yv, "classes": 3} | options
    usual = {"config": SMALL, "epochs": 12, "batch_size": 16, "progress": False}
    return fit_attentive(**(usual | given))


def test_the_best_on_validation_is_kept() -> None:
    found = _fit(lrs=[1e-6, 3e-2], weight_decays=[0.1])
    assert [t["chosen"] for t in found.trials] == [False, True]
    assert [(t["lr"], t["weight_decay"]) for t in found.trials] == [(1e-6, 0.1), (3e-2, 0.1)]
    x, y = _marked(60, 1)
    right = float((found.scores(x).argmax(1) == y).mean())
    assert right > 0.9 and found.trials[1]["accuracy"] == pytest.approx(right, abs=0.1)
    assert found.trials[1]["loss"] < found.trials[0]["loss"]
    probabilities = torch.from_numpy(found.scores(x)).softmax(1)
    loss = F.nll_loss(probabilities.log(), torch.from_numpy(y)).item()
    assert found.trials[1]["loss"] == pytest.approx(loss, abs=1e-4)


def test_rounds_and_repeats_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    grid: dict[str, Any] = {"lrs": [1e-3, 1e-2], "weight_decays": [0.1, 0.5], "epochs": 2}
    one = _fit(**grid)
    monkeypatch.setattr(attentive_fit, "BUDGET", 1.0)  # one probe at a time
    two = _fit(**grid)
    x, _ = _marked(20, 2)
    np.testing.assert_allclose(one.scores(x), two.scores(x), atol=1e-5)
    for a, b in zip(one.trials, two.trials, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    other = _fit(**grid, seed=1)
    assert not np.allclose(one.scores(x), other.scores(x), atol=1e-3)


def test_one_pair_needs_no_validation() -> None:
    found = _fit(x_val=None, y_val=None, lrs=[1e-2], weight_decays=[0.1])
    assert found.trials == [{"lr": 1e-2, "weight_decay": 0.1, "chosen": True}]
    with pytest.raises(UsageError, match="2 pairs of learning rate and weight decay, but no"):
        _fit(x_val=None, y_val=None, lrs=[1e-2, 1e-3], weight_decays=[0.1])


def test_several_labels_and_kinds_of_label() -> None:
    (_, y), (xv, yv) = _marked(120, 0), _marked(60, 1)
    hot = np.eye(3, dtype=bool)
    options: dict[str, Any] = {"lrs": [3e-2], "weight_decays": [0.01]}
    many = _fit(y_train=hot[y], y_val=hot[yv], multi_label=True, **options)
    assert many.trials[0]["accuracy"] > 0.9
    assert ((many.scores(xv) > 0) == hot[yv]).mean() > 0.9
    some = np.where(np.arange(120) % 2, y, -1)  # half of the rows have no noun
    two = _fit(
        classes={"verb": 3, "noun": 3},
        y_train={"verb": y, "noun": some},
        y_val={"verb": yv, "noun": yv},
        **options,
    )
    scores = two.scores(xv)
    assert set(scores) == {"verb", "noun"}
    assert all(float((scores[n].argmax(1) == yv).mean()) > 0.8 for n in scores)


def test_weights_of_classes_and_rows() -> None:
    x, y = _marked(120, 0)
    rare = (y != 2) | (np.arange(120) % 8 == 0)
    options: dict[str, Any] = {"lrs": [1e-3], "weight_decays": [0.1], "epochs": 3}
    options |= {"x_train": x[rare], "y_train": y[rare]}
    mean = [
        _fit(class_weight=how, **options).scores(x).mean(axis=0)[2] for how in (None, "balanced")
    ]
    assert mean[1] > mean[0]
    none = _fit(sample_weight=(y[rare] != 2).astype(float), **options).scores(x)
    assert none.mean(axis=0)[2] < mean[0]


def test_a_probe_that_diverges_is_not_chosen() -> None:
    found = _fit(lrs=[1e30, 1e-2], weight_decays=[0.1])
    assert [t["chosen"] for t in found.trials] == [False, True]
    assert found.trials[0]["accuracy"] == -1.0 and np.isfinite(found.scores(_marked(5, 3)[0])).all()
    with pytest.raises(DataError, match="smaller learning rates"):
        _fit(lrs=[1e30], weight_decays=[0.1])


def test_bad_input() -> None:
    x, y = _marked(120, 0)
    hole = x.copy()
    hole[7, 2] = np.nan
    for options, words in (
        ({"x_train": x[:, 0]}, r"\[rows, tokens, dims\]; got float16 \[120, 8\]"),
        ({"x_train": hole}, "Tokens of row 7 are not finite"),
        ({"y_train": y[:5]}, r"120 rows of tokens need labels of shape \[120\]"),
        ({"y_train": y + 3}, r"must lie in 0 \.\.\. 2"),
        ({"y_train": {"verb": y}}, "Labels of verb, but classes of label"),
        ({"sample_weight": np.zeros(120)}, "sample_weight must be 120 numbers"),
    ):
        with pytest.raises(DataError, match=words):
            _fit(**options)
    with pytest.raises(UsageError, match="3 attention heads do not divide a width of 8"):
        _fit(config=AttentiveConfig(num_heads=3))
