"""A manifest written beside videos that are reached through a link is read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.events import io


def test_a_linked_root(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "deep" / "videos" / "run"
    real.mkdir(parents=True)
    (real / "a.mp4").touch()
    link = tmp_path / "videos"
    try:
        link.symlink_to(tmp_path / "disk" / "deep" / "videos", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    events = io.read(link)
    path = io.write(events, tmp_path / "elsewhere" / "m.csv")
    assert io.read(path, root=link).videos["video"].tolist() == ["run/a.mp4"]
