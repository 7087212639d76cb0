from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from actionspace.errors import VideoError
from actionspace.features import content
from actionspace.features.content import content_hash
from actionspace.features.fingerprint import video_key


def test_hash_is_remembered_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(tmp_path / "cache"))
    read: list[Path] = []
    real = content.sha256_file
    monkeypatch.setattr(content, "sha256_file", lambda p: read.append(p) or real(p))
    video = tmp_path / "a.mp4"
    video.write_bytes(b"one")
    assert content_hash(video) == content_hash(video) == hashlib.sha256(b"one").hexdigest()
    assert len(read) == 1
    video.write_bytes(b"two")
    os.utime(video, ns=(1, 1))  # same size, other time
    assert content_hash(video) == hashlib.sha256(b"two").hexdigest() and len(read) == 2


@pytest.mark.parametrize("break_cache", ["file in the way", "not a database"])
def test_a_broken_cache_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_cache: str
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(cache))
    if break_cache == "file in the way":
        cache.write_text("")
    else:
        cache.mkdir()
        (cache / "video_hashes.sqlite").write_bytes(b"junk" * 1000)
    (tmp_path / "a.mp4").write_bytes(b"one")
    assert content_hash(tmp_path / "a.mp4") == hashlib.sha256(b"one").hexdigest()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4"):
        content_hash(tmp_path / "none.mp4")


def test_key_follows_content_crop_and_rows_only() -> None:
    key = video_key("abc")
    assert len(key) == 32 and key == video_key("abc", None, None)
    others = [
        video_key("abd"),
        video_key("abc", (0, 0, 10, 10)),
        video_key("abc", None, []),
        video_key("abc", None, [(0.0, 1.0)]),
        video_key("abc", None, [(0.0, 1.0000000000000002)]),
    ]
    assert len({key, *others}) == 6
