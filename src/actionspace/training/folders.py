"""Folders that appear whole: written beside their place under another name, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from actionspace.errors import ActionspaceError


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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
        tmp.chmod(0o777 & ~_umask())
        yield tmp
        _take_place(tmp, target)
        tmp = None
    except OSError as e:
        raise ActionspaceError(
            f"Cannot write {target}: {e.strerror or e}. Nothing that was there before is changed; "
            f"free space or choose another folder and run again."
        ) from e
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
