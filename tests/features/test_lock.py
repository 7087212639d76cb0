from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actionspace.errors import StoreError
from actionspace.features.lock import locked


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        with (
            pytest.raises(StoreError, match=rf"process {os.getpid()}\) is writing"),
            locked(tmp_path),
        ):
            pass
        with pytest.raises(StoreError), locked(tmp_path):  # a refusal does not drop the lock
            pass
    with locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_bytes() == b""


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from actionspace.features.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=f"process {child.pid}"), locked(tmp_path):
        pass
    child.kill()
    child.communicate()
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write in"), locked(tmp_path / "file" / "store"):
        pass
