"""Each operation gives what torchvision gives, clip by clip (where that is installed)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.training.augment import colour, geometry
from actionspace.training.augment.randaugment import MAPS, Choice, affine_maps, apply, parameter
from actionspace.training.augment.randaugment import OPS as NAMES

tv = pytest.importorskip("torchvision.transforms.v2.functional")
BILINEAR = pytest.importorskip("torchvision.transforms").InterpolationMode.BILINEAR

GREYS = 255 * 2e-6  # rounding of float32 in torchvision's 0 to 1
HEIGHT, WIDTH = 23, 31


def clips(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> torch.Tensor:
    """Three clips of two frames: noise, few values, and smooth with a flat channel."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (3, 2, 3, height, width), generator=g)
    x[1] = x[1] // 64 * 60 + 5
    x[2] = (torch.arange(width) * 3 + torch.arange(height)[:, None] * 2 + 40).clamp(max=255)
    x[2, :, 1] = 77
    return x.float()


def both(ours, theirs, values, tolerance=GREYS):
    """Compare an operation on a batch with one on each clip, of values from 0 to 1."""
    x = clips()
    found = ours(x, torch.tensor(values, dtype=torch.float32))
    wanted = torch.stack([theirs(c / 255, v) * 255 for c, v in zip(x, values, strict=True)])
    assert (found - wanted).abs().max() <= tolerance


FACTORS = [0.0, 0.7, 1.9]


def test_brightness():
    both(colour.brightness, tv.adjust_brightness, FACTORS)


def test_contrast():
    both(colour.contrast, tv.adjust_contrast, FACTORS, 1e-3)


def test_saturation():
    both(colour.saturation, tv.adjust_saturation, FACTORS, 1e-3)


def test_sharpness():
    both(colour.sharpness, tv.adjust_sharpness, FACTORS, 1e-3)


@pytest.mark.parametrize("turns", [[-0.5, 0.0, 0.5], [0.1, -0.37, 0.23]])
def test_hue(turns):
    both(colour.hue, tv.adjust_hue, turns, 5e-3)


def whole(ours, theirs, values):
    """Compare an operation on whole grey levels exactly."""
    x = clips()
    found = ours(x, torch.tensor(values, dtype=torch.float32))
    wanted = torch.stack([theirs(c.byte(), v) for c, v in zip(x, values, strict=True)])
    assert torch.equal(found, wanted.float())


@pytest.mark.parametrize("bits", [[8, 7, 4], [1, 3, 0]])
def test_posterize(bits):
    whole(colour.posterize, tv.posterize, bits)


@pytest.mark.parametrize("thresholds", [[0, 128, 255], [77, 78, 200]])
def test_solarize(thresholds):
    whole(colour.solarize, tv.solarize, thresholds)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (12, 12), (40, 50)])
def test_equalize(size):
    x = clips(1, *size)
    assert torch.equal(colour.equalize(x), torch.stack([tv.equalize(c.byte()) for c in x]).float())


def test_autocontrast():
    x = clips()
    x[0] = 100 + x[0] / 4
    wanted = torch.stack([tv.autocontrast(c / 255) * 255 for c in x])
    assert (colour.autocontrast(x) - wanted).abs().max() < 1e-2


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_resized_crop(data):
    x, boxes, mirror = clips(), [], []
    for _ in x:
        w, h = data.draw(st.integers(1, WIDTH)), data.draw(st.integers(1, HEIGHT))
        at = data.draw(st.integers(0, WIDTH - w)), data.draw(st.integers(0, HEIGHT - h))
        boxes.append((*at, w, h))
        mirror.append(data.draw(st.booleans()))
    found = geometry.crop_resize(x, torch.tensor(boxes), torch.tensor(mirror))
    for clip, (left, top, w, h), flip, ours in zip(x, boxes, mirror, found, strict=True):
        wanted = tv.resized_crop(clip, top, left, h, w, [HEIGHT, WIDTH], BILINEAR, antialias=False)
        wanted = tv.horizontal_flip(wanted) if flip else wanted
        assert (ours - wanted).abs().max() < 5e-3


def their_map(name: str, s: float, clip: torch.Tensor) -> torch.Tensor:
    """What torchvision's RandAugment does at strength s, bilinearly and with black around.

    (With another colour it weighs pixels at the edge twice.)
    """
    flat = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    how = {"interpolation": BILINEAR}
    slant = math.degrees(math.atan(0.3 * s))
    if name == "rotate":
        return tv.rotate(clip, 30 * s, **how)
    if name.startswith("shear"):
        flat["shear"] = [slant, 0.0] if name == "shear_x" else [0.0, slant]
        return tv.affine(clip, **flat, **how, center=[0, 0])
    shift = [int(s * WIDTH * 150 / 331), 0], [0, int(s * HEIGHT * 150 / 331)]
    flat["translate"] = shift[0] if name == "translate_x" else shift[1]
    return tv.affine(clip, **flat, **how)


@pytest.mark.parametrize("name", MAPS)
def test_maps(name):
    x, signed = clips(), np.array([1.0, -0.33, 0.6])
    maps = torch.from_numpy(affine_maps(np.array([name] * 3), signed, HEIGHT, WIDTH))
    wanted = torch.stack([their_map(name, s, c) for s, c in zip(signed, x, strict=True)])
    assert (geometry.affine(x, maps, 0.0) - wanted).abs().max() < 0.02
    shifted = geometry.affine(x - 128, maps, -128.0) + 128
    assert (shifted - wanted).abs().max() < 0.02


def test_strengths_are_torchvisions():
    transforms = pytest.importorskip("torchvision.transforms.v2")
    theirs = transforms.RandAugment(num_magnitude_bins=31)._AUGMENTATION_SPACE
    names = {
        "brightness": "Brightness",
        "color": "Color",
        "contrast": "Contrast",
        "sharpness": "Sharpness",
    }
    s, one = np.linspace(0, 1, 31), np.ones(31)
    for ours, name in names.items():
        levels = theirs[name][0](31, HEIGHT, WIDTH).numpy()
        assert np.abs(parameter(ours, s, one) - 1 - levels).max() < 1e-6
    bits = theirs["Posterize"][0](31, HEIGHT, WIDTH)
    assert (parameter("posterize", s, one) == np.asarray(bits)).all()
    solarize = 255 * theirs["Solarize"][0](31, HEIGHT, WIDTH).numpy()
    assert np.abs(parameter("solarize", s, one) - solarize).max() < 1.01  # from 256, not 255
    assert len(NAMES) == len(theirs)


def test_operations_reach_the_clips_they_are_meant_for():
    x = clips()
    names = ["solarize", "rotate", "equalize"]
    choice = Choice(
        np.array([NAMES.index(n) for n in names]), np.array([0.5, 1.0, 0.2]), np.array([1, -1, 1])
    )
    found = apply(x.clone(), choice, 0.0)
    assert torch.equal(found[0], tv.solarize(x[0].byte(), 128).float())
    assert (found[1] - their_map("rotate", -1.0, x[1])).abs().max() < 0.02
    assert torch.equal(found[2], tv.equalize(x[2].byte()).float())
