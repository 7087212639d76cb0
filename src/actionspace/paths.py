"""Files that are either there whole or not there at all, and paths that travel between systems."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from actionspace.errors import ActionspaceError, DataError


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that replaces it when the block ends well.

    Missing parent folders are made. On an exception the temporary file is removed and ``target``
    is left as it was.

    Raises:
        ActionspaceError: the folder cannot be written, or the disk is full.
    """
    target = Path(target)
    tmp: Path | None = None
    with _explained(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(
                dir=target.parent, prefix=f".{target.name}.", suffix=f".tmp{target.suffix}"
            )
            os.close(fd)
            tmp = Path(name)
            yield tmp
            with tmp.open("rb") as f:
                os.fsync(f.fileno())
            tmp.chmod(0o666 & ~_umask())
            tmp.replace(target)
            tmp = None
        finally:
            if tmp is not None:
                with contextlib.suppress(OSError):
                    tmp.unlink()


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``target`` when the block ends well.

    On an exception it is removed and ``target`` is as it was. Between the two renames that
    replace an existing folder the old one lies beside it under a name that starts with a dot.

    Raises:
        ActionspaceError: the place cannot be written, or the disk is full.
    """
    target = Path(target)
    tmp: Path | None = None
    with _explained(target):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            tmp = Path(
                tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
            )
            tmp.chmod(0o777 & ~_umask())
            yield tmp
            _take_place(tmp, target)
            tmp = None
        finally:
            if tmp is not None:
                shutil.rmtree(tmp, ignore_errors=True)


def _take_place(tmp: Path, target: Path) -> None:
    if not target.exists():
        tmp.replace(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old"))
    old.rmdir()
    target.replace(old)
    try:
        tmp.replace(target)
    except OSError:
        old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn an error of the file system into one that says what to do."""
    try:
        yield
    except OSError as e:
        raise ActionspaceError(
            f"Cannot write {target}: {e.strerror or e}. Nothing that was there before is changed; "
            f"free space or choose another folder and run again."
        ) from e


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8, ``\\n`` line ends) to ``target`` atomically."""
    with atomic_path(target) as tmp:
        tmp.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON to ``target`` atomically; NaN becomes ``null``."""
    write_text(target, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: lists, dicts, no NaN, numpy scalars unwrapped."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON; the message names line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as e:
        raise DataError(f"{path} does not exist.") from e
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise DataError(f"{path} is not valid JSON: {e}") from e


def portable(path: str | os.PathLike[str]) -> str:
    """Return a relative path with ``/`` between its parts, whatever system wrote it."""
    text = os.fspath(path)
    return PureWindowsPath(text).as_posix() if "\\" in text else text


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes as lower-case hex."""
    with Path(path).open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Return the SHA-256 of ``value``'s canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def cache_dir() -> Path:
    """Return the cache folder: ``ACTIONSPACE_CACHE`` if set, else the user's cache folder."""
    override = os.environ.get("ACTIONSPACE_CACHE")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("actionspace", appauthor=False))
