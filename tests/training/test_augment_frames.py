"""Augmentation of clips that are compared frame by frame: Pillow's levels, draws, boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from actionspace.config import parse
from actionspace.errors import UsageError
from actionspace.training.augment import eight_bit
from actionspace.training.augment.draws import Draws
from actionspace.training.augment.frame_options import FramesConfig
from actionspace.training.augment.frames import (
    COLOURS,
    Change,
    FrameAugment,
    carry_out,
    draw_changes,
)

CARL = {
    "crop": {"p": 1, "area": [0.8, 1.0]},
    "flip": 0.5,
    "jitter": {"p": 0.8, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
    "blur": {"p": 0.5},
    "grey": 0.2,
}
SUPERVISED = {"flip": 0.5, "jitter": {"brightness": 0.125, "contrast": 0.5}, "order": "fixed"}


def turned(picture: Image.Image, turns: float) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    moved = np.asarray(hue) + np.uint8(int(turns * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(moved), saturation, value)).convert("RGB")


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda picture, f: ImageEnhance.Brightness(picture).enhance(f),
    "contrast": lambda picture, f: ImageEnhance.Contrast(picture).enhance(f),
    "saturation": lambda picture, f: ImageEnhance.Color(picture).enhance(f),
    "hue": turned,
    "blur": lambda picture, r: picture.filter(ImageFilter.GaussianBlur(r)),
}
OURS = {**COLOURS, "blur": eight_bit.blur}


def frames(seed: int, count: int, height: int, width: int, step: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.integers(0, 256 // step, (count, height, width, 3)) * step).astype(np.uint8)


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.data())
def test_operations_give_the_levels_of_pillow(name, seed, shape, data):
    # Few values make greys, ties and equal channels common; random ones miss exact halves.
    clip = frames(seed, 2, *shape, step=data.draw(st.sampled_from([1, 5, 51])))
    turn = np.random.default_rng(seed).uniform(-1, 1)
    value = {"hue": turn / 2, "blur": 1.2 + 1.1 * turn}.get(name, 1 + turn)
    got = OURS[name](torch.from_numpy(clip).permute(0, 3, 1, 2).float().contiguous(), value)
    expected = [np.asarray(PILLOW[name](Image.fromarray(frame), value)) for frame in clip]
    difference = np.abs(got.permute(0, 2, 3, 1).numpy() - np.stack(expected))
    assert difference.max() <= (name == "blur") and (difference > 0).mean() < 0.01


def augment(options: dict, size: int = 16) -> FrameAugment:
    return FrameAugment(parse(FramesConfig, options), size, seed=3)


@pytest.mark.parametrize("options", [CARL, SUPERVISED])
def test_a_sample_is_the_same_in_any_batch_and_differs_by_view(options):
    clips = [torch.from_numpy(frames(k, 3, 20 + k, 28)) for k in range(6)]
    before = [clip.clone() for clip in clips]
    together = augment(options).train(clips, np.arange(6), epoch=2)
    assert together.shape == (6, 3, 3, 16, 16) and together.dtype == torch.float32
    alone = augment(options).train(clips[4:], np.array([4, 5]), epoch=2)
    assert torch.equal(alone, together[4:])
    other = augment(options).train(clips, np.arange(6), epoch=2, view=1)
    assert not torch.equal(other, together)
    assert all(torch.equal(a, b) for a, b in zip(clips, before, strict=True))


def test_all_frames_of_a_clip_share_their_draw():
    still = torch.from_numpy(frames(0, 1, 20, 28)).expand(4, -1, -1, -1)
    changed = augment(CARL).train([still] * 8, np.arange(8), epoch=0)
    assert torch.equal(changed, changed[:, :1].expand_as(changed))
    assert len({clip.numpy().tobytes() for clip in changed[:, 0]}) == 8


def test_how_often_and_in_which_order():
    draws = Draws(0, 0, np.arange(4000))
    changes = draw_changes(draws, parse(FramesConfig, CARL), [(20, 28)] * 4000)
    coloured = [c for c in changes if c.colours]
    shares = [
        np.mean([c.mirror for c in changes]),
        len(coloured) / 4000,
        np.mean([c.blur > 0 for c in coloured]),
        np.mean([c.grey for c in changes]),
    ]
    assert np.allclose(shares, [0.5, 0.8, 0.5, 0.2], atol=0.03)
    assert len({tuple(name for name, _ in c.colours) for c in coloured}) == 24
    assert 0.1 < min(c.blur for c in coloured if c.blur) < max(c.blur for c in coloured) < 2
    values = np.array([dict(c.colours)["hue"] for c in coloured])
    assert -0.2 <= values.min() < -0.19 and 0.19 < values.max() <= 0.2
    fixed = draw_changes(draws, parse(FramesConfig, SUPERVISED), [(20, 28)] * 4000)
    assert {tuple(name for name, _ in c.colours) for c in fixed} == {("brightness", "contrast")}
    assert all(c.colours_first and c.box is None and not c.blur for c in fixed)


@pytest.mark.parametrize(
    ("shape", "box"),
    [((360, 640), (80, 0, 480, 360)), ((640, 360), (0, 80, 360, 480)), ((1, 1), (0, 0, 1, 1))],
)
def test_where_no_attempt_fits_it_is_the_middle(shape, box):
    config = parse(FramesConfig, {"crop": {"p": 1, "area": [0.99, 1.0]}})
    changes = draw_changes(Draws(0, 0, np.arange(50)), config, [shape] * 50)
    assert {change.box for change in changes} == {box}


def test_colours_before_or_after_the_box():
    clip = torch.from_numpy(frames(1, 1, 20, 28))
    clip[:, :, 14:] = 255  # the mean grey of the whole frame is not that of the box
    for first in (False, True):
        change = Change(box=(0, 0, 14, 14), colours=(("contrast", 0.0),), colours_first=first)
        out = carry_out(change, clip, torch.empty(1, 3, 14, 14), (0, 0, 0), (1, 1, 1)) * 255
        whole = clip if first else clip[:, :14, :14]
        grey = (whole.float() @ torch.tensor([0.299, 0.587, 0.114])).mean()
        assert float(out.min()) == float(out.max()) == pytest.approx(float(grey), abs=1)


def test_nothing_is_changed_by_default_and_small_frames_are_refused():
    clip = torch.from_numpy(frames(2, 2, 16, 16))
    plain = FrameAugment(parse(FramesConfig, {}), 16, 0, mean=(0, 0, 0), std=(1, 1, 1))
    trained = plain.train([clip], np.array([7]), epoch=1)
    assert torch.equal(trained, plain.evaluate([clip]))
    assert torch.equal((trained[0] * 255).round().byte(), clip.permute(0, 3, 1, 2))
    with pytest.raises(UsageError, match="evaluate=resize"):
        augment({"evaluate": "center"}, 17).evaluate([clip])
    middle = augment({"evaluate": "center"}, 13).evaluate([clip])
    assert torch.equal(
        middle, FrameAugment(parse(FramesConfig, {}), 13, 0).evaluate([clip[:, 2:15, 2:15]])
    )
