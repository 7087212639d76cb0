"""Samples of a head: cached views and decoded clips, which are of the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import VideoError
from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.recognition import clip_samples
from actionspace.recognition import data as manifest
from actionspace.recognition.clip_samples import ClipSamples
from actionspace.recognition.rows import Rows
from actionspace.recognition.view_table import ViewTable
from actionspace.training.loader import Loader
from actionspace.training.plan import Pass
from actionspace.video.views import Views
from actionspace.video.write import write_video
from tests.recognition import tiny

T, SIZE = 4, 8
PIXELS = T * SIZE * SIZE * 3
RANDOM = Views(frames=T, stride=2, size=SIZE, short_side=16, augment=3, seed=5)
CPU = torch.device("cpu")


class Flat(nn.Module):
    """Gives back the pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 4, 1).flatten(1)


def pixels() -> Encoder:
    clip = ClipSpec(frames=T, stride=2, size=SIZE, short_side=16, mean=(0, 0, 0), std=(1, 1, 1))
    return Encoder(Flat(), name="pixels", dim=PIXELS, clip=clip, weights_hash="none")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """Whole clips, one of them cropped, and a long video with bouts, out of order and one twice."""
    root = tmp_path_factory.mktemp("samples")
    for seed, name in enumerate(("a.mp4", "b.mp4", "long.mp4")):
        plan = [("still", 12), ("right", 24), ("left", 30)] if name == "long.mp4" else [("left", 9)]
        write_video(root / name, tiny.frames(plan, seed), tiny.FPS)
    rows = [
        {"video": "long.mp4", "start": 1.44, "end": 2.64, "label": "left"},
        {"video": "a.mp4", "label": "left"},
        {"video": "long.mp4", "start": 0.48, "end": 1.44, "label": "right"},
        {"video": "long.mp4", "start": 0.0, "end": 0.3},
        {"video": "b.mp4", "label": "left"},
        {"video": "long.mp4", "start": 0.48, "end": 1.44, "label": "still"},
        {"video": "long.mp4", "start": 0.1, "end": 0.2, "label": "still", "status": "ignore"},
    ]
    videos = [{"video": "a.mp4"}, {"video": "b.mp4", "crop": "4,2,30,24"}, {"video": "long.mp4"}]
    return Events.from_frames(pd.DataFrame(rows), pd.DataFrame(videos), root)


@pytest.fixture(scope="module")
def targets(events: Events) -> manifest.Targets:
    return manifest.targets(events, "label")


def table(
    events: Events, targets: manifest.Targets, out: Path, views: Views, rows: str = "events"
) -> Rows:
    store = extract(events, pixels(), out, views=views, rows=rows, dtype="float32", progress=False)
    return Rows.gather(events, store, "label", targets)


def flat(clips: Tensor) -> Tensor:
    return clips.flatten(1).float()


def test_a_store_and_decoding_show_the_same_pixels(
    events: Events, targets: manifest.Targets, tmp_path: Path
) -> None:
    cached = ViewTable(events, table(events, targets, tmp_path / "s", RANDOM), take="turn")
    fly = ClipSamples(events, RANDOM, "label", targets)
    assert len(fly) == len(cached) == 5
    assert fly.owner.tolist() == cached.owner.tolist() == [0, 1, 2, 4, 5]
    every = np.arange(5)
    seen = []
    for epoch in range(5):
        [batch] = Loader(fly, device=CPU, workers=2).stream([Pass(every)], epoch)
        clips, told = batch.data
        features, same = cached.gather(every, epoch)
        assert clips.dtype == torch.uint8 and clips.shape == (5, T, SIZE, SIZE, 3)
        assert torch.equal(flat(clips), features)
        assert told.tolist() == same.tolist() == [0, 0, 1, 0, 2] and told.dtype == torch.int64
        seen.append(flat(clips))
    assert torch.equal(seen[0], seen[3]) and torch.equal(seen[1], seen[4])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert not (seen[a] == seen[b]).all(dim=1).any()  # each view is another one
    assert torch.equal(seen[0][2], seen[0][4])  # two labels of one interval
    assert not torch.equal(seen[0][1], seen[0][3])


def test_without_augmentation_the_test_views_come_in_turn(
    events: Events, targets: manifest.Targets, tmp_path: Path
) -> None:
    views = Views(frames=T, stride=2, size=16, short_side=16, geometry="three", clips=2)
    fly = ClipSamples(events, views, "label", targets)
    every = ClipSamples(events, views, "label", targets, evaluate=True)
    assert len(every) == 5 * 6 and every.owner.tolist() == np.repeat(fly.owner, 6).tolist()
    for index, event in ((0, 0), (3, 4)):
        for view in range(6):
            one = every.load(6 * index + view, epoch=3)
            assert every.owner[6 * index + view] == event
            same = fly.load(index, epoch=6 + view)
            assert torch.equal(one[0], same[0]) and torch.equal(one[1], same[1])
    assert not torch.equal(every.load(0, 0)[0], every.load(1, 0)[0])


def test_several_labels_are_a_row_of_booleans(events: Events, tmp_path: Path) -> None:
    told = manifest.targets(events, "label", multi_label=True)
    rows = table(events, told, tmp_path / "s", RANDOM)
    cached = ViewTable(events, rows, take="turn")
    fly = ClipSamples(events, RANDOM, "label", told)
    _, targets = fly.collate([fly.load(i, 0) for i in (1, 2)])
    assert targets.dtype == torch.bool and targets.tolist() == [
        [True, False, False],
        [False, True, False],
    ]
    assert torch.equal(cached.gather(np.array([1, 2]), 0)[1], targets)


def test_dense_rows_are_drawn_anew_in_each_epoch(
    events: Events, targets: manifest.Targets, tmp_path: Path
) -> None:
    views = Views(frames=T, stride=2, size=SIZE, short_side=8, geometry="full")
    rows = table(events, targets, tmp_path / "s", views, rows="dense")
    of = {event: set(np.flatnonzero(rows.event == event).tolist()) for event in set(rows.event)}
    assert len(of[0]) > 3
    drawn = ViewTable(events, rows, take="random", seed=1)
    every = np.arange(len(drawn))
    number = {row.tobytes(): i for i, row in enumerate(rows.features[rows.event == 0])}
    seen = []
    for epoch in range(40):
        features, told = drawn.gather(every, epoch)
        assert told.tolist() == [0, 0, 1, 0, 2]
        again = ViewTable(events, rows, take="random", seed=1).gather(every[::-1].copy(), epoch)
        assert torch.equal(again[0].flip(0), features)
        seen.append(number[features[0].numpy().tobytes()])
    assert set(seen) == set(number.values())  # each of them, some time
    other = ViewTable(events, rows, take="random", seed=2)
    assert seen != [number[other.gather(every, e)[0][0].numpy().tobytes()] for e in range(40)]


def test_an_evaluation_sees_every_row_once(
    events: Events, targets: manifest.Targets, tmp_path: Path
) -> None:
    rows = table(events, targets, tmp_path / "s", RANDOM)
    every = ViewTable(events, rows, take="all")
    assert len(every) == 15 and every.owner.tolist() == np.repeat([0, 1, 2, 4, 5], 3).tolist()
    for epoch in (0, 1):
        features, told = every.gather(np.arange(15), epoch)
        assert np.array_equal(features.numpy(), rows.features)
        assert told.tolist() == np.repeat([0, 0, 1, 0, 2], 3).tolist()


def test_messages_name_the_video_and_the_time(
    events: Events, targets: manifest.Targets, tmp_path: Path
) -> None:
    fly = ClipSamples(events, RANDOM, "label", targets)
    cached = ViewTable(events, table(events, targets, tmp_path / "s", RANDOM), take="turn")
    for samples in (fly, cached):
        assert [samples.name(i) for i in (0, 1)] == ["long.mp4 [1.44-2.64 s]", "a.mp4"]


def test_broken_videos_follow_the_policy(tmp_path: Path) -> None:
    events = tiny.clips(tmp_path, groups=2, length=60)
    targets = manifest.targets(events, "label")
    names = list(events.rows["video"])
    torn, empty, missing = (events.path(names[i]) for i in (1, 2, 4))
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    empty.write_bytes(b"")
    missing.unlink()
    fly = ClipSamples(events, RANDOM, "label", targets)
    for index, why in ((1, str(torn)), (2, "empty"), (4, "there is no such file")):
        with pytest.raises(VideoError, match=why):
            fly.load(index, 0)
    for workers in (0, 2):
        loader = Loader(fly, device=CPU, workers=workers)
        batches = list(loader.stream([Pass(np.arange(6)), Pass(np.array([2]))], 0))
        first = batches[0]
        assert (first.indices.tolist(), first.weight, first.missing) == ([0, 3, 5], 3, 3)
        assert batches[1].weight == 0 and batches[1].missing == 1
        assert batches[1].data[0].shape == (1, T, SIZE, SIZE, 3)
        assert set(loader.skipped) == {1, 2, 4}


def test_an_event_behind_the_end_is_a_bad_sample(events: Events) -> None:
    rows = events.rows.copy()
    rows.loc[0, ["start", "end"]] = [90.0, 91.0]
    moved = Events.from_frames(rows, events.videos, events.root)
    fly = ClipSamples(moved, RANDOM, "label", manifest.targets(moved, "label"))
    with pytest.raises(VideoError, match=r"long.mp4: an event from 90 s to 91 s lies outside"):
        fly.load(0, 0)
    fly.load(2, 0)


def test_a_clip_that_takes_too_long_is_a_bad_sample(
    events: Events, targets: manifest.Targets
) -> None:
    fly = ClipSamples(events, RANDOM, "label", targets, time_limit=1e-6)
    with pytest.raises(VideoError, match="time limit"):
        fly.load(0, 0)


def test_a_file_is_indexed_once_as_far_as_memory_allows(
    events: Events, targets: manifest.Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    index = clip_samples.frame_index

    def counted(path: Path, **options: object) -> object:
        opened.append(path.name)
        return index(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(clip_samples, "frame_index", counted)
    fly = ClipSamples(events, RANDOM, "label", targets)
    for i in (0, 1, 2, 4, 0):
        fly.load(i, 0)
    assert opened == ["long.mp4", "a.mp4"]
    opened.clear()
    monkeypatch.setattr(clip_samples, "INDEXED_FRAMES", 66 + 9)  # long.mp4 and another one
    fly = ClipSamples(events, RANDOM, "label", targets)
    for i in (0, 1, 0, 3, 2, 1):
        fly.load(i, 0)
    assert opened == ["long.mp4", "a.mp4", "b.mp4", "a.mp4"]
