"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import ActionspaceError, DataError
from actionspace.paths import (
    atomic_path,
    cache_dir,
    plain,
    portable,
    read_json,
    sha256_json,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as tmp:
        tmp.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ActionspaceError, match="No space left"):
        write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_json_round_trip_turns_nan_into_null(tmp_path: Path) -> None:
    value = {"a": float("nan"), "b": np.float32(1.5), "c": np.arange(2), 3: (1, 2)}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {"a": None, "b": 1.5, "c": [0, 1], "3": [1, 2]}
    assert plain(value)["c"] == [0, 1]


def test_bad_json_names_the_file_and_the_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": }')
    with pytest.raises(DataError, match=r"a\.json.*line 1"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="does not exist"):
        read_json(tmp_path / "b.json")


def test_windows_paths_travel() -> None:
    assert portable("clips\\day one\\a.mp4") == "clips/day one/a.mp4"
    assert portable("clips/a.mp4") == "clips/a.mp4"


def test_canonical_hash_ignores_key_order() -> None:
    assert sha256_json({"a": 1, "b": [1.0, None]}) == sha256_json({"b": [1.0, None], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})


def test_cache_dir_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("ACTIONSPACE_CACHE")
    assert "actionspace" in str(cache_dir())
