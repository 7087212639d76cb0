"""The sequence contrastive loss by blocks, against one matrix over all frames of the batch.

The other side is the loss as its paper and the published code define it, self-written here:
similarities, distances in time, weights and labels of (2 B T)^2 pairs, exponentials without a shift
and 1e-6 added to each probability. Ours with ``compat`` must give its value and gradient; without,
ours is the numerically stable form, which differs from it by what these 1e-6 do. Forward and
backward, median of the repeats, ``--threads`` of PyTorch (1 by default); ratios are of processor
time (of wall time on another device than the CPU, or with several threads).

Held against the stated limit: with ``single`` negatives, 4 videos of 240 frames at least 4 times as
fast. Prints one JSON object.

    python benchmarks/scl.py [--videos 4] [--frames 240] [--channels 128] [--repeats 9]
                             [--padding 0] [--device cpu] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from actionspace.alignment.losses.frames import Frames

TIMES_FASTER = 4.0
NEGATIVES = ("single_noself", "single", "batch_noself", "batch")
TEMPERATURE, VARIANCE, EPS = 0.1, 10.0, 1e-6


def batch(args: argparse.Namespace) -> tuple[Tensor, Frames]:
    """Two views of each video that overlap, unit vectors, the last frames of each clip padding."""
    import torch
    from torch.nn import functional

    from actionspace.alignment.losses.frames import Frames

    torch.manual_seed(0)
    shape = (args.videos, 2, args.frames)
    steps = (torch.rand(shape) * 1.25 * args.frames).long().sort(-1).values
    lengths = torch.full(shape[:2], int(1.25 * args.frames) + 1)
    masks = (torch.arange(args.frames) < args.frames - args.padding).expand(shape)
    emb = functional.normalize(torch.randn(*shape, args.channels), dim=-1)
    frames = Frames.of(steps.to(args.device), lengths.to(args.device), masks.to(args.device))
    return emb.to(args.device).requires_grad_(), frames


def dense(emb: Tensor, frames: Frames, negatives: str) -> Tensor:
    """The loss over (2 B T)^2 pairs."""
    import torch
    from torch.nn import functional

    videos, _, size, _ = emb.shape
    flat = emb.flatten(0, 2)
    steps = frames.steps.flatten().float()
    lengths = frames.lengths.repeat_interleave(size).float()
    valid = frames.valid.flatten().float()
    both = valid[:, None] * valid[None]
    clip = torch.arange(2 * videos, device=emb.device).repeat_interleave(size)
    same_video = (clip[:, None] // 2 == clip[None] // 2).float()
    same_clip = (clip[:, None] == clip[None]).float()
    distance = (steps[:, None] / lengths[:, None] * lengths[None] - steps[None]).abs()
    distance = distance.masked_fill(both == 0, 1e6)
    label = torch.exp(-(distance**2) / (2 * VARIANCE)) * same_video * (1 - same_clip)
    label = (label / label.sum(1, keepdim=True)).nan_to_num(0)
    weight = same_video if negatives.startswith("single") else torch.ones_like(both)
    if negatives.endswith("noself"):
        weight = weight * (1 - same_clip)
    weight = weight.masked_fill(both == 0, EPS)
    score = torch.exp(flat @ flat.T / TEMPERATURE)
    probability = score / (weight * score).sum(1, keepdim=True)
    each = functional.kl_div((probability + EPS).log(), label, reduction="none")
    return (each * both).sum() / valid.sum()


def seconds(loss: Callable[[], Tensor], emb: Tensor, args: argparse.Namespace) -> float:
    """Return the median time of forward and backward."""
    import torch

    clock = time.process_time if args.device == "cpu" and args.threads == 1 else time.perf_counter
    times = []
    for _ in range(args.repeats + 2):  # two to warm up
        emb.grad = None
        began = clock()
        loss().backward()
        if emb.is_cuda:
            torch.cuda.synchronize()
        times.append(clock() - began)
    return median(times[2:])


def one_kind(
    emb: Tensor, frames: Frames, negatives: Any, args: argparse.Namespace
) -> dict[str, Any]:
    """Compare and time one kind of negatives; stop the programme where values differ."""
    import torch

    from actionspace.alignment.losses.config import SclConfig
    from actionspace.alignment.losses.scl import scl_loss

    sides: dict[str, Callable[[], Tensor]] = {
        "dense": lambda: dense(emb, frames, negatives),
        "compat": lambda: scl_loss(emb, frames, SclConfig(negatives=negatives, compat=True)),
        "stable": lambda: scl_loss(emb, frames, SclConfig(negatives=negatives)),
    }
    values, gradients, found = {}, {}, {}
    for name, loss in sides.items():
        found[f"{name}_s"] = round(seconds(loss, emb, args), 5)
        assert emb.grad is not None
        values[name], gradients[name] = loss().item(), emb.grad.clone()
    difference = abs(values["dense"] - values["compat"])
    apart = float((gradients["dense"] - gradients["compat"]).abs().max())
    if difference > 1e-5 * abs(values["dense"]) or apart > 1e-6:
        raise SystemExit(f"{negatives}: values differ by {difference}, gradients by {apart}.")
    if not torch.tensor(list(values.values())).isfinite().all():
        raise SystemExit(f"{negatives}: a value is not finite: {values}.")
    return {
        **found,
        "times_faster": round(found["dense_s"] / found["stable_s"], 1),
        "times_faster_compat": round(found["dense_s"] / found["compat_s"], 1),
        "value": round(values["dense"], 5),
        "value_stable": round(values["stable"], 5),
        "value_difference": difference,
        "gradient_difference": apart,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("videos", 4), ("frames", 240), ("channels", 128), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--padding", type=int, default=0, help="frames of each clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    emb, frames = batch(args)
    kinds = {kind: one_kind(emb, frames, kind, args) for kind in NEGATIVES}
    singles = [kinds[k][f] for k in NEGATIVES[:2] for f in ("times_faster", "times_faster_compat")]
    result = {"benchmark": "scl", **vars(args), "torch": torch.__version__, **kinds}
    result |= {"limit": TIMES_FASTER, "ok": min(singles) >= TIMES_FASTER}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
