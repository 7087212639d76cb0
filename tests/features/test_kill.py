"""kill -9 at any moment, run again: the store equals the uninterrupted one.

Children are forked, so that torch is imported once. One test kills at every single write, before
and after it happens; the other at random moments.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionspace.events.table import Events
from actionspace.features.extract import extract
from actionspace.features.store import FeatureStore
from tests.features.tiny import contents, encoder, make_video, manifest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "fork"), reason="children are forked"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for i, frames in enumerate((40, 8, 25)):
        make_video(root / f"{i}.mp4", frames, seed=i)
    (root / "bad.mp4").write_bytes(b"junk")
    return root


def rows(root: Path, shift: float = 0.0) -> Events:
    videos = ("0.mp4", "1.mp4", "2.mp4", "bad.mp4")
    return manifest(root, [(v, shift, 0.8, "x") for v in videos] + [("0.mp4", 1, 3, "y")])


def work(events: Events, out: Path, **options: Any) -> FeatureStore:
    options = {"batch_size": 2, "part_seconds": 0, "progress": False} | options
    return extract(events, encoder(), out, **options)


def _child(events: Events, out: Path, kill_at: int | None, options: Any) -> None:
    """Extract, killing this process just before the ``kill_at``-th rename or removal of a file."""
    count = 0
    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "rmdir")):
        real = getattr(owner, name)

        def counted(*args: Any, _real: Any = real, **kw: Any) -> Any:
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return _real(*args, **kw)

        setattr(owner, name, counted)
    work(events, out, **options)


def fork(events: Events, out: Path, kill_at: int | None = None, **options: Any) -> Any:
    child = multiprocessing.get_context("fork").Process(
        target=_child, args=(events, out, kill_at, options)
    )
    child.start()
    return child


@pytest.mark.parametrize("kind", ["dense", "events"])
def test_killed_at_every_write(tmp_path: Path, root: Path, kind: str) -> None:
    # The event rows change between two extractions: files are replaced and removed as well.
    first, second = rows(root), rows(root, shift=0.1)
    store = work(second, tmp_path / "whole", rows=kind)
    assert store.summary is not None
    clips, want = store.summary.clips, contents(tmp_path / "whole")
    assert "skipped.json" in want and not any(name.startswith("parts") for name in want)
    if kind == "events":
        work(first, tmp_path / "first", rows=kind)
    redone = []
    for kill_at in range(1, 200):
        out = tmp_path / f"store{kill_at}"
        if kind == "events":
            shutil.copytree(tmp_path / "first", out)
        child = fork(second, out, kill_at, rows=kind)
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        store = work(second, out, rows=kind)
        assert contents(out) == want and store.summary is not None
        redone.append(store.summary.clips)
    # The later the kill the less is redone, down to nothing.
    assert len(redone) >= 8 and redone == sorted(redone, reverse=True)
    assert (redone[0], redone[-1]) == (clips, 0)


def test_killed_at_random_moments(tmp_path: Path, root: Path) -> None:
    events = rows(root)
    began = time.monotonic()
    child = fork(events, tmp_path / "whole")
    child.join(60)
    assert child.exitcode == 0
    duration = time.monotonic() - began
    rng = np.random.default_rng(0)
    for _ in range(4):
        child = fork(events, tmp_path / "store")
        child.join(rng.uniform(0.2, 1) * duration)
        child.kill()
        child.join(60)
    work(events, tmp_path / "store")
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
