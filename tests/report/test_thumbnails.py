from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from actionspace.errors import VideoError
from actionspace.report.thumbnails import LONGEST_SIDE, MOMENTS, film, pick_frames
from actionspace.video.write import write_video


def decode(address: str) -> np.ndarray:
    from PIL import Image

    head, body = address.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGB"))


@pytest.fixture(scope="module")
def brightening(tmp_path_factory):
    """Forty frames at 20 fps that get brighter; the right half is always black."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [np.full((240, 640, 3), 40 + 5 * i, np.uint8) for i in range(40)]
    for frame in frames:
        frame[:, 320:] = 0
    write_video(path, frames, fps=20)
    return path


def test_moments_of_an_interval(brightening):
    found = film(brightening, 0.5, 1.5)
    assert (found.width, found.height) == (LONGEST_SIDE, 120)
    sheet = decode(found.address)
    assert sheet.shape == (MOMENTS * 120, LONGEST_SIDE, 3)
    levels = [int(sheet[i * 120 + 60, 80, 0]) for i in range(MOMENTS)]
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(40 + 5 * 10.5, abs=8)
    assert levels[-1] == pytest.approx(40 + 5 * 28.5, abs=8)


def test_crop(brightening):
    found = film(brightening, crop=(320, 0, 320, 240))
    assert (found.width, found.height) == (320, 240)
    assert decode(found.address).max() < 40


def test_pick_frames():
    times = np.stack([np.arange(10) / 10, np.arange(1, 11) / 10], axis=1)
    assert pick_frames(times, None, None, 5) == [1, 3, 5, 7, 9]
    assert pick_frames(times, 0.3, 0.5, 4) == [3, 3, 4, 4]
    assert pick_frames(times, 0.45, 0.45, 2) == [4, 4]  # a point event
    assert pick_frames(times, 5.0, 6.0, 2) == [9, 9]  # past the end


def test_a_file_that_is_no_video(tmp_path):
    path = tmp_path / "bad.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(VideoError):
        film(path)


def test_real_clip(shared_data):
    clip = next((shared_data / "rat_behaviour" / "public").glob("rearing/*.mkv"))
    found = film(clip)
    sheet = decode(found.address)
    assert (found.width, found.height) == (320, 180)
    assert sheet.shape == (8 * 180, 320, 3) and sheet.std() > 10
    assert len(found.address) < 120_000
