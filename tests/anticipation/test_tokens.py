"""Rows of tokens: a clip's are looked at together, and not before the clip has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import actionspace as A
from actionspace.anticipation.fit import train
from actionspace.anticipation.prepare import Prepared, prepare
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.config import parse
from actionspace.errors import ConfigError, RunError, StoreError, UsageError
from actionspace.events.table import Events
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.features.token_rows import TokenTimeline
from actionspace.video.write import write_video

FUTURE = "actionspace.encoders.vjepa_future:encoder"
NETWORK: dict[str, Any] = {
    "network": "untrained:vjepa2_vit_large",
    "frames": 8,
    "size": 32,
    "encoder_options": {"embed_dim": 24, "num_heads": 2, "depth": 2, "mlp_ratio": 2.0},
    "predictor_options": {"predictor_embed_dim": 36, "num_heads": 3, "depth": 1},
}
SMALL: dict[str, Any] = {
    "window": {"seconds": 0.5, "step": 0.5},
    "horizon": {"report": 1.0, "evaluate": [1.0], "train": [1.0, 1.0]},
    "network": {
        "name": "attentive", "width": None, "depth": 1, "heads": 4, "positions": "none",
    },
    "training": {"epochs": 2, "workers": 0, "tensorboard": False},
    "evaluation": {"bootstrap": 0},
}  # fmt: skip
STARTS = (2.6, 4.1, 5.0, 6.3)  # of events; a clip is one second long


def small(**changes: Any) -> AnticipationRecipe:
    return parse(AnticipationRecipe, SMALL | changes, "small")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Noise; of each event a film that becomes another from one second before it begins.

    Lossless, so that no frame knows of another.
    """
    folder = tmp_path_factory.mktemp("films")
    fps, random = 20.0, np.random.default_rng(0)
    whole, other = random.integers(0, 255, (2, 160, 32, 32, 3), np.uint8)
    rows: list[dict[str, Any]] = []
    for k, start in enumerate((None, *STARTS)):
        film = whole.copy()
        if start is not None:
            later = np.arange(len(film)) / fps >= start - 1.0 - 1e-9
            film[later] = other[later]
        write_video(folder / f"{k}.mp4", film, fps, crf=0, options={"preset": "ultrafast"})
        for number, begin in enumerate(STARTS):
            times = {"start": begin, "end": begin + 0.5}
            rows.append({"video": f"{k}.mp4", **times, "label": "ab"[(number + k) % 2]})
    split = ["train", "train", "train", "val", "test"]
    videos = [{"video": f"{k}.mp4", "split": s} for k, s in enumerate(split)]
    return Events.from_frames(rows, videos, folder, ("label",))


@pytest.fixture(scope="module")
def looking_ahead(films: Events, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTIONSPACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        rows = {"hop": 2, "tokens": "time"}
        return prepare(small(encoder=FUTURE, encoder_options=NETWORK, rows=rows), films)


def test_predicted_tokens_are_of_what_was_seen(looking_ahead: Prepared) -> None:
    """A film that changes one second before an event shows the same before it as one that does not.

    The row is near: less than a hop of 0.25 s later it does see the change.
    """
    assert looking_ahead.stores[0].tokens == 5  # four steps in time and one foretold
    asked = looking_ahead.asked(None)
    ahead, late = (looking_ahead.questions(asked, tau) for tau in (1.0, 0.74))
    for k, start in enumerate(STARTS, start=1):
        at = [
            int(np.flatnonzero((asked.videos == f"{v}.mp4") & (asked.starts == start))[0])
            for v in (0, k)
        ]
        whole, changed = (ahead.load(i, 0) for i in at)
        assert whole.rows[0].shape == (1, 5, 24) and bool(whole.known[0].all())
        assert torch.equal(whole.rows[0], changed.rows[0])
        assert whole.rows[0].abs().sum() > 0
        whole, changed = (late.load(i, 0) for i in at)
        differs = (whole.rows[0] != changed.rows[0]).any(-1)[0]
        assert differs.all()  # each token knows its whole clip: also those of its first frames


def test_a_token_is_seen_only_once_its_clip_has_ended(looking_ahead: Prepared) -> None:
    """Not only the clip's own end, but no row of the store that ends later."""
    store = looking_ahead.stores[0]
    features, times = store.get("0.mp4")
    assert features.shape[1:] == (5, 24)
    assert np.diff(times[:, 1])[:-1] == pytest.approx(0.25)
    asked = looking_ahead.asked(None)
    for tau in (0.3, 1.0):
        questions = looking_ahead.questions(asked, tau)
        for index in np.flatnonzero(asked.videos == "0.mp4"):
            until = asked.starts[index] - tau
            newest = np.flatnonzero(times[:, 1] <= until + 1e-6).max()
            seen = questions.load(int(index), 0).rows[0][0].numpy()
            np.testing.assert_array_equal(seen, features[newest].astype(np.float32))
            assert until - times[newest, 1] < 0.25


@pytest.fixture(scope="module")
def store(films: Events, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Tokens ``[N, 3, 8]`` somebody made: the label to come is in the second of them alone."""
    about = {"dim": 8, "tokens": "time", "token_grid": [3, 1, 1], "frames": 8, "stride": 1}
    folder = tmp_path_factory.mktemp("store")
    made = FeatureStore.create(folder / "tokens", about | {"hop": 8, "rows": "dense"})
    times = 0.25 * np.stack([np.arange(32), np.arange(1, 33)], 1)
    random = np.random.default_rng(0)
    for video in films.videos["video"]:
        values = random.normal(0, 0.1, (32, 3, 8)).astype(np.float32)
        for start, label in films.for_video(video)[["start", "label"]].itertuples(index=False):
            newest = np.flatnonzero(times[:, 1] <= start - 1 + 1e-6).max()
            values[newest, 1, "ab".index(label)] += 3
        made.put(video, f"{len(made):032x}", VideoFeatures(values, times))
        made.save_index()
    return made


def test_a_probe_on_a_store_of_tokens(films: Events, store: FeatureStore, tmp_path: Path) -> None:
    training = SMALL["training"] | {"epochs": 20, "optimizer": {"lr": 0.01}}
    recipe = small(training=training)
    run = train(recipe, data=films, features=store, out=tmp_path / "run", report=False)
    assert run.labels["encoder"]["parts"][0]["tokens"] == 3
    assert run.metrics["top1_accuracy"] == 1.0
    again = prepare(recipe, films, features=store, expect=run.labels["encoder"])
    assert again.stores[0].tokens == 3
    for other, message in (
        (_pooled(films, tmp_path), "tokens: time then, None now"),
        (_pooled(films, tmp_path, dim=5), "8 values per row then, 5 now"),
    ):
        with pytest.raises(RunError, match=f"another make .*{message}"):
            prepare(recipe, films, features=other, expect=run.labels["encoder"])


def _pooled(films: Events, folder: Path, dim: int = 8) -> FeatureStore:
    made = FeatureStore.create(folder / f"pooled{dim}", {"dim": dim, "rows": "dense"})
    times = np.stack([np.arange(8), np.arange(1, 9)], 1).astype(float)
    for video in films.videos["video"]:
        made.put(video, f"{len(made):032x}", VideoFeatures(np.zeros((8, dim), np.float32), times))
        made.save_index()
    return made


def test_time_steps_as_rows_are_refused(films: Events, store: FeatureStore) -> None:
    """Each of them knows the clip's last frames, and would be seen before these."""
    with pytest.raises(StoreError, match="each of them knows its whole clip"):
        prepare(small(), films, features=TokenTimeline(store))
    with pytest.raises(ConfigError, match="tokens='step' is neither 'time'"):
        small(encoder="starter", rows={"tokens": "step"})
    with pytest.raises(UsageError, match=r"more than 1e-09 GB.*limit_gb"):
        rows = {"tokens": "time", "limit_gb": 1e-9}
        prepare(small(encoder=FUTURE, encoder_options=NETWORK, rows=rows), films)


def test_a_store_that_was_handed_in_is_made_again_of_raw_video(
    films: Events, looking_ahead: Prepared, tmp_path: Path
) -> None:
    """With the encoder, its options, the grid and the tokens that the store tells of."""
    given = looking_ahead.stores[0].source
    run = train(small(), data=films, features=given, out=tmp_path / "run", report=False)
    adopted = run.config
    assert adopted["encoder"] == FUTURE and adopted["rows"]["tokens"] == "time"
    assert adopted["encoder_options"]["seconds"] == 1.0 and adopted["rows"]["hop"] == 2
    told = A.predict(run, films.root / "4.mp4", every=1.0).events
    kept = A.predict(run, films, split="test", every=1.0, features=given).events
    assert told.rows["start"].tolist() == kept.rows["start"].tolist() != []
    np.testing.assert_allclose(told.rows["score"], kept.rows["score"], atol=1e-4)
