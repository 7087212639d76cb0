"""What augmenting the frames of a clip costs, beside Pillow doing the same frame by frame.

Both sides get the same uint8 clip ``[T, H, W, 3]`` and the same drawn numbers, and give normalised
float32 frames: cut out and resized (by PyTorch on both sides, as the original of CARL does it),
mirrored, four operations on colours, with and without a blur after each of them. The sides take
turns; printed are medians in ms per clip and the largest difference in grey levels, as one JSON
object. With ``--device cuda`` ours runs there, Pillow on the CPU.

    python benchmarks/augment_frames.py [--frames 40] [--size 224] [--repeats 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--frames", type=int, default=40)
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--device", default="cpu")
ARGS = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageEnhance, ImageFilter  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from actionspace.training.augment.frames import MEAN, STD, Change, carry_out  # noqa: E402

torch.set_num_threads(ARGS.threads)
CHANGE = Change(
    box=(5, 11, ARGS.size - 20, ARGS.size - 17),
    mirror=True,
    colours=(("saturation", 0.57), ("contrast", 1.31), ("hue", -0.052), ("brightness", 0.69)),
    blur=1.37,
)


def turned(picture: Image.Image, turns: float) -> Image.Image:
    hue, saturation, value = picture.convert("HSV").split()
    moved = np.asarray(hue) + np.uint8(int(turns * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(moved), saturation, value)).convert("RGB")


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda picture, f: ImageEnhance.Brightness(picture).enhance(f),
    "contrast": lambda picture, f: ImageEnhance.Contrast(picture).enhance(f),
    "saturation": lambda picture, f: ImageEnhance.Color(picture).enhance(f),
    "hue": turned,
}


def theirs(clip: Tensor, change: Change) -> Tensor:
    assert change.box is not None
    x, y, w, h = change.box
    shown = clip.permute(0, 3, 1, 2)[:, :, y : y + h, x : x + w].float() / 255
    shown = functional.interpolate(shown, clip.shape[1:3], mode="bilinear", align_corners=False)
    shown = shown.flip(-1)
    for frame in shown:
        picture = Image.fromarray((frame * 255).byte().permute(1, 2, 0).numpy())
        for name, value in change.colours:
            picture = PILLOW[name](picture, value)
            if change.blur:
                picture = picture.filter(ImageFilter.GaussianBlur(change.blur))
        frame.copy_(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
    return (shown - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def ours(clip: Tensor, change: Change) -> Tensor:
    out = torch.empty(len(clip), 3, *clip.shape[1:3], device=clip.device)
    carry_out(change, clip, out)
    if clip.is_cuda:
        torch.cuda.synchronize()
    return out


def seconds(run: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.no_grad()
def compare(clip: Tensor, change: Change) -> dict[str, float]:
    there = clip.to(ARGS.device)
    error = (ours(there, change).cpu() - theirs(clip, change)) * torch.tensor(STD).view(3, 1, 1)
    pairs = [
        (seconds(lambda: ours(there, change)), seconds(lambda: theirs(clip, change)))
        for _ in range(ARGS.repeats)
    ]
    mine, pillow = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "ours_ms": round(mine, 2),
        "pillow_ms": round(pillow, 1),
        "times_faster": round(pillow / mine, 2),
        "largest_difference_levels": round(float(error.abs().max()) * 255, 4),
    }


def main() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (ARGS.frames, ARGS.size // 8, ARGS.size // 8, 3))
    noise = random.integers(-20, 20, (ARGS.frames, ARGS.size, ARGS.size, 3))
    frames = np.clip(small.repeat(8, axis=1).repeat(8, axis=2) + noise, 0, 255)
    clip = torch.from_numpy(frames.astype(np.uint8))
    result = {
        **{name: getattr(ARGS, name) for name in ("frames", "size", "threads", "device")},
        "with_blur": compare(clip, CHANGE),
        "without_blur": compare(clip, replace(CHANGE, blur=0.0)),
    }
    print(json.dumps(result, indent=2))


main()
