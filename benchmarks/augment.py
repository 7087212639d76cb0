"""What augmenting a batch of clips costs, beside torchvision doing the same clip by clip.

Both sides get the same uint8 batch ``[B, T, H, W, 3]`` and the same drawn numbers (drawing them is
part of our time, not of theirs), and give float32 pictures; torchvision's functional operations are
called once for each clip (all its frames), as its transforms do. Printed is the largest difference
in grey levels, over the clips without posterize, solarize and equalize in a chain (whose steps
make one level of a rounding error). torchvision works on float32 clips here (``theirs``), and on
uint8 ones (``theirs_uint8``; it rounds after each operation, so its results are not compared). The
sides take turns; medians in ms per batch. One JSON object.

    python benchmarks/augment.py [--batch 8] [--frames 16] [--size 224] [--repeats 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--frames", type=int, default=16)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--device", default="cpu")
ARGS = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torchvision.transforms import InterpolationMode  # noqa: E402
from torchvision.transforms.v2 import functional as tv  # noqa: E402

from actionspace.training.augment import geometry  # noqa: E402
from actionspace.training.augment.augment import Augment  # noqa: E402
from actionspace.training.augment.draws import Draws  # noqa: E402
from actionspace.training.augment.mixing import draw_mix  # noqa: E402
from actionspace.training.augment.options import AugmentConfig  # noqa: E402
from actionspace.training.augment.randaugment import OPS, choose, parameter  # noqa: E402

torch.set_num_threads(ARGS.threads)
BILINEAR = InterpolationMode.BILINEAR
SEED, EPOCH = 0, 1
Side = Callable[[Tensor, Draws, AugmentConfig], Tensor]


class Drawn(Draws):
    """Draws that are made once."""

    @functools.cache  # noqa: B019
    def uniform(self, purpose: str, count: int) -> np.ndarray:
        return super().uniform(purpose, count)

    def __hash__(self) -> int:
        return id(self)


def crop(x: Tensor, i: int, draws: Draws, c: AugmentConfig) -> Tensor:
    u = draws.uniform("crop", geometry.BOX_DRAWS)
    size = x.shape[-2:]
    boxes, _ = geometry.random_boxes(u, *size, c.crop.area, c.crop.aspect)
    left, top, w, h = boxes[i].tolist()
    return tv.resized_crop(x, top, left, h, w, list(size), BILINEAR, antialias=False)


def flip(x: Tensor, i: int, draws: Draws, c: AugmentConfig) -> Tensor:
    return tv.horizontal_flip(x) if draws.chance("flip", c.flip.p)[i] else x


def jitter(x: Tensor, i: int, draws: Draws, c: AugmentConfig) -> Tensor:
    u = (2 * draws.uniform("jitter", 4) - 1)[i].tolist()
    j = c.jitter
    for width, turn, change in (
        (j.brightness, u[0], tv.adjust_brightness),
        (j.contrast, u[1], tv.adjust_contrast),
        (j.saturation, u[2], tv.adjust_saturation),
    ):
        x = change(x, max(0.0, 1 + width * turn)) if width else x
    return tv.adjust_hue(x, j.hue * u[3]) if j.hue else x


def randaugment(x: Tensor, i: int, draws: Draws, c: AugmentConfig) -> Tensor:
    for number in range(c.randaugment.ops):
        choice = choose(draws, number, c.randaugment)
        name, s, sign = OPS[choice.op[i]], choice.strength[i : i + 1], choice.sign[i : i + 1]
        x = one_of_randaugment(x, name, float((s * sign)[0]), float(parameter(name, s, sign)[0]))
    return x


def one_of_randaugment(x: Tensor, name: str, signed: float, value: float) -> Tensor:
    height, width = x.shape[-2:]
    whole = 255 if x.dtype == torch.uint8 else 1
    flat: dict[str, Any] = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    slant = float(np.degrees(np.arctan(0.3 * signed)))
    match name:
        case "identity":
            return x
        case "shear_x":
            flat |= {"shear": [slant, 0.0], "center": [0, 0]}
        case "shear_y":
            flat |= {"shear": [0.0, slant], "center": [0, 0]}
        case "translate_x":
            flat |= {"translate": [int(signed * width * 150 / 331), 0]}
        case "translate_y":
            flat |= {"translate": [0, int(signed * height * 150 / 331)]}
        case "rotate":
            return tv.rotate(x, 30 * signed, BILINEAR)
        case "posterize":
            return tv.posterize(x, int(value))
        case "solarize":
            return tv.solarize(x, value * whole / 255)
        case "autocontrast":
            return tv.autocontrast(x)
        case "equalize":
            return tv.equalize(x)
        case "color":
            return tv.adjust_saturation(x, value)
        case _:
            return getattr(tv, f"adjust_{name}")(x, value)
    return tv.affine(x, interpolation=BILINEAR, **flat)


def erase(x: Tensor, i: int, draws: Draws, c: AugmentConfig) -> Tensor:
    size = x.shape[-2:]
    u = draws.uniform("erase", geometry.BOX_DRAWS)
    boxes, _ = geometry.random_boxes(u, *size, c.erase.area, c.erase.aspect)
    if not draws.chance("erase at all", c.erase.p)[i]:
        return x
    left, top, w, h = boxes[i].tolist()
    colour = torch.from_numpy(draws.uniform("erase with", 3)[i]).float().view(3, 1, 1)
    colour = (255 * colour).byte() if x.dtype == torch.uint8 else colour
    return tv.erase(x, top, left, h, w, colour.to(x.device))


CASES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "crop": ({"crop": {"p": 1}}, [crop]),
    "flip": ({"flip": {"p": 0.5}}, [flip]),
    "crop, flip": ({"crop": {"p": 1}, "flip": {"p": 0.5}}, [crop, flip]),
    "brightness, contrast, saturation": (
        {"jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}},
        [jitter],
    ),
    "hue": ({"jitter": {"hue": 0.1}}, [jitter]),
    "randaugment 2": ({"randaugment": {"ops": 2, "fill": 0}}, [randaugment]),
    "randaugment 4": ({"randaugment": {"ops": 4, "fill": 0}}, [randaugment]),
    "erase": ({"erase": {"p": 0.25}}, [erase]),
    "crop, flip, jitter, randaugment 2, erase": (
        {
            "crop": {"p": 1},
            "flip": {"p": 0.5},
            "jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
            "randaugment": {"ops": 2, "fill": 0},
            "erase": {"p": 0.25},
        },
        [crop, flip, jitter, randaugment, erase],
    ),
    "mixup": ({"mix": {"mixup": 0.8}}, []),
    "cutmix": ({"mix": {"cutmix": 1.0}}, []),
}


def ours(clips: Tensor, draws: Draws, config: AugmentConfig) -> Tensor:
    targets = torch.zeros(len(clips), dtype=torch.int64, device=clips.device)
    change = Augment(config, ["a", "b"], SEED)
    return change(clips, targets, draws.indices, EPOCH)[0]


def theirs(steps: list[Any], *, whole: bool) -> Side:
    """Return torchvision, clip by clip, on uint8 or on float32 from 0 to 1."""

    def run(clips: Tensor, draws: Draws, config: AugmentConfig) -> Tensor:
        found = []
        for i, clip in enumerate(clips):
            x = clip.permute(0, 3, 1, 2).contiguous()
            x = x if whole else tv.to_dtype(x, torch.float32, scale=True)
            for step in steps:
                x = step(x, i, draws, config)
            found.append(tv.to_dtype(x, torch.float32, scale=True))
        x = torch.stack(found)
        return mixed(x, draws, config) if config.mixes else x

    return run


def mixed(x: Tensor, draws: Draws, config: AugmentConfig) -> Tensor:
    """Do what torchvision's MixUp and CutMix do to a batch, clip by clip."""
    mix = draw_mix(draws, config.mix, *x.shape[-2:])
    others, found = x[torch.from_numpy(mix.partner)], x.clone()
    for i, (share, (left, top, w, h)) in enumerate(zip(mix.share, mix.boxes, strict=True)):
        found[i] = others[i].mul(1 - float(share)).add_(x[i].mul(float(share)))
        found[i, ..., top : top + h, left : left + w] = others[
            i, ..., top : top + h, left : left + w
        ]
    return found


def smooth(draws: Draws, config: AugmentConfig) -> np.ndarray:
    """Return which clips have no operation with steps."""
    ops = [choose(draws, k, config.randaugment).op for k in range(config.randaugment.ops)]
    steps = [OPS.index(name) for name in ("posterize", "solarize", "equalize")]
    return ~np.isin(ops, steps).any(axis=0) if ops else draws.indices >= 0


def seconds(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    gc.collect()
    if ARGS.device != "cpu":
        torch.cuda.synchronize()
    began = time.perf_counter()
    found = work()
    if ARGS.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began, found


def compare(name: str, options: dict[str, Any], steps: list[Any], clips: Tensor) -> dict[str, Any]:
    config = AugmentConfig.model_validate(options)
    draws = Drawn(SEED, EPOCH, np.arange(len(clips)))
    sides: dict[str, Side] = {"ours": ours, "theirs": theirs(steps, whole=False)}
    if steps:
        sides["theirs_uint8"] = theirs(steps, whole=True)
    times: dict[str, list[float]] = {side: [] for side in sides}
    results: dict[str, Tensor] = {}
    for repeat in range(ARGS.repeats + 1):
        for side, work in sides.items():
            took, results[side] = seconds(lambda work=work: work(clips, draws, config))
            if repeat:
                times[side].append(1e3 * took)
    mine = results["ours"].permute(0, 1, 4, 2, 3)
    compared = torch.from_numpy(
        smooth(draws, config) if config.randaugment.ops else draws.indices >= 0
    )
    difference = (mine - 255 * results["theirs"]).abs()[compared]
    middle = {side: statistics.median(took) for side, took in times.items()}
    return {
        "operations": name,
        **{f"{side}_ms": round(value, 2) for side, value in middle.items()},
        "spread_percent": {
            side: round(100 * (max(took) - min(took)) / middle[side], 1)
            for side, took in times.items()
        },
        **{
            f"{side}_over_ours": round(value / middle["ours"], 2)
            for side, value in middle.items()
            if side != "ours"
        },
        "max_difference_greys": round(float(difference.max()), 4),
        "clips_compared": int(compared.sum()),
    }


def main() -> None:
    shape = (ARGS.batch, ARGS.frames, ARGS.size // 8, ARGS.size // 8, 3)
    g = torch.Generator().manual_seed(0)
    small = torch.randint(0, 256, shape, generator=g).float()
    frames = small.flatten(0, 1).permute(0, 3, 1, 2)  # smooth, as pictures are
    frames = torch.nn.functional.interpolate(frames, size=(ARGS.size, ARGS.size), mode="bilinear")
    clips = frames.permute(0, 2, 3, 1).reshape(ARGS.batch, ARGS.frames, ARGS.size, ARGS.size, 3)
    clips = clips.byte().contiguous().to(ARGS.device)
    result = {
        "benchmark": "augment",
        "device": ARGS.device,
        "threads": ARGS.threads,
        "clips": list(clips.shape),
        "repeats": ARGS.repeats,
        "what": "ms per batch, uint8 in, float32 out; equal numbers drawn",
        "cases": [compare(name, *case, clips) for name, case in CASES.items()],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
