"""Augmentation of clips against the original of CARL: operations, and whole pipelines."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from actionspace.config import parse
from actionspace.training.augment import eight_bit
from actionspace.training.augment.frame_options import FramesConfig
from actionspace.training.augment.frames import (
    COLOURS,
    MEAN,
    STD,
    Box,
    Change,
    FrameAugment,
    carry_out,
    middle,
)
from actionspace.video.float_clips import third_crop
from tests.golden.carl import Case, cases, parametrize

CASES = [case for case in cases("augment") if case.name != "input"]
GEOMETRY, LEVEL = 1e-5, 1 / 255 + 1e-6
ORDER = ("brightness", "contrast", "saturation", "hue")  # the numbers in the golden cases


def made(change: Change, x: Tensor, size: int, normalised: bool = False) -> Tensor:
    mean, std = (MEAN, STD) if normalised else ((0, 0, 0), (1, 1, 1))
    out = torch.empty(len(x), 3, size, size)
    return carry_out(change, x.permute(0, 2, 3, 1), out, mean, std)


def colours(x: Tensor, *steps: tuple[str, float], blur: float = 0.0) -> Tensor:
    """Change colours only; the frames stay of their size."""
    x = (x * 255).floor()
    for name, value in steps:
        x = COLOURS[name](x, value)
        x = eight_bit.blur(x, blur) if blur else x
    return x / 255


def box_of(height: int, width: int) -> Box:
    """Draw a box as the original does."""
    for _ in range(10):
        area = random.uniform(0.8, 1.0) * height * width
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            y = random.randint(0, height - h)
            return random.randint(0, width - w), y, w, h
    raise AssertionError("these cases do not need what comes then")


def change_of_ssl(height: int, width: int, strength: float = 1.0) -> Change:
    """Draw from Python's and numpy's generators what the original draws for a view."""
    box = box_of(height, width)
    mirror = random.uniform(0, 1) < 0.5
    steps: list[tuple[str, float]] = []
    blur = 0.0
    if random.uniform(0, 1) < 0.8:
        order = np.random.permutation(np.arange(4))
        values = [1 + random.uniform(-0.8 * strength, 0.8 * strength) for _ in range(3)]
        values.append(random.uniform(-0.2 * strength, 0.2 * strength))
        radius = random.uniform(0.1, 2.0)
        blur = radius if random.uniform(0, 1) < 0.5 * strength else 0.0
        steps = [(ORDER[k], values[k]) for k in order]
    grey = random.uniform(0, 1) < 0.2
    return Change(box, mirror, tuple(steps), blur, grey)


#: What the cases with colours do not say: widths in TCC's configuration, and in the default one.
TCC = {"brightness": 32 / 255, "contrast": 0.5}
DEFAULT = {"brightness": 0.8, "contrast": 0.8, "hue": 0.2, "saturation": 0.8}


def change_of_supervised(height: int, width: int, widths: dict[str, float], crop: bool) -> Change:
    turns = {name: random.uniform(-w, w) for name, w in widths.items()}
    steps = tuple((name, turn if name == "hue" else 1 + turn) for name, turn in turns.items())
    box = box_of(height, width) if crop else None
    return Change(box, random.uniform(0, 1) < 0.5, steps, colours_first=True)


def jitter(case: Case, x: Tensor) -> Tensor:
    p = case.params
    order = next(value for key, value in p.items() if key.startswith("order"))
    steps = [(ORDER[k], p[ORDER[k]]) for k in order]
    return colours(x, *steps, blur=p["blur_radius"] if p["blur_applied"] else 0.0)


def pipeline(case: Case, x: Tensor) -> Tensor:
    p = case.params
    size = p["image_size"]
    random.seed(p["python_random_seed"])
    np.random.seed(p.get("numpy_seed", 0))
    height, width = x.shape[-2:]
    ssl, crop = case.name.startswith("ssl_"), p.get("random_crop", True)
    if not p["augment"]:
        config = parse(FramesConfig, {"evaluate": "center" if crop else "resize"})
        return FrameAugment(config, size, 0).evaluate([x.permute(0, 2, 3, 1)])[0]
    if ssl:
        change = change_of_ssl(height, width)
    else:
        change = change_of_supervised(height, width, DEFAULT if crop else TCC, crop)
    return made(change, x, size, normalised=True)


def box(case: Case, x: Tensor) -> Tensor:
    y, x0, h, w = case.params["i_j_h_w"]
    return made(Change(box=(x0, y, w, h)), x, case.params["target"])


def one(name: str) -> Callable[[Case, Tensor], Tensor]:
    return lambda case, x: colours(x, (name, case.params["factor"]))


def grey(case: Case, x: Tensor) -> Tensor:
    side = x.shape[-2]  # frames are resized to squares: compare a square part
    return made(Change(box=(0, 0, side, side), grey=True), x, side)


def of(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def uniform_crop(case: Case, x: Tensor) -> Tensor:
    return torch.from_numpy(third_crop(x.numpy(), case.params["size"], case.params["spatial_idx"]))


RULES: list[tuple[str, Callable[[Case, Tensor], Tensor], float]] = [
    ("flip", lambda case, x: x.flip(-1), 0),
    ("gray", grey, GEOMETRY),
    ("resize", lambda case, x: made(Change(), x, case.params["size"]), GEOMETRY),
    ("uniform_crop", uniform_crop, 0),
    ("normalise", lambda case, x: (x - of(MEAN)) / of(STD), GEOMETRY),
    ("random_resized_crop", box, GEOMETRY),
    ("brightness_jitter", one("brightness"), LEVEL),
    ("contrast_jitter", one("contrast"), LEVEL),
    ("saturation_jitter", one("saturation"), LEVEL),
    ("hue_jitter", one("hue"), LEVEL),
    ("color_jitter", jitter, LEVEL),
    ("ssl_pipeline", pipeline, LEVEL / min(STD)),
    ("tcc_pipeline", pipeline, LEVEL / min(STD)),
    ("eval_pipeline", pipeline, LEVEL / min(STD)),
]


@parametrize(CASES)
def test_augmentation(case: Case) -> None:
    rule = next((r for r in RULES if case.name.startswith(r[0])), None)
    if rule is None:
        pytest.skip(f"no rule for {case.name}")
    x: Tensor = case.tensors("input")["x"]
    expected: Any = case.tensors()["out"]
    got = rule[1](case, x.clone())
    expected = expected[..., : got.shape[-2], : got.shape[-1]]  # of "gray" a square part
    error = float((got - expected).abs().max())
    print(f"{case.id}: max error {error:.3g}")
    assert error <= rule[2]


def test_the_middle() -> None:
    assert middle(360, 640, 224) == (208, 68, 224, 224)
    assert middle(21, 28, 16) == (6, 3, 16, 16)
