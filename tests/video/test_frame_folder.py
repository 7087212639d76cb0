"""A folder of numbered pictures is a video like others; what is wrong with one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actionspace.errors import VideoError
from actionspace.features.content import content_hash
from actionspace.video.frame_folder import picture_count, read_frame_folder
from actionspace.video.index import frame_index
from actionspace.video.inspect import inspect
from actionspace.video.reader import Reader
from actionspace.video.sweep import sweep
from actionspace.video.transform import FrameTransform


def pictures(
    folder: Path, numbers: range = range(1, 31), name: str = "frame_{:010d}.jpg", fps: str = "60\n"
) -> Path:
    """Grey pictures, 8 brighter from one to the next."""
    folder.mkdir(parents=True)
    for i, number in enumerate(numbers):
        Image.fromarray(np.full((48, 64, 3), 8 * i, np.uint8)).save(folder / name.format(number))
    if fps:
        (folder / "fps.txt").write_text(fps)
    return folder


@pytest.mark.parametrize(
    ("first", "name", "fps", "expected"),
    [
        (1, "frame_{:010d}.jpg", "60\n", 60.0),
        (0, "img_{:05d}.png", "30000/1001", 30000 / 1001),
        (117, "{:04d}.jpeg", "12.5", 12.5),
    ],
)
def test_frames_and_times(tmp_path: Path, first: int, name: str, fps: str, expected: float) -> None:
    folder = pictures(tmp_path / "a 100%d - film", range(first, first + 30), name, fps)
    index = frame_index(folder)
    assert len(index) == picture_count(folder) == 30
    np.testing.assert_allclose(index.times[:, 0], np.arange(30) / expected, atol=1e-9)
    assert index.keyframes.tolist() == list(range(30))  # so any can be read without the others
    wanted = [0, 13, 29]
    found = list(sweep(folder, wanted, transform=FrameTransform(), index=index))
    assert [number for number, _ in found] == wanted
    for number, picture in found:
        assert picture.shape == (48, 64, 3) and abs(int(picture[5, 5, 0]) - 8 * number) <= 2
    info = inspect(folder)
    assert (info.verdict, info.frames, info.width, info.height) == ("ok", 30, 64, 48)
    assert info.fps == pytest.approx(expected) and not info.vfr


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda f: (f / "frame_0000000012.jpg").unlink(),
            "1 of 30 pictures are missing, first fra",
        ),
        (lambda f: (f / "frame_0000000003.jpg").rename(f / "frame_3.jpg"), "named in two ways"),
        (lambda f: [p.unlink() for p in f.glob("*.jpg")], "no numbered pictures"),
        (lambda f: (f / "fps.txt").unlink(), r"a folder, not a video file.*into .*fps\.txt"),
        (lambda f: (f / "fps.txt").write_text("sixty"), r"fps\.txt must hold one number"),
        (lambda f: (f / "fps.txt").write_text("0"), r"says 0 pictures per second"),
    ],
)
def test_what_is_wrong_with_a_folder(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    folder = pictures(tmp_path / "film")
    assert read_frame_folder(folder).count == 30
    spoil(folder)
    with pytest.raises(VideoError, match=said), Reader(folder):
        pass
    assert inspect(folder).verdict == "bad"


def test_a_damaged_picture_is_damage(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "film")
    (folder / "frame_0000000010.jpg").write_bytes(b"not a picture")
    info = inspect(folder)
    assert info.verdict == "partial" and info.frames == 29 and "corrupt" in info.reason


def test_the_hash_is_of_names_and_bytes(tmp_path: Path) -> None:
    folder, same = pictures(tmp_path / "film"), pictures(tmp_path / "copy")
    before = content_hash(folder)
    assert before == content_hash(folder) == content_hash(same)
    (folder / ".hidden").touch()
    assert content_hash(folder) == before
    (folder / "frame_0000000010.jpg").write_bytes((folder / "frame_0000000011.jpg").read_bytes())
    changed = content_hash(folder)
    assert changed != before
    (same / "fps.txt").write_text("50\n")
    assert content_hash(same) not in (before, changed)
