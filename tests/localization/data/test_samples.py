"""Samples from a manifest and features, or from anyone's own function; features that are wrong."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.errors import DataError, StoreError, UsageError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.foreign import open_features
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.localization.data.check import check_features
from actionspace.localization.data.sample import SampleBatch
from actionspace.localization.data.samples import FeatureSamples, RowOptions, load
from actionspace.localization.data.source import FeatureFiles, open_source
from actionspace.localization.data.truncate import Truncation
from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.padding import padded_length
from actionspace.training.loader import Loader
from actionspace.training.plan import Pass
from tests.features.tiny import encoder, make_video, manifest

STRIDE, WINDOW, FPS = 4, 16, 25.0
FILES = FeatureFiles(stride=STRIDE, window=WINDOW)


def table(folder: Path, rows: list[tuple[Any, ...]], **videos: float) -> Events:
    """Videos with features of their duration in seconds, and the events in them."""
    for name, seconds in videos.items():
        n = int((seconds * FPS - WINDOW) / STRIDE) + 1
        values = np.random.default_rng(n).normal(size=(n, 6)).astype(np.float32)
        np.save(folder / f"{name}.npy", values)
    facts = [
        {"video": f"{v}.mp4", "fps": FPS, "duration": d, "split": "train", "features": f"{v}.npy"}
        for v, d in videos.items()
    ]
    names = ("video", "start", "end", "label", "status")
    return Events.from_frames([dict(zip(names, row, strict=False)) for row in rows], facts, folder)


@pytest.fixture
def events(tmp_path: Path) -> Events:
    rows = [
        ("a.mp4", 1.0, 3.0, "run"),
        ("a.mp4", 2.0, 4.0, "run|jump"),
        ("b.mp4", 20.0, 30.0, "jump"),
        ("b.mp4", 1.0, 9.0, "run", "ignore"),
        ("b.mp4", 5.0, 5.0, "run"),
    ]
    return table(tmp_path, rows, a=10.0, b=40.0, c=6.0)


def samples(events: Events, **options: Any) -> FeatureSamples:
    given = {"classes": ["jump", "run"], "padded": lambda longest: longest, **options}
    return FeatureSamples(events, open_source(events, files=FILES), **given)


def test_events_become_segments_in_rows(events: Events, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "actionspace"):
        found = samples(events)
    assert "1 events without extent" in caplog.text
    assert (found.videos, len(found), found.name(1)) == (["a.mp4", "b.mp4", "c.mp4"], 3, "b.mp4")
    a, b, c = (found.load(i, 0) for i in range(3))
    assert a.labels.tolist() == [1, 1, 0] and b.labels.tolist() == [0] and len(c.labels) == 0
    np.testing.assert_allclose(a.grid.to_seconds(a.segments), [[1, 3], [2, 4], [2, 4]], atol=1e-5)
    np.testing.assert_allclose(b.segments, [[20 * 25 / 4 - 2, 30 * 25 / 4 - 2]])
    assert (a.duration, c.duration) == (10.0, 6.0)
    assert (samples(events, classes=["anything"]).load(0, 0).labels == 0).all()


def test_whole_videos_and_unknown_durations(tmp_path: Path) -> None:
    events = table(tmp_path, [("a.mp4", None, None, "run")], a=10.0)
    sample = samples(events).load(0, 0)
    np.testing.assert_allclose(sample.grid.to_seconds(sample.segments), [[0, 10]], atol=1e-5)
    videos = events.videos.assign(duration=float("nan"))
    unknown = Events.from_frames(events.rows, videos, tmp_path)
    sample = samples(unknown).load(0, 0)
    end = ((len(sample) - 1) * STRIDE + WINDOW) / FPS
    np.testing.assert_allclose(sample.grid.to_seconds(sample.segments), [[0, end]], atol=1e-5)


def test_a_window_is_a_function_of_seed_epoch_and_sample(events: Events) -> None:
    train = Truncation(32)
    found = samples(events, train=train)
    drawn = {e: found.load(1, e) for e in range(6)}
    assert len({s.grid.first for s in drawn.values()}) > 2
    assert all(len(s) == 32 for s in drawn.values())
    whole = found.whole(1)
    for epoch, sample in drawn.items():
        again = samples(events, train=train).load(1, epoch)
        assert torch.equal(sample.features, again.features) and sample.grid == again.grid
        row = round((sample.grid.first - whole.grid.first) / whole.grid.step)
        assert torch.equal(sample.features, whole.features[:, row : row + 32])
        seconds = sample.grid.to_seconds(sample.segments)
        assert ((seconds >= 20 - 1e-4) & (seconds <= 30 + 1e-4)).all() and len(seconds)
    other = samples(events, train=train, seed=1)
    assert any(other.load(1, e).grid != drawn[e].grid for e in drawn)


def test_a_window_knows_what_of_it_does_not_count(events: Events) -> None:
    """Rows to ignore and time outside of labelled spans, in rows of the window."""
    videos = events.videos.assign(labelled=["0-4;3-6", None, None])
    known = Events.from_frames(events.rows, videos, events.root)
    a = samples(known).load(0, 0)
    wanted = [[-np.inf, 0], [6, np.inf]]
    np.testing.assert_allclose(a.grid.to_seconds(a.uncounted), wanted, atol=1e-5)
    found = samples(known, train=Truncation(32))
    for epoch in range(3):
        b = found.load(1, epoch)
        np.testing.assert_allclose(b.grid.to_seconds(b.uncounted), [[1, 9]], atol=1e-4)
    assert len({found.load(1, e).uncounted[0, 0].item() for e in range(6)}) > 2
    batch = found.collate([found.load(i, 0) for i in range(3)])
    assert batch.uncounted is not None and batch.uncounted.shape == (3, 2, 2)
    assert (batch.uncounted[2] == 0).all() and found.collate([found.load(2, 0)]).uncounted is None


def test_rows_can_be_fewer_or_rescaled(events: Events) -> None:
    full = samples(events).load(0, 0)
    half = samples(events, rows=RowOptions(every=2)).load(0, 0)
    assert torch.equal(half.features, full.features[:, ::2])
    np.testing.assert_allclose(
        half.grid.to_seconds(half.segments), [[1, 3], [2, 4], [2, 4]], atol=1e-5
    )
    fixed = samples(events, rows=RowOptions(length=24)).load(0, 0)
    assert len(fixed) == 24 and fixed.grid.offset == pytest.approx(0.5)
    np.testing.assert_allclose(
        fixed.grid.to_seconds(fixed.segments), [[1, 3], [2, 4], [2, 4]], atol=1e-5
    )


def test_an_event_beyond_the_features_leaves_an_empty_sample(tmp_path: Path) -> None:
    events = table(tmp_path, [("a.mp4", 30.0, 31.0, "run")], a=10.0)
    found = samples(events, train=Truncation(200), inside=True)
    assert len(found.load(0, 0).labels) == 0


def test_an_event_that_has_begun_is_cut_at_the_last_row(tmp_path: Path) -> None:
    """However little of it the features hold, as TriDet does on HACS."""
    rows = [("a.mp4", 9.0, 30.0, "run"), ("a.mp4", 10.0, 30.0, "jump")]
    events, whole = table(tmp_path, rows, a=10.0), Truncation(200, crop_ratio=None)
    assert len(samples(events, train=whole, inside=True).load(0, 0).labels) == 0
    found = samples(events, train=whole, inside="begun").load(0, 0)
    assert found.labels.tolist() == [1]
    assert found.segments.tolist() == [[pytest.approx(9 * 25 / 4 - 2), len(found)]]


def test_the_trainer_s_loader_takes_them(events: Events) -> None:
    config = ModelConfig(max_length=576)
    found = samples(events, train=Truncation(64), padded=partial(padded_length, config))
    passes = [Pass(np.array([0, 1, 2]), filler=False)]
    loader = Loader(found, device=torch.device("cpu"), workers=2)
    [batch] = loader.stream(passes, epoch=0)
    assert isinstance(batch.data, SampleBatch) and batch.weight == 3
    assert batch.data.features.shape == (3, 6, 576)
    assert batch.data.mask.sum(dim=2).tolist()[1] == [64]
    assert batch.data.truth.real.any(dim=1).tolist()[2] is False


def test_what_cannot_be_learnt_is_said(events: Events, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Event 0 of a\.mp4 is 'run', which is none of the 2"):
        samples(events, classes=["jump", "runs"])
    with pytest.raises(DataError, match="no label column 'verb'"):
        samples(events, column="verb")
    turned = table(tmp_path, [("a.mp4", 3.0, 1.0, "run")], a=10.0)
    with pytest.raises(DataError, match=r"Event 0 of a\.mp4 ends before it starts"):
        samples(turned)
    some = open_source(events.select(videos=["a.mp4"]), files=FILES)
    with pytest.raises(StoreError, match=r"2 of 3 videos have no features.*the first is 'b\.mp4'"):
        FeatureSamples(events, some, ["jump", "run"], lambda longest: longest)


def test_our_own_store_needs_no_clock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_video(tmp_path / "a.mp4", 60)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    events = manifest(tmp_path, [("a.mp4", 1.0, 3.0, "run"), ("bad.mp4", 0, 1, "run")])
    store = extract(events, encoder(), tmp_path / "s", hop=4, progress=False)
    found = FeatureSamples(events, store, ["run"], lambda longest: longest)
    assert found.videos == ["a.mp4"] and list(found.left_out) == ["bad.mp4"]
    sample = found.load(0, 0)
    assert (sample.grid.step, sample.grid.first) == (pytest.approx(0.4), pytest.approx(0.4))
    np.testing.assert_allclose(sample.grid.to_seconds(sample.segments), [[1, 3]], atol=1e-5)
    [finding] = check_features(events, store)
    assert finding.code == "features-skipped" and "bad.mp4" in finding.message
    events = events.select(videos=["a.mp4"])
    views = extract(events, encoder(), tmp_path / "t", rows="events", progress=False)
    with pytest.raises(StoreError, match="rows=dense"):
        FeatureSamples(events, views, ["run"], lambda longest: longest)


def test_one_s_own_function(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own_tal_data.py").write_text(
        "from actionspace.events.table import Events\n"
        "events = Events.from_frames([{'video': 'a', 'label': 'x'}])\n"
        "def both(): return events, 'features'\n"
        "def alone(): return events\n"
        "def neither(): return 3\n"
    )
    assert [len(load("own_tal_data:both")[0]), load("own_tal_data:both")[1]] == [1, "features"]
    assert load("own_tal_data.py:alone")[1] is None
    assert load(events) == (events, None)
    events.to_csv("m.csv")
    assert load("m.csv")[0].classes() == ["jump", "run"]
    for text, match in {
        "own_tal_data:neither": "returned int",
        "own_tal_data:no": "has no function 'no'",
        "own_tal_missing:f": "Cannot import 'own_tal_missing'",
    }.items():
        with pytest.raises(UsageError, match=match):
            load(text)


def test_places_of_features(events: Events) -> None:
    root = events.root
    listed, folder = open_source(events, files=FILES), open_source(events, [root], FILES)
    for name in ("a.mp4", "b.mp4"):
        np.testing.assert_array_equal(listed.get(name).features, folder.get(name).features)
        np.testing.assert_array_equal(listed.get(name).times, folder.get(name).times)
    assert open_source(events, [root, root], FILES).dim == 12
    fixed = open_source(events, [root], FeatureFiles(fixed=True)).get("a.mp4")
    assert fixed.times[-1, 1] == 10.0
    later = open_source(events, [root], FeatureFiles(stride=STRIDE, window=WINDOW, offset=25))
    np.testing.assert_allclose(later.get("a.mp4").times, listed.get("a.mp4").times + 1)
    faster = open_source(events, [root], FeatureFiles(stride=STRIDE, window=WINDOW, fps=50.0))
    np.testing.assert_allclose(faster.get("a.mp4").times * 2, listed.get("a.mp4").times)


# ---- check_features ------------------------------------------------------------------------


def codes(found: list[Any]) -> list[str]:
    return [f.code for f in found]


def test_good_features_have_no_findings(events: Events) -> None:
    assert check_features(events, open_source(events, files=FILES), dim=6) == []


def test_a_wrong_stride_is_an_error_that_says_the_right_one(events: Events) -> None:
    wrong = FeatureFiles(stride=8, window=16, fps=25)
    [finding] = check_features(events, open_source(events, files=wrong))
    assert (finding.severity, finding.code) == ("error", "features-stride")
    assert "3 of 3 videos" in finding.message and "Rows are 0.32 s apart" in finding.message
    suggested = float(finding.message.split(";")[1].split(" s would fit")[0])
    assert suggested == pytest.approx(0.16, rel=0.1)
    halved = FeatureFiles(stride=4, window=16, fps=50)
    assert codes(check_features(events, open_source(events, files=halved))) == ["features-stride"]


def test_each_fault_of_the_features_is_found(tmp_path: Path) -> None:
    rows = [("a.mp4", 1, 2, "x"), ("b.mp4", 1, 2, "x"), ("short.mp4", 20, 25, "x")]
    lengths = {"a": 10.0, "b": 10.0, "nan": 10.0, "wide": 10.0, "short": 30.0, "gone": 10.0}
    events = table(tmp_path, rows, **lengths)
    values = np.load(tmp_path / "a.npy")
    np.save(tmp_path / "nan.npy", np.where(np.arange(6) == 2, np.nan, values))
    np.save(tmp_path / "wide.npy", np.repeat(values, 2, axis=1))
    np.save(tmp_path / "short.npy", values)
    (tmp_path / "gone.npy").unlink()
    path = events.to_csv(tmp_path / "m.csv")
    events = load(path)[0]
    features = open_features(tmp_path, stride=STRIDE, window=WINDOW, fps=FPS)
    found = check_features(events, features, classes=["x", "y"])
    assert sorted(codes(found)) == [
        "class-empty", "event-beyond-features", "features-damaged", "features-dim",
        "features-length", "features-missing",
    ]  # fmt: skip
    by_code = {f.code: f for f in found}
    table_rows = (tmp_path / "m.csv").read_text().splitlines()
    for code, video in {
        "features-damaged": "nan", "features-dim": "wide", "features-missing": "gone",
        "features-length": "short", "event-beyond-features": "short",
    }.items():  # fmt: skip
        finding = by_code[code]
        assert finding.row is not None and f"{video}.mp4" in table_rows[finding.row - 1]
        assert f"{video}." in finding.message
    assert "row 0 holds NaN" in by_code["features-damaged"].message
    assert "has 12 numbers in a row, most videos have 6" in by_code["features-dim"].message
    assert "they are incomplete" in by_code["features-length"].message
    assert found[-1].severity != "error" and found[0].severity == "error"


def test_labels_that_training_never_saw(tmp_path: Path) -> None:
    events = table(tmp_path, [("a.mp4", 1, 2, "x"), ("b.mp4", 1, 2, "y")], a=10.0, b=10.0)
    videos = events.videos.assign(split=["train", "test"])
    events = Events.from_frames(events.rows, videos, tmp_path)
    [finding] = check_features(events, open_source(events, files=FILES))
    assert finding.code == "class-untrained" and "labels of test" in finding.message


def test_uneven_rows_are_found(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", {"dim": 2})
    times = np.stack([np.arange(20.0), np.arange(20.0) + 1], axis=1)
    times[10:] += 5
    store.put("a.mp4", "0" * 32, VideoFeatures(np.zeros((20, 2), np.float32), times))
    store.save_index()
    events = Events.from_frames([{"video": "a.mp4", "label": "x", "start": 1, "end": 2}])
    [finding] = check_features(events, store)
    assert finding.severity == "error" and "not evenly spaced" in finding.message
