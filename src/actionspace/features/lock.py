"""One writer per folder, by a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from actionspace.errors import StoreError


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``'s lock while the block runs.

    The lock file stays, empty; removing it would let two processes hold two locks. A process
    that was killed leaves no lock behind. Where the file system has no locks, none is held.

    Raises:
        StoreError: another process writes there; the message names it.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as e:
        raise StoreError(
            f"Cannot write in {folder}: {e.strerror}. Choose a folder you may write in."
        ) from e
    try:
        try:
            _lock(handle)
        except OSError as e:
            if e.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise StoreError(_held_message(folder, path)) from e
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()}".encode())
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _held_message(folder: Path, path: Path) -> str:
    with contextlib.suppress(OSError):
        holder = path.read_text(encoding="utf-8").strip()
        if holder:
            return (
                f"Another extraction ({holder}) is writing to {folder}. Wait for it to end, stop "
                f"it, or choose another place."
            )
    return f"Another extraction is writing to {folder}. Wait for it to end or choose another place."


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1 << 20, os.SEEK_SET)  # past the text, so that others may read it
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
