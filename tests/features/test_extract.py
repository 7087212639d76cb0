from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.errors import StoreError, UsageError, VideoError
from actionspace.events.table import Events
from actionspace.features import assembly, forward
from actionspace.features.bags import bags
from actionspace.features.extract import extract, views_of
from actionspace.features.lock import locked
from actionspace.features.store import FeatureStore
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index
from actionspace.video.views import Views
from tests.features.tiny import CLIP, contents, encoder, make_video, manifest

NAN = float("nan")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    make_video(root / "a.mp4", 30, seed=1)
    make_video(root / "sub/b.mp4", 21, seed=2)
    make_video(root / "short.mp4", 3, seed=3)
    return root


@pytest.fixture(scope="module")
def events(root: Path) -> Events:
    return manifest(
        root,
        [
            ("a.mp4", 0.2, 1.0, "x"),
            ("a.mp4", 0.5, 1.5, "y"),
            ("a.mp4", 0.5, 1.5, "z"),
            ("sub/b.mp4", NAN, NAN, "x"),
            ("short.mp4", 0.1, 0.1, "y"),
        ],
    )


def run(events: Events, out: Path, **options: Any) -> FeatureStore:
    return extract(events, options.pop("encoder", encoder()), out, progress=False, **options)


def expected(path: Path, hop: int) -> np.ndarray:
    """Features one clip at a time, by the plain definition."""
    index, views = frame_index(path), views_of(encoder())
    asked, times = views.requests_dense(index, hop)
    rows = np.zeros((len(times), 8), np.float32)
    net = encoder().eval()
    for clip in iter_clips(path, asked, views.transform()):
        with torch.inference_mode():
            rows[clip.key[0]] = net(net.prepare(torch.from_numpy(clip.frames[None]))).numpy()[0]
    return rows


def test_dense_rows(tmp_path: Path, root: Path, events: Events) -> None:
    store = run(events, tmp_path / "s", dtype="float32")
    assert store.videos() == ["a.mp4", "short.mp4", "sub/b.mp4"] and store.rows == "dense"
    for video, rows in (("a.mp4", 7), ("sub/b.mp4", 5), ("short.mp4", 1)):
        found = store.get(video)
        assert found.features.shape == (rows, 8) and found.features.dtype == np.float32
        np.testing.assert_allclose(found.features, expected(root / video, 4), atol=2e-6)
        assert found.times[0, 0] == 0 and found.times[-1, 1] == found.meta["duration"]
    assert store.get("a.mp4").times[1].tolist() == pytest.approx([0.4, 1.2])
    assert store.fingerprint["hop"] == CLIP.span // 2 and store.fingerprint["compute"] == "float32"
    assert store.summary is not None
    assert (store.summary.videos, store.summary.clips, store.summary.known) == (3, 13, 0)
    assert bags(events, store).size.tolist() == [2, 2, 2, 5, 1]


def test_float16_is_the_default_and_views_are_an_axis(tmp_path: Path, events: Events) -> None:
    views = Views(4, 2, 16, 16, geometry="three")
    store = run(events, tmp_path / "s", views=views, hop=8)
    found = store.get("a.mp4")
    assert found.features.shape == (4, 3, 8) and found.features.dtype == np.float16
    assert store.n_views == 3 and len(np.unique(found.features[0], axis=0)) == 3
    one = run(events, tmp_path / "t", hop=8).get("a.mp4").features  # the middle crop alone
    middle = np.abs(found.features.astype(float) - one[:, None]).max(axis=(0, 2)).argmin()
    np.testing.assert_allclose(found.features[:, middle], one, atol=1e-3)


def test_event_rows(tmp_path: Path, events: Events) -> None:
    views = Views(4, 2, 16, 16, clips=2)
    store = run(events, tmp_path / "s", rows="events", views=views)
    assert store.rows == "events" and store.get("a.mp4").features.shape == (2, 2, 8)
    assert store.get("a.mp4").times.tolist() == [[0.2, 1.0], [0.5, 1.5]]
    assert store.get("sub/b.mp4").times.tolist() == [[0.0, pytest.approx(2.1)]]
    found = bags(events, store)
    assert found.size.tolist() == [2, 2, 2, 2, 2]
    np.testing.assert_array_equal(found.features[2:4], found.features[4:6])


def test_changed_events_redo_their_video_only(
    tmp_path: Path, root: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(events, tmp_path / "s", rows="events")
    kept, old = before._index["sub/b.mp4"]["file"], before._index["a.mp4"]["file"]
    relabelled = events.rows.assign(label="other", id=[f"n{i}" for i in range(5)])
    same = run(Events.from_frames(relabelled, root=root), tmp_path / "s", rows="events")
    assert same.summary is not None and (same.summary.videos, same.summary.known) == (0, 3)
    moved = events.rows.assign(start=[0.3, *events.rows["start"][1:]])
    changed = Events.from_frames(moved, root=root)
    after = run(changed, tmp_path / "s", rows="events")
    assert after.summary is not None and (after.summary.videos, after.summary.known) == (1, 2)
    assert after._index["sub/b.mp4"]["file"] == kept
    assert not (after.path / old).exists()
    run(changed, tmp_path / "t", rows="events")
    assert contents(tmp_path / "s") == contents(tmp_path / "t")


def test_augmented_views_are_random_but_repeatable(tmp_path: Path, events: Events) -> None:
    views = Views(4, 2, 16, 16, augment=3, seed=5)
    one = run(events, tmp_path / "s", rows="events", views=views).get("a.mp4").features
    assert one.shape == (2, 3, 8) and len(np.unique(one.reshape(6, 8), axis=0)) == 6
    run(events, tmp_path / "t", rows="events", views=views, batch_size=1)
    again = FeatureStore.open(tmp_path / "t").get("a.mp4").features
    np.testing.assert_allclose(again, one, atol=1e-3)


def test_order_of_the_manifest_and_company_do_not_matter(
    tmp_path: Path, root: Path, events: Events
) -> None:
    run(events, tmp_path / "s", batch_size=3)
    run(Events.from_frames(events.rows[::-1], root=root), tmp_path / "t", batch_size=3, threads=1)
    for video in ("short.mp4", "a.mp4", "sub/b.mp4"):
        run(events.select(videos=[video]), tmp_path / "u", batch_size=3)
    assert contents(tmp_path / "s") == contents(tmp_path / "t") == contents(tmp_path / "u")


def test_moved_and_copied_videos_are_recognised(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(root, tmp_path / "v")
    rows = [("a.mp4", 0, 1, "x"), ("copy.mp4", 0, 1, "x")]
    shutil.copy(root / "a.mp4", tmp_path / "v/copy.mp4")
    store = run(manifest(tmp_path / "v", rows), tmp_path / "s")
    assert store.summary is not None and store.summary.videos == 1
    np.testing.assert_array_equal(store.get("a.mp4").features, store.get("copy.mp4").features)
    (tmp_path / "v/a.mp4").rename(tmp_path / "v/renamed.mp4")
    store = run(manifest(tmp_path / "v", [("renamed.mp4", 0, 1, "x")]), tmp_path / "s")
    assert store.summary is not None and (store.summary.videos, store.summary.known) == (0, 1)
    assert "renamed.mp4" in store and len(list(store.path.glob("*/*.safetensors"))) == 1


def test_crop_is_part_of_the_key(tmp_path: Path, root: Path) -> None:
    rows = [("a.mp4", 0, 1, "x")]
    whole = run(manifest(root, rows), tmp_path / "s").get("a.mp4")
    cropped = manifest(root, rows, **{"a.mp4": {"crop": "8,0,16,24"}})
    store = run(cropped, tmp_path / "s")
    assert store.get("a.mp4").meta["crop"] == [8, 0, 16, 24] and whole.meta["crop"] is None
    assert not np.array_equal(store.get("a.mp4").features, whole.features)
    run(cropped, tmp_path / "t")
    assert contents(tmp_path / "s") == contents(tmp_path / "t")


def test_other_settings_are_refused_with_their_names(tmp_path: Path, events: Events) -> None:
    run(events, tmp_path / "s")
    for options, words in (
        ({"hop": 2}, "hop: 4 there, 2 now"),
        ({"encoder": encoder(seed=1)}, "weights: 'untrained-seed0' there"),
        ({"dtype": "float32"}, "dtype: 'float16' there"),
        ({"precision": "bfloat16"}, "compute: 'float32' there, 'bfloat16' now"),
        ({"rows": "events"}, "rows: 'dense' there, 'events' now"),
        ({"views": Views(4, 2, 16, 16, resize="fast")}, "resize: 'exact' there, 'fast' now"),
        ({"stochastic_depth": True}, "stochastic_depth: False there"),
    ):
        before = contents(tmp_path / "s")
        with pytest.raises(StoreError, match=words):
            run(events, tmp_path / "s", **options)
        assert contents(tmp_path / "s") == before


def test_parts_change_nothing(tmp_path: Path, events: Events) -> None:
    run(events, tmp_path / "s", batch_size=2)
    run(events, tmp_path / "t", batch_size=2, part_seconds=0)
    assert contents(tmp_path / "s") == contents(tmp_path / "t")


def test_interrupted_in_a_long_video_goes_on_behind_the_last_part(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(events, tmp_path / "s", batch_size=2)
    sizes: list[int] = []
    real = forward.Forward.__call__

    def interrupted(self: forward.Forward, clips: np.ndarray, seed: int) -> np.ndarray:
        if len(sizes) == 2:
            raise KeyboardInterrupt
        sizes.append(len(clips))
        return real(self, clips, seed)

    with monkeypatch.context() as patch:
        patch.setattr(forward.Forward, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(events, tmp_path / "t", batch_size=2, part_seconds=0)
    assert len(list((tmp_path / "t/parts").glob("*/*.safetensors"))) == 2
    store = run(events, tmp_path / "t", batch_size=2)
    assert store.summary is not None and store.summary.clips == 13 - 4
    assert contents(tmp_path / "s") == contents(tmp_path / "t")


def test_stochastic_depth_is_active_and_repeatable(tmp_path: Path, events: Events) -> None:
    noisy = encoder(drop=0.5).train()
    options: dict[str, Any] = {"encoder": noisy, "stochastic_depth": True, "batch_size": 2}
    state = torch.random.get_rng_state()
    run(events, tmp_path / "s", **options)
    assert torch.equal(torch.random.get_rng_state(), state) and noisy.training
    run(events.select(videos=["a.mp4"]), tmp_path / "t", **options)
    run(events, tmp_path / "t", **options)
    assert contents(tmp_path / "s") == contents(tmp_path / "t")
    other = run(events, tmp_path / "u", **options, seed=1).get("a.mp4").features
    plain = run(events, tmp_path / "v", encoder=noisy).get("a.mp4").features
    found = FeatureStore.open(tmp_path / "s").get("a.mp4").features
    assert not np.array_equal(found, other) and not np.array_equal(found, plain)
    np.testing.assert_allclose(plain, run(events, tmp_path / "w").get("a.mp4").features, atol=1e-3)


def test_bad_videos_are_skipped_with_a_reason_and_tried_again(tmp_path: Path, root: Path) -> None:
    shutil.copytree(root, tmp_path / "v")
    whole = (root / "a.mp4").read_bytes()
    (tmp_path / "v/bad.mp4").write_bytes(b"junk" * 100)
    rows = [(v, 0, 0.5, "x") for v in ("bad.mp4", "a.mp4", "gone.mp4")]
    events = manifest(tmp_path / "v", rows)
    store = run(events, tmp_path / "s")
    assert store.videos() == ["a.mp4"] and set(store.skipped()) == {"bad.mp4", "gone.mp4"}
    assert store.summary is not None and store.summary.skipped == store.skipped()
    assert "skipped gone.mp4" in str(store.summary)
    assert bags(events, store).size.tolist() == [0, 1, 0]
    for video in ("bad.mp4", "gone.mp4"):
        with pytest.raises(VideoError, match=video):
            run(events.select(videos=[video]), tmp_path / "t", policy="raise")
        (tmp_path / "v" / video).write_bytes(whole + video.encode())
    store = run(events, tmp_path / "s")
    assert len(store) == 3 and store.skipped() == {}
    assert not (tmp_path / "s/skipped.json").exists()


def test_a_truncated_video_by_policy(tmp_path: Path, root: Path) -> None:
    make_video(tmp_path / "cut.mkv", 60, seed=7)
    data = (tmp_path / "cut.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    events = manifest(tmp_path, [("cut.mkv", 0, 1, "x")])
    assert set(run(events, tmp_path / "s").skipped()) == {"cut.mkv"}
    assert not (tmp_path / "s/parts").exists()
    store = run(events, tmp_path / "t", policy="partial")
    found = store.get("cut.mkv")
    assert 1 <= len(found) < 14 and store.summary is not None
    assert found.meta.get("partial", "") in store.summary.partial.get("cut.mkv", "")


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_hole_in_a_video_costs_its_rows_only(tmp_path: Path, suffix: str) -> None:
    """In mkv the packets are gone, in mp4 they hold zeros."""
    video = f"hole.{suffix}"
    make_video(tmp_path / video, 60, seed=7)
    events = manifest(tmp_path, [(video, 0, 1, "x")])
    whole = run(events, tmp_path / "s").get(video)
    data = bytearray((tmp_path / video).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    (tmp_path / video).write_bytes(data)
    assert video in run(events, tmp_path / "s").skipped()
    stores = [
        run(events, tmp_path / name, policy="partial", batch_size=3, **options)
        for name, options in (("t", {}), ("u", {"part_seconds": 0}))
    ]
    assert contents(tmp_path / "t") == contents(tmp_path / "u")
    found, summary = stores[0].get(video), stores[0].summary
    assert 0 < len(found) < len(whole) and summary is not None and summary.partial[video]
    if suffix == "mp4":
        assert "rows are missing" in found.meta["partial"]
        assert found.meta["partial"] in summary.partial[video]
        np.testing.assert_array_equal(found.features[0], whole.features[0])


def test_bfloat16_is_near_float32(tmp_path: Path, events: Events) -> None:
    exact = run(events, tmp_path / "s", dtype="float32")
    rough = run(events, tmp_path / "t", dtype="float32", precision="bfloat16")
    a, b = exact.get("a.mp4").features, rough.get("a.mp4").features
    assert 0 < np.abs(a - b).max() < 1e-2 * np.abs(a).max()


def test_compiled_batches_have_one_shape(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling takes a minute, so the compiler is replaced; each shape would be compiled."""
    shapes: set[int] = set()

    def compiler(module: torch.nn.Module) -> Any:
        def call(x: torch.Tensor) -> torch.Tensor:
            shapes.add(len(x))
            found: torch.Tensor = module(x)
            return found

        return call

    run(events, tmp_path / "s", dtype="float32", batch_size=4)
    monkeypatch.setattr(torch, "compile", compiler)
    run(events, tmp_path / "t", dtype="float32", batch_size=4, compile=True)
    assert shapes == {4}
    for video in events.videos["video"]:
        ours, plain = (FeatureStore.open(tmp_path / name).get(video) for name in "ts")
        np.testing.assert_allclose(ours.features, plain.features, atol=1e-5)


def test_nan_names_video_and_time(tmp_path: Path, events: Events) -> None:
    broken = encoder()
    torch.nn.init.constant_(broken.backbone.mix.bias, NAN)  # type: ignore[union-attr,arg-type]
    with pytest.raises(StoreError, match=r"'a\.mp4', clip at 0\.000-0\.800 s: NaN or infinity"):
        run(events, tmp_path / "s", encoder=broken)
    large = encoder()
    torch.nn.init.constant_(large.backbone.embed.bias, 1e6)  # type: ignore[union-attr,arg-type]
    with pytest.raises(StoreError, match=r"too large for float16; use dtype=float32"):
        run(events, tmp_path / "t", encoder=large)
    run(events, tmp_path / "u", encoder=large, dtype="float32")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_disk_full_keeps_what_is_done(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    run(events, tmp_path / "s")
    real, count = os.fsync if call == "fsync" else Path.replace, [0]

    def full(*args: Any) -> Any:
        count[0] += 1
        if count[0] > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, full)
        with pytest.raises(StoreError, match=r"No space left.*are safe"):
            run(events, tmp_path / "t")
    kept = list((tmp_path / "t").glob("*/*.safetensors"))
    assert len(kept) == 2 and not list((tmp_path / "t").rglob("*.tmp*"))
    store = run(events, tmp_path / "t")
    assert store.summary is not None and store.summary.known == 2
    assert contents(tmp_path / "s") == contents(tmp_path / "t")


def test_a_place_that_cannot_be_written(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write in"):
        run(events, tmp_path / "file/s")

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(StoreError, match=r"Cannot write in .*Read-only file system"):
        run(events, tmp_path / "t")


def test_two_extractions_on_one_store(tmp_path: Path, events: Events) -> None:
    with locked(tmp_path / "s"), pytest.raises(StoreError, match="Another extraction"):
        run(events, tmp_path / "s")
    run(events, tmp_path / "s")


def test_impossible_options(tmp_path: Path, root: Path, events: Events) -> None:
    for options, words in (
        ({"rows": "evnts"}, "neither 'dense' nor 'events'"),
        ({"rows": "events", "hop": 4}, "hop= belongs to"),
        ({"hop": 0}, "at least 1 frame"),
        ({"dtype": "float8"}, "none of float16, float32"),
        ({"policy": "partail"}, "Did you mean 'partial'"),
        ({"precision": "half"}, "none of auto"),
        ({"batch_size": 0}, "at least 1 clip"),
    ):
        with pytest.raises(UsageError, match=words):
            run(events, tmp_path / "s", **options)
    nothing = manifest(root, [("a.mp4", NAN, NAN, None)])
    with pytest.raises(UsageError, match="nothing to extract"):
        run(nothing, tmp_path / "s", rows="events")
    assert not (tmp_path / "s").exists()


def test_progress_goes_to_stderr(
    tmp_path: Path, events: Events, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(events, encoder(), tmp_path / "s")
    out, err = capsys.readouterr()
    assert out == "" and "3 videos extracted" in err and "waiting for data" in err


def test_packed_batches_agree(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU short videos share batches; forced here on the CPU."""
    from actionspace.features.run import Run

    run(events, tmp_path / "s", dtype="float32")
    sizes: list[int] = []
    real_forward, real_run = forward.Forward.__call__, Run.run

    def packed(self: Run, *args: Any) -> Any:
        self.pack = True
        return real_run(self, *args)

    def counted(self: forward.Forward, clips: np.ndarray, seed: int) -> np.ndarray:
        sizes.append(len(clips))
        return real_forward(self, clips, seed)

    monkeypatch.setattr(Run, "run", packed)
    monkeypatch.setattr(forward.Forward, "__call__", counted)
    run(events, tmp_path / "t", dtype="float32", batch_size=6)
    assert sizes == [6, 1 + 5, 1] and sum(sizes) == 13
    for video in FeatureStore.open(tmp_path / "s").videos():
        ours = FeatureStore.open(tmp_path / "t").get(video)
        theirs = FeatureStore.open(tmp_path / "s").get(video)
        np.testing.assert_allclose(ours.features, theirs.features, atol=1e-5)


def test_a_damaged_file_of_the_store_is_redone(tmp_path: Path, events: Events) -> None:
    store = run(events, tmp_path / "s")
    before = contents(tmp_path / "s")
    file = store.path / store._index["a.mp4"]["file"]
    file.write_bytes(file.read_bytes()[:100])
    store = run(events, tmp_path / "s")
    assert store.summary is not None and (store.summary.videos, store.summary.known) == (1, 2)
    assert contents(tmp_path / "s") == before


def test_no_time_stamps(tmp_path: Path, events: Events) -> None:
    run(events, tmp_path / "s")
    index = json.loads((tmp_path / "s/index.json").read_text())
    assert set(index) == {"videos"} and (tmp_path / "s/.lock").read_bytes() == b""
    assert assembly.committed_clips(FeatureStore.open(tmp_path / "s"), "0" * 32) == 0
