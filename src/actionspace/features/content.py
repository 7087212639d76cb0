"""The hash of a video's bytes, remembered by path, size and modification time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from actionspace.errors import VideoError
from actionspace.paths import cache_dir, sha256_file


def content_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, from the cache if path, size and mtime are as they were.

    The cache is a convenience: if it cannot be read or written, the file is hashed again.

    Raises:
        VideoError: the file is missing or cannot be read.
    """
    path = Path(path).absolute()
    try:
        facts = path.stat()
        known = _recall(str(path), facts.st_size, facts.st_mtime_ns)
        if known is None:
            known = sha256_file(path)
            _remember(str(path), facts.st_size, facts.st_mtime_ns, known)
        return known
    except OSError as e:
        raise VideoError(f"Cannot read {path}: {e.strerror or e}.") from e


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
