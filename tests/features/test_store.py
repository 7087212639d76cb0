from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import StoreError
from actionspace.features.store import FeatureStore, VideoFeatures

FINGERPRINT = {"encoder": "tiny", "weights": "abc", "dim": 4, "rows": "dense", "hop": 16}


def some(n: int = 3, seed: int = 0) -> VideoFeatures:
    rng = np.random.default_rng(seed)
    start = np.arange(n, dtype=np.float64)
    features = rng.normal(size=(n, 4)).astype(np.float16)
    meta = {"zeta": 1, "alpha": "x", "duration": 9.5}
    return VideoFeatures(features, np.stack([start, start + 1.5], axis=1), meta)


def files(store: Path) -> dict[str, bytes]:
    return {
        p.relative_to(store).as_posix(): p.read_bytes() for p in store.rglob("*") if p.is_file()
    }


def test_round_trip(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("a/one.mp4", "ab" * 16, some())
    store.save_index()
    again = FeatureStore.open(tmp_path / "s")
    assert again.videos() == ["a/one.mp4"] and "a/one.mp4" in again and "two.mp4" not in again
    assert "a\\one.mp4" in again  # a manifest written on Windows
    found = again.get("a/one.mp4")
    np.testing.assert_array_equal(found.features, some().features)
    np.testing.assert_array_equal(found.times, some().times)
    assert found.features.dtype == np.float16 and found.times.dtype == np.float64
    assert found.meta == some().meta and len(found) == 3
    assert (again.dim, again.n_views, again.rows) == (4, 1, "dense")


def test_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    for name, order in (("s", [0, 1, 2]), ("t", [2, 0, 1])):
        store = FeatureStore.create(tmp_path / name, FINGERPRINT)
        for i in order:
            store.put(f"{i}.mp4", f"{i}" * 32, some(seed=i))
        store.save_skipped({f"bad{i}.mp4": "broken" for i in order})
        store.save_index()
    assert files(tmp_path / "s") == files(tmp_path / "t")


def test_refuses_to_mix_and_says_what_differs(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s", FINGERPRINT)
    FeatureStore.create(tmp_path / "s", FINGERPRINT)  # the same one is opened
    with pytest.raises(StoreError, match=r"hop: 16 there, 8 now; weights: 'abc' there, 'xyz' now"):
        FeatureStore.create(tmp_path / "s", FINGERPRINT | {"hop": 8, "weights": "xyz"})
    with pytest.raises(StoreError, match=r"seed: 'not set' there, 1 now"):
        FeatureStore.create(tmp_path / "s", FINGERPRINT | {"seed": 1})


def test_tuples_in_a_fingerprint_are_what_json_gives_back(tmp_path: Path) -> None:
    fingerprint = FINGERPRINT | {"mean": (1.0, 2.0)}
    FeatureStore.create(tmp_path / "s", fingerprint)
    FeatureStore.create(tmp_path / "s", fingerprint)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(StoreError, match="not a feature store"):
        FeatureStore.create(tmp_path, FINGERPRINT)
    with pytest.raises(StoreError, match="not a feature store"):
        FeatureStore.create(tmp_path / "thesis.txt", FINGERPRINT)
    with pytest.raises(StoreError, match=r"no store\.json"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}', '{"format": 1}'])
def test_damaged_store_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store.json|format"):
        FeatureStore.open(tmp_path)


def test_missing_damaged_and_skipped_videos_have_a_reason(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("one.mp4", "ab" * 16, some())
    store.save_skipped({"bad.mp4": "no frames"})
    with pytest.raises(StoreError, match="no frames"):
        store.get("bad.mp4")
    with pytest.raises(StoreError, match=r"Did you mean 'one\.mp4'"):
        store.get("onne.mp4")
    file = store.file_of("ab" * 16)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(StoreError, match="damaged"):
        store.get("one.mp4")
    file.unlink()
    with pytest.raises(StoreError, match="missing"):
        store.get("one.mp4")
    store.save_skipped({})
    assert not (store.path / "skipped.json").exists() and store.skipped() == {}


def test_replaced_features_leave_no_orphan_even_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("one.mp4", "a" * 32, some())
    store.put("copy.mp4", "b" * 32, some())
    store.link("same.mp4", "b" * 32, 3)
    store.save_index()
    store.put("one.mp4", "c" * 32, some(seed=1))
    store.link("copy.mp4", "c" * 32, 3)  # b stays: same.mp4 still points at it

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.save_index()
    assert store.file_of("a" * 32).exists()
    FeatureStore.open(tmp_path / "s").save_index()
    assert not store.file_of("a" * 32).exists() and store.file_of("b" * 32).exists()
    assert "stale" not in (tmp_path / "s/index.json").read_text()


def test_clean_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("one.mp4", "a" * 32, some())
    store.save_index()
    before = files(store.path)
    for name in (
        f"aa/.{'a' * 32}.safetensors.x1.tmp.safetensors",
        ".index.json.x2.tmp.json",
        f"parts/{'a' * 32}/000000000-000000002.safetensors",
        f"parts/{'c' * 32}/.000000000-000000002.safetensors.x3.tmp.safetensors",
    ):
        (store.path / name).parent.mkdir(parents=True, exist_ok=True)
        (store.path / name).write_bytes(b"torn")
    unfinished = store.parts_of("c" * 32) / "000000000-000000002.safetensors"
    unfinished.write_bytes(b"kept")
    store.clean()
    assert unfinished.exists()  # work that another run may go on from
    store.drop_parts("c" * 32)
    assert files(store.path) == before and not (store.path / "parts").exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_disk_full_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("one.mp4", "a" * 32, some())
    store.save_index()
    before = files(store.path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "replace") if call == "replace" else (os, "fsync")), full)
        with pytest.raises(StoreError, match=r"No space left.*are safe"):
            store.put("two.mp4", "b" * 32, some())
        with pytest.raises(StoreError, match="No space left"):
            store.save_index()
    assert files(store.path) == before
    store.put("two.mp4", "b" * 32, some())
    store.save_index()
    assert FeatureStore.open(store.path).videos() == ["one.mp4", "two.mp4"]


def test_export_npy(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", FINGERPRINT)
    store.put("a/one.mp4", "a" * 32, some())
    store.export_npy(tmp_path / "npy")
    found = np.load(tmp_path / "npy/a/one.mp4.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, some().features)
    times = np.load(tmp_path / "npy/a/one.mp4.times.npy", allow_pickle=False)
    np.testing.assert_array_equal(times, some().times)
