"""Twenty attentive probes on cached tokens at once, against one after the other.

The peer is :class:`actionspace.heads.attentive.AttentiveProbe` with ``torch.optim.AdamW`` (its
fused kernel), trained on the same batches from the same weights. The tokens are made up: a few
directions of each class in noise. Logits after the training must agree to 1e-4.

On a GPU (``--device cuda``) the setting is that of a data set of 2,000 clips whose encoder gives 8
tokens of 1,024 numbers. On a CPU the defaults are smaller, so that it ends in two minutes.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from actionspace.features.forward import arithmetic
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig
from actionspace.heads.attentive_many import ManyProbes

LRS = (5e-3, 3e-3, 1e-3, 3e-4, 1e-4)
WEIGHT_DECAYS = (0.01, 0.1, 0.4, 0.8)
GRID = tuple(product(LRS, WEIGHT_DECAYS))
CLASSES = 10


def data(clips: int, tokens: int, dim: int, device: str) -> tuple[Tensor, Tensor]:
    """Return tokens ``[N, L, D]`` and class numbers ``[N]``."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (clips,), generator=generator)
    means = torch.randn(CLASSES, tokens, dim, generator=generator)
    x = 0.3 * means[labels] + torch.randn(clips, tokens, dim, generator=generator)
    return x.to(device), labels.to(device)


def together(
    start: AttentiveProbe,
    config: AttentiveConfig,
    batches: list[Tensor],
    x: Tensor,
    y: Tensor,
    precision: str,
) -> Callable[[Tensor], Tensor]:
    """Train all probes at once; return what gives their logits ``[K, N, C]``."""
    many = ManyProbes(start, config, *zip(*GRID, strict=True))
    for step, rows in enumerate(batches):
        with arithmetic(precision, x.device):
            logits = many(x[rows])["label"].float()
        truth = y[rows].repeat(many.count)
        loss = F.cross_entropy(logits.flatten(0, 1), truth) * many.count
        many.step(loss, 1 - step / len(batches))
    return lambda tokens: many(tokens)["label"]


def apart(
    start: AttentiveProbe,
    config: AttentiveConfig,
    batches: list[Tensor],
    x: Tensor,
    y: Tensor,
    precision: str,
) -> Callable[[Tensor], Tensor]:
    """Train one probe after the other."""
    probes = []
    for lr, decay in GRID:
        probe = copy.deepcopy(start)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=lr, weight_decay=decay, fused=True)
        for step, rows in enumerate(batches):
            optimizer.param_groups[0]["lr"] = lr * (1 - step / len(batches))
            with arithmetic(precision, x.device):
                logits = probe(x[rows]).float()
            optimizer.zero_grad()
            F.cross_entropy(logits, y[rows]).backward()
            optimizer.step()
        probes.append(probe)
    return lambda tokens: torch.stack([probe(tokens) for probe in probes])


def main() -> None:
    """Measure, check and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--clips", type=int)
    parser.add_argument("--dim", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    cuda = args.device.startswith("cuda")
    clips, dim = args.clips or (2000 if cuda else 200), args.dim or (1024 if cuda else 128)
    steps = args.steps or (160 if cuda else 6)
    x, y = data(clips, args.tokens, dim, args.device)
    config = AttentiveConfig(depth=args.depth)
    torch.manual_seed(0)
    start = AttentiveProbe(dim, CLASSES, config).to(args.device)
    generator = torch.Generator().manual_seed(1)
    batches = [
        torch.randint(0, clips, (args.batch,), generator=generator).to(x.device)
        for _ in range(steps)
    ]
    # Other work on the machine must not count; on a GPU the process does not do it.
    clock = time.perf_counter if cuda else time.process_time
    seconds: dict[str, list[float]] = {"together": [], "apart": []}
    logits: dict[str, Tensor] = {}
    for repeat in range(args.repeats + 1):  # the first one warms up
        for name, train in (("together", together), ("apart", apart)):
            some = batches if repeat else batches[:2]
            began = clock()
            scores = train(start, config, some, x, y, args.precision)
            if cuda:
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(clock() - began)
            with torch.no_grad():
                logits[name] = torch.cat([scores(part) for part in x.split(250)], dim=1)
            del scores
    best = {name: min(values) for name, values in seconds.items()}
    error = float((logits["together"] - logits["apart"]).abs().max())
    if args.precision == "float32":
        assert error < 1e-4, f"logits differ by {error}"
    right = (logits["together"].argmax(-1) == y).float().mean(dim=1)
    print(
        json.dumps(
            {
                "probes": len(GRID),
                "clips": clips,
                "tokens": args.tokens,
                "dim": dim,
                "depth": args.depth,
                "steps": steps,
                "batch": args.batch,
                "precision": args.precision,
                "device": torch.cuda.get_device_name() if cuda else "cpu",
                "seconds_together": round(best["together"], 3),
                "seconds_apart": round(best["apart"], 3),
                "times_as_fast": round(best["apart"] / best["together"], 2),
                "max_logit_error": error,
                "train_accuracy": [round(float(right.min()), 3), round(float(right.max()), 3)],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
