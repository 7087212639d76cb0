from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actionspace.errors import RunError
from actionspace.events.table import Events
from actionspace.report import ethogram
from actionspace.report.html import write_report
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run
from tests.report import fake_run
from tests.report.test_curves import trained

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
HOSTILE = ("<script>alert(1)</script>", 'a"onload="x', "gr\u00fcn|\u732b & 'co'", "{{ 7 * 7 }}")


class Page(HTMLParser):
    """Checks that every element is closed, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            self.raw[self.open[-1]] = data
        else:
            self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def ids(self):
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]


def write(folder: Path, **options) -> tuple[str, Page]:
    text = write_report(folder, **options).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> tuple[str, Page]:
    base = tmp_path_factory.mktemp("full")
    events = fake_run.manifest(base)
    fake_run.write_run(base / "rats_run", events)
    write_predictions(fake_run.untrimmed(base), base / "night")
    return write(base / "rats_run", predictions=[base / "night"], events=events)


def test_a_full_run_shows_every_section(full):
    text, page = full
    for title in (
        "Results",
        "Confusion matrix",
        "Most confident mistakes",
        "Ethogram",
        "Data",
        "What was run on what",
        "Run it again",
    ):
        assert title in page.text
    assert "rats run" in page.text  # the folder's name is the title
    assert "56.2" in page.text  # top-1 of the fake scores
    assert "chance 16.7" in page.text
    assert "95 % interval 47.2" in page.text
    assert "from 4 groups it had not seen" in page.text
    assert "actionspace train linear_probe data=rats/clips.csv --out run" in page.text
    assert "Below a probability of 0.45 nothing happens." in page.text
    assert "1 of 16 frames decoded; policy skip" in page.text
    assert "moov atom not found" in page.text
    assert "9f31c2" in page.text and "c0ffee" in page.text and "Apache-2.0" in page.text
    assert len(re.findall(r'class="timeline"', text)) == 2


def test_nothing_outside_the_file_is_asked_for(full):
    text, page = full
    keys = ("src", "href", "xlink:href", "srcset", "data", "action")
    addresses = [attrs[k] for _, attrs in page.tags for k in keys if k in attrs]
    assert addresses
    assert all(a.startswith(("#", "data:image/jpeg;base64,")) for a in addresses)
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in page.raw["style"] and "@import" not in page.raw["style"]


def test_the_policy_admits_only_our_style_and_script(full):
    _, page = full
    metas = {a.get("http-equiv"): a.get("content", "") for a in page.all("meta")}
    policy = metas["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.raw[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not any("style" in a or any(k.startswith("on") for k in a) for _, a in page.tags)


def test_accessible(full):
    _, page = full
    assert page.all("html")[0]["lang"] == "en"
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    assert all(a.get("aria-labelledby") in ids for a in page.all("section"))
    for attrs in page.all("svg"):
        if attrs.get("role") == "img":
            assert attrs["aria-label"]
    assert all(a.get("scope") for a in page.all("th"))
    assert all(a.get("alt") for a in page.all("img"))


def test_a_run_without_anything_but_its_settings(tmp_path):
    run = Run.start(tmp_path / "bare")
    run.write_config({"name": "linear_probe", "data": "a.csv", "encoder": "starter"})
    _, page = write(tmp_path / "bare")
    assert "not evaluated yet" in page.text
    assert "No predictions with known truth" in page.text
    assert "No videos were predicted yet" in page.text
    assert "manifest was not at hand" in page.text
    assert "bare/config.yaml --out" in page.text and "bare-again" in page.text


def test_figures_without_intervals_and_videos_that_are_gone(tmp_path):
    events = fake_run.manifest(tmp_path)
    run = fake_run.write_run(tmp_path / "run", events)
    run.write_metrics({k: v for k, v in run.metrics.items() if not k.endswith("_ci")})
    _, page = write(tmp_path / "run")
    assert "no interval" in page.text
    assert "The video is not where it was." in page.text
    assert "it had not seen" not in page.text  # nobody says what was trained on


def test_damaged_parts_are_named(tmp_path):
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    (run.path / "metrics.json").write_text("{", encoding="utf-8")
    (run.predictions_dir / "test" / "scores.safetensors").write_bytes(b"junk")
    _, page = write(run.path)
    assert "metrics.json cannot be read" in page.text
    assert "The predictions 'test' are left out" in page.text


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match="no run to report"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_hostile_names_stay_text(tmp_path):
    classes = tuple(HOSTILE)
    names = [f"<b>{i}</b>/'\"&.mp4" for i in range(48)]
    escaped = [c.replace("|", r"\|") for c in classes]
    events = fake_run.manifest(tmp_path, escaped, names)
    plain = fake_run.manifest(tmp_path, classes, names)
    run = fake_run.write_run(tmp_path / "run", plain, classes)
    told = fake_run.evaluated(plain, classes)
    rows = told.events.rows
    for column in ("label", "label_true"):
        rows[column] = [c.replace("|", r"\|") for c in rows[column]]
    write_predictions(told, run.predictions_dir / "test")
    long = fake_run.untrimmed(tmp_path, ("<img src=x>.mp4",), (60.0,), ("x", HOSTILE[0]), True)
    write_predictions(long, tmp_path / "long")
    _, page = write(
        run.path, predictions=[tmp_path / "long"], events=events, title="</title><script>1</script>"
    )
    assert len(page.all("script")) == 1 and page.all("b") == [] and page.all("img") == []
    assert "</title><script>" in page.text  # shown, not run
    for name in HOSTILE:
        assert name in page.text


def test_several_labels(tmp_path):
    n, classes = 30, ("eat", "drink", "walk")
    rng = np.random.default_rng(0)
    truth = [sorted(set(rng.choice(classes, 2))) for _ in range(n)]
    scores = rng.random((n, 3)).astype(np.float32)
    rows = pd.DataFrame({"video": [f"{i}.mp4" for i in range(n)], "label": "eat"})
    events = Events.from_frames(rows, root=tmp_path)
    events.rows["label_true"] = ["|".join(t) for t in truth]
    labels = {"heads": {"label": {"classes": list(classes), "multi_label": True}}}
    run = Run.start(tmp_path / "run")
    run.write_config({"name": "linear_probe"})
    run.write_metrics({"map": 0.61, "map_ci": [0.5, 0.7]})
    write_predictions(
        Predictions(events, {"label": scores}, labels, pd.DataFrame()), run.predictions_dir / "test"
    )
    text, page = write(run.path)
    assert "there is no confusion matrix" in page.text
    assert 'class="confusion"' not in text
    assert "A label counts as predicted from a probability of 50 %" in page.text


def test_clips_without_truth_are_listed(tmp_path):
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    told = fake_run.evaluated(fake_run.manifest(tmp_path))
    told.events.rows["label_true"] = None
    write_predictions(told, tmp_path / "new")
    _, page = write(run.path, predictions=[tmp_path / "new"])
    assert "the 40 surest of 48" in page.text


def test_many_long_videos_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(ethogram, "MOST_VIDEOS", 12)  # of 48
    names = [f"day_{i:02d}.mp4" for i in range(15)]
    long = fake_run.untrimmed(tmp_path, names, [1_800.0] * 15)
    write_predictions(long, tmp_path / "long")
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    text, page = write(run.path, predictions=[tmp_path / "long"])
    assert "3 further videos are predicted" in page.text
    assert len(re.findall(r'class="timeline"', text)) == 12
    assert len(text) < 6_000_000 / 4
    assert len([a for a in page.all("details") if "open" in a]) < 12


def test_learning_curves_of_a_looped_run(tmp_path):
    run = trained(tmp_path / "run")
    _, page = write(run.path)
    assert "Learning curves" in page.text and "Validation, in per cent" in page.text
    drawn = [a["aria-label"] for a in page.all("svg") if a.get("class") == "chart"]
    assert drawn[0].startswith("Loss over epochs: training from 2 to 0.3333; validation")
    told = {"steps": 6, "epochs": 3, "best_epoch": 2, "processes": 2, "training_seconds": 80.0}
    run.finish({**told, "sessions": 2})
    run.write_config({"training": {"optimizer": {"name": "adamw", "lr": 3e-4}}})
    _, page = write(run.path)
    assert "best: epoch 2" in page.text and "1 min 20 s" in page.text and "adamw" in page.text


def test_a_run_fitted_by_a_solver_has_no_curves(tmp_path):
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    run.write_trials([{"strength": 0.1, "loss": 0.4}, {"strength": 1.0, "loss": 0.5}])
    _, page = write(run.path)
    assert "Learning curves" not in page.text and "sessions" not in page.text
    (run.path / "metrics.csv").write_bytes(b"")
    _, page = write(run.path)
    assert "There are no learning curves: metrics.csv cannot be read" in page.text


def test_groups_that_leak_are_named(tmp_path):
    events = fake_run.manifest(tmp_path)
    events.videos.loc[0, "group"] = "session_11"
    run = fake_run.write_run(tmp_path / "run", events)
    _, page = write(run.path, events=events)
    assert "1 groups lie in more than one split (session_11)" in page.text
    assert "it had not seen" not in page.text


def test_folds_set_the_splits_aside(tmp_path):
    events = fake_run.manifest(tmp_path)
    run = fake_run.write_run(tmp_path / "run", events)
    run.write_config({**run.config, "folds": 5})
    _, page = write(run.path, events=events)
    assert "all folds" in page.text and "it had not seen" in page.text
    assert [a["data-v"] for a in page.all("td") if a.get("data-v") == "24"]  # clips of a class


def test_few_groups_are_a_caution(tmp_path):
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    metrics = run.metrics
    metrics["protocol"]["groups"] = 2
    run.write_metrics(metrics)
    _, page = write(run.path)
    assert "come from 2 groups only" in page.text


def test_measures_of_an_evaluated_prediction(tmp_path):
    run = fake_run.write_run(tmp_path / "run", fake_run.manifest(tmp_path))
    folder = write_predictions(fake_run.untrimmed(tmp_path), tmp_path / "night")
    figures = {"frame_accuracy": 0.731, "edit_score": 61.25, "cohen_kappa": 0.6249}
    (folder / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
    _, page = write(run.path, predictions=[folder])
    assert "73.1" in page.text and "61.2" in page.text and "0.62" in page.text


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


def _mix(over: str, under: str, share: float) -> str:
    pairs = [(int(over[i : i + 2], 16), int(under[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_contrast(full, theme):
    blocks = re.findall(r":root \{(.*?)\}", full[1].raw["style"], re.S)
    light = dict(re.findall(r"(--[\w-]+): (#\w{6})", blocks[0]))
    var = {**light, **dict(re.findall(r"(--[\w-]+): (#\w{6})", blocks[theme]))}
    for ground in ("--bg", "--card"):
        assert _contrast(var["--ink"], var[ground]) >= 7
        assert _contrast(var["--muted"], var[ground]) >= 4.5
        assert _contrast(var["--accent"], var[ground]) >= 4.5
    assert _contrast(var["--warn-ink"], var["--warn"]) >= 4.5
    for i in range(12):
        assert _contrast(var[f"--k{i}"], var["--card"]) >= 3
    for share in np.linspace(0.1, 0.75, 8):  # fill-opacity of the confusion matrix
        for fill in ("--hit", "--miss"):
            assert _contrast(var["--ink"], _mix(var[fill], var["--card"], share)) >= 4.5
