"""Train the starter encoder on rendered motion.

    python scripts/starter/train.py --minutes 60 --out runs/starter [--data ../shared/data]

Every clip is a function of (seed, index) and every step of (seed, step), so two runs with the
same settings agree up to the order of floating point sums between threads. The learning rate is
constant and then falls to zero over the last part of the time budget; the steps at which it
began to fall and ended are written down, and ``--fall-at N --steps M`` repeats such a run without
a clock. A checkpoint is written every few minutes: stop at any time, go on with ``--resume``, take
what there is with ``--export``. The exported weights are the exponential moving average.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import render
import torch
import torch.nn.functional as F
from movers import GROUPS
from safetensors.torch import save_file
from stills import FOLDERS, read_stills
from torch import Tensor, nn

from actionspace.encoders.starter import ARCHITECTURE, CLIP, LICENCE, MOTIONS, WEIGHTS_FILE
from actionspace.encoders.starter_net import StarterNet
from actionspace.paths import atomic_path, sha256_json, write_json


@dataclass(frozen=True)
class Settings:
    """What decides the result, beside the number of steps."""

    seed: int = 0
    batch: int = 16  # half of it new clips, half mirrored earlier ones
    again_after: int = 32  # steps after which a clip comes back as its mirror image
    lr: float = 8e-4
    weight_decay: float = 0.05
    warmup: int = 50
    ema: float = 0.995
    stills: bool = True
    bf16: bool = True


class Trainee(nn.Module):
    """The network with the dense head that only training needs."""

    def __init__(self) -> None:
        super().__init__()
        self.net = StarterNet()
        self.dense = nn.Linear(self.net.swin.dim, 16 * render.DENSE)
        mean, std = (torch.tensor(v).view(3, 1, 1, 1) for v in (CLIP.mean, CLIP.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, frames: Tensor, bf16: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Map uint8 clips [B, T, H, W, 3] to motion logits, values and the dense grid."""
        x = (frames.permute(0, 4, 1, 2, 3).float() - self.mean) / self.std
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            seen, far = self.net.look_twice(x)
        pooled = seen.float().mean((2, 3, 4))
        cells = self.dense(far.float().movedim(1, -1))  # [B, T', 4, 4, 16 * DENSE]
        b, t, h, w, _ = cells.shape
        cells = cells.view(b, t, h, w, 4, 4, render.DENSE).permute(0, 1, 2, 4, 3, 5, 6)
        cells = cells.reshape(b, t, 4 * h, 4 * w, render.DENSE)
        return self.net.motions(pooled), self.net.values(pooled), cells


def losses(out: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Motions by cross entropy, known values and displacements by smooth L1, cover by BCE."""
    motions, values, cells = out
    n = len(GROUPS)
    motion = F.binary_cross_entropy_with_logits(
        motions, batch["motions"], pos_weight=torch.full((len(MOTIONS),), 3.0)
    )
    error = F.smooth_l1_loss(values, batch["values"], reduction="none", beta=0.5)
    value = (error * batch["known"]).sum() / batch["known"].sum().clamp(min=1)
    # Movers fill little of a scene: cells that they cover count twenty times.
    dense = batch["dense"]
    covered = dense[..., :n].clamp(0, 1)
    weight = 0.05 + covered.sum(-1).clamp(0, 1)
    cross = F.binary_cross_entropy_with_logits(cells[..., :n], covered, reduction="none").sum(-1)
    speed = torch.asinh(2 * dense[..., n:])
    flow = F.smooth_l1_loss(cells[..., n:], speed, reduction="none", beta=0.3).mean(-1)
    return {
        "motion": 0.5 * motion,
        "value": value,
        "cover": (cross * weight).sum() / weight.sum(),
        "flow": 3 * (flow * weight).sum() / weight.sum(),
    }


class Clips(torch.utils.data.Dataset):
    """Rendered clips; index i is the same clip in every run."""

    def __init__(self, settings: Settings, stills: np.ndarray | None) -> None:
        self.settings, self.stills = settings, stills

    def __len__(self) -> int:
        return 10**9

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return render.render(self.settings.seed, index, self.stills)


# What changes sign when left and right are exchanged: x of shift, place, displacement and posture.
MIRRORED_VALUES = [0, 4, 6, 8, *(21 + 8 * block + i for block in range(3) for i in (4, 6))]


def mirror(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Exchange left and right in clips and their targets."""
    values, dense = batch["values"].clone(), batch["dense"].flip(3).clone()
    values[:, MIRRORED_VALUES] *= -1
    dense[..., len(GROUPS)] *= -1
    frames = batch["frames"].flip(3)
    return batch | {"frames": frames, "values": values, "dense": dense}


def with_earlier(loader: Iterable[dict[str, Tensor]], lag: int) -> Iterator[dict[str, Tensor]]:
    """Join each batch with the mirror image of the one ``lag`` steps ago; a clip costs half."""
    earlier: deque[dict[str, Tensor]] = deque(maxlen=lag)
    for batch in loader:
        old = mirror(earlier[0] if len(earlier) == lag else batch)
        yield {key: torch.cat([value, old[key]]) for key, value in batch.items()}
        earlier.append(batch)


class Schedule:
    """Learning rate factor: warm-up, constant, then linearly to zero; by steps or by the clock."""

    def __init__(self, args: argparse.Namespace, warmup: int, fall_at: int | None) -> None:
        self.warmup, self.share = warmup, args.fall
        self.budget, self.last = args.minutes * 60, args.steps or math.inf
        self.fall_at = args.fall_at if fall_at is None else fall_at

    def over(self, step: int, seconds: float) -> bool:
        """Whether the budget is spent."""
        return step >= self.last or seconds >= self.budget

    def factor(self, step: int, seconds: float) -> float:
        """Factor at ``step``, ``seconds`` after the run began (pauses left out)."""
        if self.fall_at is None and seconds > (1 - self.share) * self.budget:
            self.fall_at = step
        rise = min(1.0, (step + 1) / self.warmup)
        if self.fall_at is None or step < self.fall_at:
            return rise
        if self.last < math.inf:
            return rise * (self.last - step) / (self.last - self.fall_at)
        return rise * min(1.0, (self.budget - seconds) / (self.share * self.budget))


@dataclass
class State:
    """What is saved and resumed."""

    model: Trainee
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    fall_at: int | None = None

    @classmethod
    def new(cls, settings: Settings) -> State:
        """Begin: weights drawn from the seed, no decay on biases, norms."""
        torch.manual_seed(settings.seed)
        model = Trainee()
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        decay = settings.weight_decay
        optimizer = torch.optim.AdamW(groups, settings.lr, (0.9, 0.99), weight_decay=decay)
        return cls(model, optimizer, {k: v.clone() for k, v in model.state_dict().items()})

    def load(self, path: Path) -> None:
        """Go on from ``state.pt``."""
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average, self.step = saved["average"], saved["step"]
        self.seconds, self.fall_at = saved["seconds"], saved["fall_at"]

    def update(self, batch: dict[str, Tensor], settings: Settings, lr: float) -> dict[str, float]:
        """One step; returns the parts of the loss."""
        # Stochastic depth is the only randomness here; it belongs to the step, not to the run.
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        parts = losses(self.model(batch["frames"], settings.bf16), batch)
        self.optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        for k, v in self.model.state_dict().items():
            self.average[k].lerp_(v, 1 - keep)
        return {k: float(v.detach()) for k, v in parts.items()}


def train(args: argparse.Namespace) -> None:
    """Train until the time or step budget ends."""
    settings = Settings(seed=args.seed, batch=args.batch, lr=args.lr, stills=args.data is not None)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    state = State.new(settings)
    if args.resume:
        state.load(out / "state.pt")
    schedule = Schedule(args, settings.warmup, state.fall_at)
    stills = read_stills(Path(args.data)) if args.data else None
    clips = Clips(settings, stills)
    loader = torch.utils.data.DataLoader(
        clips,
        settings.batch // 2,
        sampler=range(state.step * (settings.batch // 2), 10**9),
        num_workers=args.workers,
        prefetch_factor=4 if args.workers else None,
    )
    begun = saved_at = time.monotonic()
    before = state.seconds
    sums: dict[str, float] = {}
    state.model.train()
    for batch in with_earlier(loader, settings.again_after):
        state.seconds = before + time.monotonic() - begun
        if schedule.over(state.step, state.seconds):
            break
        lr = settings.lr * schedule.factor(state.step, state.seconds)
        state.fall_at = schedule.fall_at
        for k, v in state.update(batch, settings, lr).items():
            sums[k] = sums.get(k, 0.0) + v / 25
        if state.step % 25 == 0:
            where = {"step": state.step, "min": round(state.seconds / 60, 2), "lr": round(lr, 6)}
            print(json.dumps(where | {k: round(v, 4) for k, v in sums.items()}), flush=True)
            sums = {}
        if time.monotonic() - saved_at > 120:
            saved_at = time.monotonic()
            save(out, settings, state)
    save(out, settings, state)


def save(out: Path, settings: Settings, state: State) -> None:
    """Write ``state.pt`` to go on from, and the averaged network as fp16 safetensors."""
    progress = {"step": state.step, "seconds": state.seconds, "fall_at": state.fall_at}
    tensors = {"model": state.model.state_dict(), "average": state.average}
    with atomic_path(out / "state.pt") as tmp:
        torch.save(tensors | {"optimizer": state.optimizer.state_dict()} | progress, tmp)
    facts: dict[str, Any] = {
        "settings": asdict(settings),
        "steps": state.step,
        "clips": state.step * (settings.batch // 2),
        "minutes": round(state.seconds / 60, 1),
        "fall_at": state.fall_at,
    }
    write_json(out / "facts.json", facts)
    net = {k[4:]: v.half().contiguous() for k, v in state.average.items() if k.startswith("net.")}
    licences = ", ".join(f"{k} ({v})" for k, v in FOLDERS.items())
    described = {
        "name": "actionspace starter encoder",
        "licence": LICENCE,
        "trained_on": "procedurally rendered motion"
        + (f"; still frames as backgrounds from {licences}" if settings.stills else ""),
        "architecture": json.dumps(ARCHITECTURE.options()),
        "settings_sha256": sha256_json(asdict(settings)),
    } | {k: json.dumps(v) for k, v in facts.items()}
    with atomic_path(out / WEIGHTS_FILE) as tmp:
        save_file(net, tmp, metadata=described)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder for checkpoints and weights")
    parser.add_argument("--minutes", type=float, default=60, help="time budget")
    parser.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument(
        "--fall", type=float, default=0.25, help="last share of the budget: rate falls"
    )
    parser.add_argument("--fall-at", type=int, help="step at which the rate begins to fall")
    parser.add_argument("--data", help="folder with the clips of stills.FOLDERS, for backgrounds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=Settings.batch)
    parser.add_argument("--lr", type=float, default=Settings.lr)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(args)


if __name__ == "__main__":
    main()
