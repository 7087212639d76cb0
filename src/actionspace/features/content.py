"""The hash of a video's bytes, remembered by path, size and modification time.

A folder of pictures is hashed by the names and bytes of what it holds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from actionspace.errors import VideoError
from actionspace.paths import cache_dir, sha256_file, sha256_json
from actionspace.video.frame_folder import is_flow_folder


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a video, from the cache if path, size and mtime are as they were.

    The cache is a convenience: if it cannot be read or written, the file is hashed again.

    Raises:
        VideoError: the file is missing or cannot be read.
    """
    path = Path(path).absolute()
    try:
        files = _pictures(path) if path.is_dir() else [path]
        facts = [f.stat() for f in files]
        size, mtime = sum(f.st_size for f in facts), max((f.st_mtime_ns for f in facts), default=0)
        known = _recall(str(path), size, mtime)
        if known is None:
            known = sha256_file(path) if files == [path] else _hash_folder(files)
            _remember(str(path), size, mtime, known)
        return known
    except OSError as e:
        raise VideoError(f"Cannot read {path}: {e.strerror or e}.") from e


def _pictures(folder: Path) -> list[Path]:
    inside = folder.rglob("*") if is_flow_folder(folder) else folder.iterdir()
    return sorted(p for p in inside if p.is_file() and not p.name.startswith("."))


def _hash_folder(files: list[Path]) -> str:
    return sha256_json([[f.name, sha256_file(f)] for f in files])


def _recall(path: str, size: int, mtime: int) -> str | None:
    with contextlib.suppress(sqlite3.Error, OSError), _cache() as db:
        row = db.execute(
            "SELECT sha256 FROM videos WHERE path=? AND size=? AND mtime=?", (path, size, mtime)
        ).fetchone()
        return str(row[0]) if row else None
    return None


def _remember(path: str, size: int, mtime: int, sha256: str) -> None:
    with contextlib.suppress(sqlite3.Error, OSError), _cache() as db:
        db.execute("INSERT OR REPLACE INTO videos VALUES (?,?,?,?)", (path, size, mtime, sha256))


@contextlib.contextmanager
def _cache() -> Iterator[sqlite3.Connection]:
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "video_hashes.sqlite", timeout=10)
    try:
        with db:
            db.execute(
                "CREATE TABLE IF NOT EXISTS videos"
                "(path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER, sha256 TEXT)"
            )
            yield db
    finally:
        db.close()
