"""Facts and verdicts about real files, against a list made independently."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from actionspace.video.inspect import VideoInfo, inspect
from actionspace.video.write import write_video
from tests.video import counter

ALIKE = ("rat_behaviour", "fight_surveillance")


def _disagreements(info: VideoInfo, row: dict[str, str], exact: bool) -> list[str]:
    if row["error"]:
        return ["verdict"] if info.verdict == "ok" or not info.reason else []

    def near(value: float, text: str) -> bool:
        return abs(value - float(text)) < 1e-3 if text else math.isnan(value)

    checks = {
        "verdict": info.verdict == "ok" and not info.reason,
        "frames": info.frames == int(row["frames_decoded"]),
        "fps": near(info.fps, row["avg_fps"]),
        "size": (info.width, info.height) == (int(row["width"]), int(row["height"])),
        "codec": (info.codec, info.pix_fmt) == (row["codec"], row["pix_fmt"]),
        "audio": info.audio_streams == int(row["audio_streams"]),
        "rotation": info.rotation == int(row["rotation"]),
        "vfr": info.vfr == bool(int(row["vfr"])) or (not exact and float(row["min_dt"]) < 0),
        "dt": not exact or (near(info.min_dt, row["min_dt"]) and near(info.max_dt, row["max_dt"])),
        "duration": abs(info.duration - float(row["duration_s"])) <= 1 / (info.fps or 10) + 1e-3,
    }
    return [name for name, holds in checks.items() if not holds]


@pytest.mark.slow
def test_every_real_file_is_as_listed(shared_data: Path) -> None:
    with (shared_data / "probe.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    wrong = {}
    for n, row in enumerate(rows):
        # Many clips are alike: of most of these the packets are counted, not the frames.
        exact = row["path"].split("/")[0] not in ALIKE or n % 12 == 0
        info = inspect(shared_data / row["path"], exact=exact)
        if found := _disagreements(info, row, exact):
            wrong[row["path"]] = (found, info)
    assert rows and not wrong


def test_counting_packets_gives_the_same_count(shared_data: Path) -> None:
    paths = sorted((shared_data / "awkward" / "torchcodec").glob("testsrc2_odd*"))
    for path in paths:
        quick, exact = inspect(path, exact=False), inspect(path)
        assert (quick.frames, quick.duration) == (exact.frames, exact.duration)


def test_a_made_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", counter.frames(50), 29.97, gop=10, rotation=90)
    info = inspect(path)
    assert (info.frames, info.width, info.height, info.rotation) == (50, 64, 48, 90)
    assert (info.codec, info.pix_fmt, info.keyframes) == ("h264", "yuv420p", 5)
    assert (info.vfr, info.audio_streams, info.verdict) == (False, 0, "ok")
    assert info.fps == pytest.approx(29.97) and info.duration == pytest.approx(50 / 29.97, abs=1e-3)


def test_varying_rate_and_late_start(numbered: Callable[[str], Path]) -> None:
    info = inspect(numbered("varying_late_start.mkv"))
    assert info.vfr and info.start > 0.5 and info.verdict == "ok"
    assert (info.min_dt, info.max_dt) == pytest.approx((0.01, 0.08))


@pytest.mark.parametrize("fps", [24, 30, 60, 120])
def test_rounded_stamps_are_not_a_varying_rate(tmp_path: Path, fps: int) -> None:
    info = inspect(write_video(tmp_path / "a.mkv", counter.frames(60), fps))
    assert not info.vfr and info.max_dt - info.min_dt == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a video at all" * 100, "cannot be opened as a video"),
        (
            b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00",
            "cannot be opened|no video",
        ),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://example.invalid/a.ts\n", "cannot be opened"),
    ],
)
def test_no_video_is_a_verdict(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    info = inspect(path)
    assert info.verdict == "bad" and str(path) in info.reason
    assert any(part in info.reason for part in reason.split("|"))


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av
    import numpy as np

    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = np.zeros((1, 8000), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = inspect(path)
    assert info.verdict == "bad" and "holds no video stream (only audio)" in info.reason


def test_a_hole_in_the_file_is_found_only_by_decoding(
    numbered: Callable[[str], Path], tmp_path: Path
) -> None:
    data = bytearray(numbered("gop30.mp4").read_bytes())
    start = data.index(b"mdat") + len(data) // 2
    data[start : start + 1000] = bytes(1000)
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    assert inspect(path, exact=False).verdict == "ok"
    info = inspect(path)
    assert info.verdict == "partial" and info.reason.startswith("corrupt")
