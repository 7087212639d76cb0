"""Sound: right pitch at the right second, log-mel as its formula says, pooled over clips."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.encoders.sound import LogMelEncoder
from actionspace.errors import UsageError, VideoError
from actionspace.features.bags import bags
from actionspace.features.extract import extract
from actionspace.video.audio import read_sound, sound_clips
from actionspace.video.clips import ClipRequest
from actionspace.video.index import frame_index
from actionspace.video.logmel import BLOCK, LogMel, columns, filterbank, log_mel
from actionspace.video.sweep import SweepStats
from tests.features import tiny
from tests.video import sounding

FPS = 25
SMALL = LogMel(rate=8000, n_fft=256, hop=80, mels=20)


def _pictures(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (round(seconds * FPS), 32, 48, 3)).astype(np.uint8)


def _beep(seconds: float, start: float, end: float) -> np.ndarray:
    sound = sounding.tone(seconds)
    at = np.arange(len(sound)) / 44_100
    return np.where((at >= start) & (at < end), sound, 0.0)


def _reference(samples: np.ndarray, of: LogMel) -> np.ndarray:
    """The spectrogram by its formula: sums over samples and frequencies, one value at a time."""
    n, half = of.n_fft, of.n_fft // 2
    padded = np.concatenate([np.zeros(half), samples, np.zeros(n)])
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / n) for i in range(n)]
    turn = np.exp(-2j * np.pi * np.outer(np.arange(half + 1), np.arange(n)) / n)
    top = of.high or of.rate / 2
    mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (of.low, top)), of.mels + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    rows = []
    for k in range(1 + len(samples) // of.hop):
        power = np.abs(turn @ (padded[k * of.hop : k * of.hop + n] * window)) ** 2
        row = []
        for m in range(of.mels):
            left, middle, right = hertz[m : m + 3]
            total = 0.0
            for i, p in enumerate(power):
                f = i * of.rate / n
                if left < f <= middle:
                    total += p * (f - left) / (middle - left)
                elif middle < f < right:
                    total += p * (right - f) / (right - middle)
            row.append(math.log(total + 1e-6))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("of", [SMALL, LogMel(8000, 200, 64, 12, 100, 3000)])
def test_log_mel_is_its_formula(of: LogMel):
    samples = np.random.default_rng(0).normal(0, 0.3, 1500)
    np.testing.assert_allclose(log_mel(samples, of), _reference(samples, of), atol=2e-5)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=8))
def test_a_stream_gives_the_columns_of_the_whole(lengths: list[int]):
    samples = np.random.default_rng(1).normal(0, 0.3, sum(lengths)).astype(np.float32)
    pieces = np.split(samples, np.cumsum(lengths)[:-1])
    streamed = np.concatenate(list(columns(pieces, SMALL)))
    whole = log_mel(samples, SMALL)
    assert len(streamed) == 1 + len(samples) // SMALL.hop
    np.testing.assert_allclose(streamed, whole, atol=1e-5)
    assert BLOCK * SMALL.hop < 60_000  # so that long streams are cut


def test_a_tone_is_loudest_in_its_band():
    of = LogMel()
    loudest = log_mel(sounding.tone(1, 2000, of.rate), of)[20:-20].mean(axis=0).argmax()
    centre = (filterbank(of)[:, loudest] * np.fft.rfftfreq(of.n_fft, 1 / of.rate)).sum()
    assert centre / filterbank(of)[:, loudest].sum() == pytest.approx(2000, rel=0.05)


KINDS = {
    "a.mp4": ("aac", 44_100),
    "b.mkv": ("pcm_s16le", 44_100),
    "c.avi": ("pcm_s16le", 22_050),
    "d.webm": ("libopus", 48_000),
}


@pytest.mark.parametrize("name", KINDS)
def test_sound_lies_at_the_time_of_its_pictures(name: str, tmp_path: Path):
    codec, rate = KINDS[name]
    at = np.arange(3 * rate) / rate
    beep = np.where((at >= 1) & (at < 1.5), sounding.tone(3, rate=rate), 0)
    path = sounding.write(tmp_path / name, _pictures(3), beep, rate=rate, codec=codec)
    heard = np.flatnonzero(np.abs(read_sound(path, 16_000)) > 0.2) / 16_000
    assert heard[0] == pytest.approx(1, abs=0.01) and heard[-1] == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("late", [0.4, -0.4])
def test_a_track_that_starts_late_or_early_is_moved(late: float, tmp_path: Path):
    path = tmp_path / "late.mkv"
    beep = _beep(3, 1, 1.5)
    sounding.write(path, _pictures(3), beep, codec="pcm_s16le", late=late)
    heard = np.flatnonzero(np.abs(read_sound(path, 16_000)) > 0.2) / 16_000
    assert heard[0] == pytest.approx(1 + late, abs=0.01)
    assert heard[-1] == pytest.approx(1.5 + late, abs=0.01)


@pytest.fixture(scope="module")
def beeping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds that sound from 1 to 2 s."""
    path = tmp_path_factory.mktemp("audio") / "beep.mkv"
    return sounding.write(path, _pictures(4), _beep(4, 1, 2), codec="pcm_s16le")


def test_a_clip_hears_what_sounds_while_it_is_seen(beeping: Path):
    index, of = frame_index(beeping), LogMel()
    spans = {
        "silent": (0, 20),
        "loud": (30, 45),
        "half": (0, 50),
        "short": (40, 41),
        "end": (99, 100),
    }
    requests = [ClipRequest(k, np.arange(*s)[:: 3 if k == "half" else 1]) for k, s in spans.items()]
    stats = SweepStats()
    got = {c.key: c.frames for c in sound_clips(beeping, requests, of, index=index, stats=stats)}
    assert [*got] == ["silent", "short", "loud", "half", "end"]  # by their last frame
    whole = log_mel(read_sound(beeping, of.rate), of)
    for name, (first, stop) in spans.items():
        stop = range(first, stop)[:: 3 if name == "half" else 1][-1] + 1
        heard = whole[math.ceil(first * 4) : math.ceil(stop * 4)]  # 100 columns, 25 frames a second
        expected = np.concatenate([heard.mean(axis=0), heard.std(axis=0)])
        np.testing.assert_allclose(got[name], expected, atol=1e-4, err_msg=name)
    assert got["loud"][:64].max() > got["silent"][:64].max() + 10
    assert got["half"][64:].max() > 5 > 1 > got["loud"][64:].max()
    assert stats.damage == "" and stats.dropped == []


def test_sound_features_lie_on_the_grid_of_the_pictures(beeping: Path, tmp_path: Path):
    events = tiny.manifest(
        beeping.parent, [("beep.mkv", 0.0, 1.0, "quiet"), ("beep.mkv", 1.0, 2.0, "loud")]
    )
    encoder = LogMelEncoder(LogMel(mels=40))
    dense = extract(events, encoder, tmp_path / "dense", hop=10, progress=False)
    seen = extract(events, tiny.encoder(), tmp_path / "seen", hop=10, progress=False)
    found = dense.get("beep.mkv")
    assert found.features.shape == (len(found), 80) == (8, 80)
    assert (found.times[:5, 0] == seen.get("beep.mkv").times[:5, 0]).all()
    anchored = extract(events, encoder, tmp_path / "events", rows="events", progress=False)
    quiet, loud = anchored.get("beep.mkv").features
    assert loud[:40].max() > quiet[:40].max() + 10
    assert bags(events, dense).size.tolist() == [1, 3]
    again = extract(events, encoder, tmp_path / "dense", hop=10, progress=False)
    assert again.summary is not None and again.summary.known == 1
    assert dense.fingerprint["options"]["mels"] == 40


def test_videos_without_sound_are_named_and_the_others_kept(beeping: Path, tmp_path: Path):
    root = tmp_path / "videos"
    root.mkdir()
    (root / "beep.mkv").write_bytes(beeping.read_bytes())
    tiny.make_video(root / "mute.mp4", 30)
    sounding.write(root / "short.mkv", _pictures(4), _beep(2, 1, 2), codec="pcm_s16le")
    events = tiny.manifest(
        root, [(v, None, None, "x") for v in ("beep.mkv", "mute.mp4", "short.mkv")]
    )
    encoder = LogMelEncoder(LogMel())
    store = extract(events, encoder, tmp_path / "s", progress=False)
    assert store.videos() == ["beep.mkv"]
    assert "mute.mp4: has no sound track" in store.skipped()["mute.mp4"]
    assert "the sound ends at 2.00 s of 4.00 s" in store.skipped()["short.mkv"]
    part = extract(events, encoder, tmp_path / "p", policy="partial", progress=False)
    assert part.get("short.mkv").times[-1, 1] <= 2.1
    assert "rows are missing" in part.get("short.mkv").meta["partial"]
    with pytest.raises(VideoError, match="no sound track"):
        extract(events, encoder, tmp_path / "r", policy="raise", progress=False)


def test_sound_that_ends_a_little_early_goes_on_as_silence(tmp_path: Path):
    path = sounding.write(tmp_path / "a.mkv", _pictures(4), _beep(3.5, 0, 3.5), codec="pcm_s16le")
    [clip] = sound_clips(path, [ClipRequest("end", np.arange(90, 100))], LogMel())
    np.testing.assert_allclose(clip.frames[:64], np.log(1e-6), atol=1e-4)


def test_what_is_wrong_is_said():
    with pytest.raises(UsageError, match="bands without a frequency"):
        LogMel(n_fft=128, mels=80)
    with pytest.raises(UsageError, match="low below high"):
        LogMel(low=9000)
    import torch

    with pytest.raises(UsageError, match="was given pictures"):
        LogMelEncoder(LogMel()).prepare(torch.zeros(1, 4, 8, 8, 3))


def test_damaged_sound_is_an_error_or_sound_never_a_crash(beeping: Path, tmp_path: Path):
    good, rng = beeping.read_bytes(), np.random.default_rng(0)
    requests = [ClipRequest(i, np.arange(i, i + 10)) for i in (0, 45, 90)]
    heard = refused = 0
    for case in range(25):
        data = np.frombuffer(good, np.uint8).copy()
        at = rng.integers(len(data) // 10, len(data), 200)
        data[at] = rng.integers(0, 256, 200)
        path = tmp_path / f"{case}.mkv"
        path.write_bytes(data.tobytes()[: len(data) if case % 2 else int(rng.integers(len(data)))])
        try:
            clips = list(sound_clips(path, requests, LogMel(), policy="partial"))
            heard += all(np.isfinite(c.frames).all() for c in clips)
        except VideoError:
            refused += 1
    assert heard + refused == 25 and heard > 0 and refused > 0
