"""One's own videos, one command each way: pixels in, events out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from actionspace import api
from actionspace.errors import RunError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.training.run import Run
from actionspace.video.write import write_video
from tests.recognition import tiny

SMALL = [
    *("model.embed_dim=16", "model.neck_dim=16", "model.head_dim=16", "model.heads=2"),
    *("training.epochs=30", "training.workers=0", "training.tensorboard=false"),
    *("training.optimizer.lr=0.01", "training.evaluate_every=15", "evaluation.bootstrap=0"),
    "training.ema.decay=0.9",
    # Of the few channels that the tiny encoder has none can be missing.
    *("model.input_dropout=0", "model.dropout=0"),
]


def write(folder: Path, name: str, seed: int) -> list[dict[str, object]]:
    """Write 14 seconds in which a blob rests, and twice or so moves; return its events."""
    random = np.random.default_rng(seed)
    motions: list[tuple[str, int]] = []
    events: list[dict[str, object]] = []
    at = 0
    while at < 260:
        rest, moving = int(random.integers(30, 60)), int(random.integers(30, 70))
        label = ("right", "left")[int(random.integers(2))]
        motions += [("still", rest), (label, moving)]
        start, end = (at + rest) / tiny.FPS, (at + rest + moving) / tiny.FPS
        events.append({"video": name, "start": start, "end": end, "label": label})
        at += rest + moving
    write_video(folder / name, tiny.frames([*motions, ("still", 30)], seed), tiny.FPS)
    return events


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    names = [f"v{k}.mp4" for k in range(9)]
    rows = [row for k, name in enumerate(names) for row in write(folder, name, k)]
    splits = ("train", "train", "train", "train", "train", "train", "val", "test", "test")
    videos = [{"video": n, "split": s} for n, s in zip(names, splits, strict=True)]
    Events.from_frames(rows, videos, folder).to_csv(folder / "events.csv")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return api.train(
        "localize",
        data=folder / "events.csv",
        encoder=tiny.ENCODER,
        overrides=SMALL,
        out=folder / "run",
    )


def test_training_from_pixels(run: Run, folder: Path) -> None:
    assert run.metrics["map@0.50"] > 0.5
    notes = " ".join(run.environment["notes"])
    assert "A row of features is 0.16 s" in notes and "Regression ranges" in notes
    assert run.labels["encoder"]["fingerprint"]["hop"] == 4
    assert run.report_path.is_file()
    assert api.evaluate(run, bootstrap=0)["map"] == run.metrics["map"]


def test_predicting_from_pixels(run: Run, folder: Path, tmp_path: Path) -> None:
    truth = write(tmp_path, "new.mp4", 99)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    found = api.predict(run, tmp_path, out=tmp_path / "out", threshold=0.1)
    assert set(found.skipped) == {"broken.mp4"}
    rows = found.events.rows
    hit = 0
    for event in truth:
        inside = np.minimum(rows["end"], event["end"]) - np.maximum(rows["start"], event["start"])
        union = np.maximum(rows["end"], event["end"]) - np.minimum(rows["start"], event["start"])
        hit += bool((inside / union).max() > 0.5)
    assert hit >= len(truth) - 1
    assert "skipped" in api.summary(found)


def test_features_of_another_encoder_are_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    from actionspace.encoders.create import create_encoder
    from actionspace.events import io

    events = io.read(folder / "events.csv").select(split="test")
    own = create_encoder(tiny.ENCODER)
    same = extract(events, own, tmp_path / "same", hop=4, progress=False)
    assert len(api.predict(run, tmp_path / "same", threshold=0).events)
    assert len(api.predict(run, events, features=same, threshold=0).events)
    other = extract(events, own, tmp_path / "other", hop=8, progress=False)
    with pytest.raises(RunError) as e:
        api.predict(run, events, features=other)
    assert "hop: 4 then, 8 now" in str(e.value) and tiny.ENCODER in str(e.value)
