"""Video Swin forward pass: ours against torchvision's, same weights, same device, same threads.

Both sides run eager in float32, taking turns, and the medians are compared; outputs must agree.
On a CUDA device ours is also run with bf16 autocast and torch.compile, and its share of the
device's peak is given. Prints one JSON object; ratios above 1 mean that ours is faster.

    python benchmarks/swin_forward.py --arch t --repeats 5
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from actionspace.encoders.architectures import BASE, SMALL, TINY
from actionspace.encoders.fit import fit_state
from actionspace.encoders.keys import split_head, to_plain
from actionspace.encoders.swin3d import SwinTransformer3D

ARCHITECTURES = {"t": TINY, "s": SMALL, "b": BASE}

# Dense bf16 tensor-core peaks from the makers' data sheets, FLOP/s.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}

Run = Callable[[], Tensor]


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    result: dict[str, Any] = {
        "benchmark": "swin_forward",
        "clip": [args.batch, 3, args.frames, args.size, args.size],
        "device": _device_name(args.device),
        "threads": args.threads,
        "torch": torch.__version__,
    }
    for arch in args.arch.split(","):
        result[f"swin3d_{arch}"] = compare(arch, args)
    print(json.dumps(result, indent=2))


def compare(arch: str, args: argparse.Namespace) -> dict[str, Any]:
    """Time both sides on one clip and return medians, ratios and the largest difference."""
    device = torch.device(args.device)
    theirs, ours, head = (m.to(device).eval() for m in _same_weights(arch))
    clip = torch.randn(args.batch, 3, args.frames, args.size, args.size, device=device)

    def our_logits() -> Tensor:
        return head(ours(clip).mean(dim=(2, 3, 4)))

    sides: dict[str, Run] = {"torchvision": lambda: theirs(clip), "ours": our_logits}
    with torch.inference_mode():
        expected, got = theirs(clip), our_logits()
        difference = float((expected - got).abs().max())
        if difference > 1e-3 * max(1.0, float(expected.abs().max())):
            raise SystemExit(f"swin3d_{arch}: outputs differ by {difference}; no ratio is given.")
        wall, cpu = _take_turns(sides, args.repeats, device)
    report: dict[str, Any] = {
        "torchvision_seconds": round(wall["torchvision"], 4),
        "ours_seconds": round(wall["ours"], 4),
        "ratio": round(wall["torchvision"] / wall["ours"], 3),
        "max_difference": difference,
        "output_scale": float(expected.abs().max()),
    }
    if device.type == "cpu":
        report["ratio_of_cpu_seconds"] = round(cpu["torchvision"] / cpu["ours"], 3)
    else:
        report |= _compiled(arch, ours, clip, wall["torchvision"], args, expected, head)
    return report


def _same_weights(arch: str) -> tuple[nn.Module, SwinTransformer3D, nn.Module]:
    """torchvision's model with random weights (biases and tables moved off zero), and ours."""
    from torchvision.models import video

    torch.manual_seed(0)
    theirs = getattr(video, f"swin3d_{arch}")()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.randn_like(p) * 0.02)
    backbone, head_state = split_head(to_plain(theirs.state_dict()))
    ours = SwinTransformer3D(**ARCHITECTURES[arch].options())
    fit_state(ours, backbone, what="torchvision")
    head = nn.Linear(ours.dim, head_state["bias"].numel())
    head.load_state_dict(head_state)
    return theirs, ours, head


def _take_turns(
    sides: dict[str, Run], repeats: int, device: torch.device
) -> tuple[dict[str, float], dict[str, float]]:
    """Run the sides alternately; return median wall and processor seconds of each."""
    wall: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(repeats):
        order = list(sides) if i % 2 == 0 else list(sides)[::-1]
        for name in order:
            _wait(device)
            start, start_cpu = time.perf_counter(), time.process_time()
            sides[name]()
            _wait(device)
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
    return {n: median(v) for n, v in wall.items()}, {n: median(v) for n, v in cpu.items()}


def _compiled(
    arch: str,
    ours: SwinTransformer3D,
    clip: Tensor,
    baseline: float,
    args: argparse.Namespace,
    expected: Tensor,
    head: nn.Module,
) -> dict[str, Any]:
    """Time ours with bf16 autocast and torch.compile on CUDA."""
    fast = torch.compile(ours)

    def run() -> Tensor:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return fast(clip)

    with torch.inference_mode():
        for _ in range(3):
            features = run()
        wall, _ = _take_turns({"fast": run}, max(args.repeats, 10), clip.device)
        logits = head(features.float().mean(dim=(2, 3, 4)))
    operations = (
        2 * args.batch * ARCHITECTURES[arch].multiply_adds(args.frames, args.size, args.size)
    )
    rate = operations / wall["fast"]
    peak = next((v for k, v in PEAKS.items() if k in _device_name("cuda")), None)
    return {
        "bf16_compile_seconds": round(wall["fast"], 5),
        "bf16_compile_ratio": round(baseline / wall["fast"], 2),
        "bf16_max_difference": float((logits - expected).abs().max()),
        "clips_per_second": round(args.batch / wall["fast"], 1),
        "tflops": round(rate / 1e12, 1),
        "share_of_peak": round(rate / peak, 3) if peak else None,
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _device_name(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name()
    import platform

    return f"cpu ({platform.machine()})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="t,b", help="comma-separated, of t, s, b")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
