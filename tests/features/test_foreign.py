from __future__ import annotations

import builtins
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from actionspace.errors import StoreError, UsageError
from actionspace.events.table import Events
from actionspace.features.bags import bags
from actionspace.features.foreign import ForeignFeatures, open_features
from actionspace.features.store import FeatureStore

ARRAY = np.arange(12, dtype=np.float64).reshape(4, 3)


def test_a_store_opens_as_a_store(tmp_path: Path) -> None:
    FeatureStore.create(tmp_path / "s", {"dim": 1})
    assert isinstance(open_features(tmp_path / "s"), FeatureStore)


def test_times_follow_stride_window_and_fps(tmp_path: Path) -> None:
    np.save(tmp_path / "v_one.npy", ARRAY)
    found = open_features(tmp_path, stride=4, window=16, fps=25, prefix="v_")
    assert found.videos() == ["one"] and "folder/one.mp4" in found and found.dim == 3
    one = found.get("folder\\one.mp4")
    np.testing.assert_allclose(one.times, [[i * 4 / 25, (i * 4 + 16) / 25] for i in range(4)])
    np.testing.assert_array_equal(one.features, ARRAY)
    per_video = open_features(tmp_path, stride=4, fps={"one": 50.0}, prefix="v_")
    np.testing.assert_allclose(per_video.get("one.mp4").times[1], [4 / 50, 8 / 50])


def test_real_features_rescaled_to_a_fixed_length(shared_data: Path) -> None:
    found = open_features(shared_data / "features/paddle_bmn", duration={"example_feat": 50.0})
    one = found.get("example_feat.mp4")
    assert one.features.shape == (100, 400) and one.features.dtype == np.float32
    np.testing.assert_allclose(one.times[[0, -1]], [[0, 0.5], [49.5, 50]])
    events = Events.from_frames([{"video": "example_feat.mp4", "start": 1, "end": 3, "label": "x"}])
    assert bags(events, found).size.tolist() == [4]


def test_npz_and_pt(tmp_path: Path) -> None:
    import torch

    np.savez(tmp_path / "z.npz", rgb=ARRAY, flow=-ARRAY)
    np.savez(tmp_path / "sole.npz", ARRAY.T[None])
    torch.save({"rgb": torch.from_numpy(ARRAY), "n": torch.tensor(4)}, tmp_path / "p.pt")
    torch.save(torch.from_numpy(ARRAY).half(), tmp_path / "q.pt")
    found = open_features(tmp_path, stride=1, fps=1, array="rgb")
    np.testing.assert_array_equal(found.get("z").features, ARRAY)
    np.testing.assert_array_equal(found.get("p").features, ARRAY)
    np.testing.assert_array_equal(found.get("q").features, ARRAY)
    with pytest.raises(StoreError, match=r"no array 'rgb'.*arr_0"):
        found.get("sole")
    with pytest.raises(StoreError, match=r"several arrays.*flow, rgb"):
        open_features(tmp_path, stride=1, fps=1).get("z")
    sole = open_features(tmp_path, stride=1, fps=1, transpose=True).get("sole")
    np.testing.assert_array_equal(sole.features, ARRAY)


def test_pickles_are_refused(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.write_text, (tmp_path / "owned", "yes"))

    (tmp_path / "e.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    np.save(tmp_path / "o.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    found = open_features(tmp_path, stride=1, fps=1)
    for name in ("e", "o"):
        with pytest.raises(StoreError, match="cannot be read"):
            found.get(name)
    assert not (tmp_path / "owned").exists()


class _FakeH5(ModuleType):
    """The three things of h5py that are used: File as a context, iteration, ``[name][()]``."""

    class File(dict):  # type: ignore[type-arg]
        def __init__(self, path: Path, mode: str) -> None:
            assert mode == "r"
            stem = Path(path).stem
            super().__init__(
                {"all": {"one": {(): ARRAY}, "two": {(): ARRAY + 1}}}.get(stem)
                or {"feats": {(): ARRAY}}
            )

        def __enter__(self) -> _FakeH5.File:
            return self

        def __exit__(self, *_: object) -> None: ...


def test_h5_by_file_and_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.h5").write_bytes(b"")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/one.hdf5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", _FakeH5("h5py"))
    whole = open_features(tmp_path / "all.h5", stride=1, fps=1)
    assert whole.videos() == ["one", "two"]
    np.testing.assert_array_equal(whole.get("two").features, ARRAY + 1)
    folder = open_features(tmp_path / "d", stride=1, fps=1)
    np.testing.assert_array_equal(folder.get("one").features, ARRAY)


def test_real_h5_files(tmp_path: Path) -> None:
    """A file of many videos, of one, in a group of its own, and one that is damaged."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["one"], file["two"] = ARRAY, (ARRAY + 1).astype(np.float16)
    whole = open_features(tmp_path / "all.h5", stride=1, fps=1)
    assert whole.videos() == ["one", "two"] and whole.dim == ARRAY.shape[1]
    np.testing.assert_array_equal(whole.get("one").features, ARRAY)
    np.testing.assert_array_equal(whole.get("two").features, (ARRAY + 1).astype(np.float16))
    (tmp_path / "each").mkdir()
    with h5py.File(tmp_path / "each" / "one.hdf5", "w") as file:
        file.create_dataset("feats", data=ARRAY, compression="gzip")
    (tmp_path / "each" / "bad.h5").write_bytes((tmp_path / "all.h5").read_bytes()[:300])
    each = open_features(tmp_path / "each", stride=1, fps=1)
    np.testing.assert_array_equal(each.get("one").features, ARRAY)
    with pytest.raises(StoreError, match=r"bad\.h5.*cannot be read"):
        each.get("bad")
    with pytest.raises(StoreError, match=r"bad\.h5 cannot be read"):
        open_features(tmp_path / "each" / "bad.h5", stride=1, fps=1)


def test_h5_without_h5py_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(StoreError, match="pip install h5py"):
        open_features(tmp_path, stride=1, fps=1).get("one")
    with pytest.raises(StoreError, match="pip install h5py"):
        open_features(tmp_path / "one.h5", stride=1, fps=1)


def test_names_that_occur_twice_keep_their_folder(tmp_path: Path) -> None:
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x_rgb.npy", ARRAY + (folder == "val"))
    found = open_features(tmp_path, stride=1, fps=1, suffix="_rgb")
    assert found.videos() == ["train/x", "val/x"]
    assert found.get("val/x.mp4").features[0, 0] == 1 and found.get("train/x").features[0, 0] == 0
    assert "x.mp4" not in found


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_features(tmp_path / "no")
    with pytest.raises(StoreError, match="neither a feature store nor"):
        open_features(tmp_path)
    np.save(tmp_path / "one.npy", ARRAY)
    np.save(tmp_path / "nan.npy", np.where(ARRAY == 4, np.nan, ARRAY))
    np.save(tmp_path / "flat.npy", ARRAY.ravel())
    (tmp_path / "torn.npy").write_bytes((tmp_path / "one.npy").read_bytes()[:-9])
    for options in ({}, {"stride": 4}, {"fps": 25.0}):
        with pytest.raises(UsageError, match="say when each row is"):
            open_features(tmp_path, **options)
    with pytest.raises(UsageError, match="above 0"):
        open_features(tmp_path, stride=0, fps=25)
    with pytest.raises(StoreError, match="starts with 'v_'"):
        open_features(tmp_path, stride=1, fps=1, prefix="v_")
    found = open_features(tmp_path, stride=1, fps={"one": 25.0})
    assert isinstance(found, ForeignFeatures)
    for name, words in {
        "nan": "row 1 holds NaN",
        "flat": r"shape \[12\]; expected",
        "torn": "cannot be read",
        "onne": "Did you mean 'one'",
    }.items():
        with pytest.raises(StoreError, match=words):
            found.get(name)
    np.save(tmp_path / "two.npy", ARRAY)
    with pytest.raises(StoreError, match=r"'two\.mp4' has no fps"):
        open_features(tmp_path, stride=1, fps={"one": 25.0}).get("two.mp4")


def test_reading_never_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "one.npy", ARRAY)
    real = builtins.open

    def read_only(file: Any, mode: str = "r", *args: Any, **kw: Any) -> Any:
        assert not set(mode) & set("wax+")
        return real(file, mode, *args, **kw)

    monkeypatch.setattr(builtins, "open", read_only)
    open_features(tmp_path, stride=1, fps=1).get("one")
    assert [p.name for p in tmp_path.iterdir()] == ["one.npy"]
