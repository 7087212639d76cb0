"""What a linear probe costs: the published procedure against encoding once.

    python benchmarks/probe_cost.py [MANIFEST] [--encoder starter] [--epochs 2] [--threads 1]

Slow side, as published (Universal Action Space): in each of 30 epochs every training clip is opened
again at a random time, resized (exact), cropped at random, flipped, and run through the frozen
encoder with drop path active; a linear head takes an AdamW step on each batch (lr 3e-4, weight
decay 0.05, dropout 0.5, cosine per epoch after 2.5 epochs of warm-up). Only ``--epochs`` of them
are run and timed, and the time is scaled to 30; for its accuracy the head goes on to 30 epochs on
the random views of the epochs that were run, which costs next to nothing and is not timed. The
original's batch is 8 in micro-batches of 1; here it is one batch of 8, which favours the slow side.

Fast side: what ``actionspace train linear_probe`` does with the same training clips: encode once,
choose the penalty on grouped folds, fit. Both sides start with the encoder in memory and nothing
cached, use the same number of threads to decode and to compute, and are tested on the same clips in
the same deterministic views. Target: at least 25 times cheaper at equal or better accuracy.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from actionspace.encoders.create import create_encoder
from actionspace.encoders.encoder import Encoder
from actionspace.events import io
from actionspace.events.table import Events
from actionspace.features.extract import extract, views_of
from actionspace.metrics.classification import mean_class_accuracy, top_k_accuracy
from actionspace.recognition import data as manifest
from actionspace.recognition.head import fit_head
from actionspace.recognition.recipe import HeadConfig, SplitConfig
from actionspace.recognition.rows import Rows
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index
from actionspace.video.views import Views

EPOCHS, BATCH, LR, DECAY, WARMUP, DROPOUT = 30, 8, 3e-4, 0.05, 2.5, 0.5
DEMO = Path(__file__).parents[1] / "src" / "actionspace" / "demo" / "data" / "clips.csv"


def random_view(events: Events, views: Views, row: int, epoch: int) -> np.ndarray:
    """Open one clip and cut one random training view, uint8 THWC."""
    event = events.rows.iloc[row]
    path = events.path(event["video"])
    index = frame_index(path)
    requests = views.requests_for_interval(
        index, event["start"], event["end"], epoch=epoch, sample=row
    )
    (clip,) = iter_clips(path, requests, views.transform(), index=index)
    return clip.frames


def learning_rate(step: int, steps_per_epoch: int) -> float:
    """Cosine per epoch to 0 over 30 epochs, linear warm-up per step from a tenth."""
    epoch = step // steps_per_epoch
    lr = LR * 0.5 * (1 + math.cos(math.pi * epoch / EPOCHS))
    warm = WARMUP * steps_per_epoch
    return lr * (1 - (1 - step / warm) * 0.9) if step < warm else lr


class AdamHead:
    """The published head: dropout, linear layer, AdamW."""

    def __init__(self, dim: int, classes: int, steps_per_epoch: int) -> None:
        torch.manual_seed(0)
        self.layer = nn.Linear(dim, classes)
        nn.init.normal_(self.layer.weight, std=0.01)
        nn.init.zeros_(self.layer.bias)
        self.optimizer = torch.optim.AdamW(self.layer.parameters(), lr=LR, weight_decay=DECAY)
        self.steps_per_epoch = steps_per_epoch
        self.step_number = 0

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step_number, self.steps_per_epoch)
        loss = nn.functional.cross_entropy(self.layer(nn.functional.dropout(x, DROPOUT)), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step_number += 1

    def scores(self, x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.layer(torch.from_numpy(x)).numpy()


def published(
    train: Events, encoder: Encoder, y: np.ndarray, classes: int, epochs: int
) -> tuple[AdamHead, float, list[float]]:
    """Run some epochs as published; return the head after 30, seconds for 30, seconds of each."""
    base = views_of(encoder)
    short = base.short_side * 8 // 7 if base.short_side == base.size else base.short_side
    views = Views(base.frames, base.stride, base.size, short, "center", "exact", augment=1)
    head = AdamHead(encoder.dim, classes, math.ceil(len(train) / BATCH))
    target, kept, seconds = torch.from_numpy(y), [], []
    for epoch in range(epochs):
        begun = time.perf_counter()
        seen = torch.empty(len(train), encoder.dim)
        for rows in np.array_split(
            np.random.default_rng(epoch).permutation(len(train)), head.steps_per_epoch
        ):
            clips = np.stack([random_view(train, views, int(row), epoch) for row in rows])
            with torch.no_grad(), encoder.stochastic_depth():
                x = encoder(encoder.prepare(torch.from_numpy(clips)))
            seen[rows] = x
            head.step(x, target[rows])
        seconds.append(time.perf_counter() - begun)
        kept.append(seen)
    for epoch in range(epochs, EPOCHS):
        x = kept[epoch % epochs]
        for rows in np.array_split(
            np.random.default_rng(epoch).permutation(len(train)), head.steps_per_epoch
        ):
            head.step(x[rows], target[rows])
    return head, EPOCHS * float(np.median(seconds)), seconds


def ours(
    train: Events, encoder: Encoder, targets: manifest.Targets, threads: int
) -> tuple[Any, float]:
    """Encode once and fit; return the head and seconds."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = extract(train, encoder, Path(folder) / "store", threads=threads, progress=False)
        rows = Rows.gather(train, store, "label", targets)
    fitted = fit_head(rows, None, HeadConfig(), targets.classes, False)
    return fitted.head, time.perf_counter() - begun


def test_features(events: Events, encoder: Encoder, threads: int) -> np.ndarray:
    """One vector per test clip, in the encoder's own deterministic view."""
    from actionspace.features.bags import bags

    with tempfile.TemporaryDirectory() as folder:
        store = extract(events, encoder, Path(folder) / "store", threads=threads, progress=False)
        bag = bags(events, store)
    return bag.mean(bag.features).astype(np.float32)


def accuracies(scores: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "top1_accuracy": round(top_k_accuracy(scores, y), 4),
        "mean_class_accuracy": round(mean_class_accuracy(scores, y), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--encoder", default="starter")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the slow side to run")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    events = io.read(options.manifest)
    events = manifest.with_splits(events, SplitConfig(), lambda _: None)
    events = events.select(mask=events.rows["start"].isna() & manifest.use(events, "label"))
    targets = manifest.targets(events, "label")
    learn = events.select(videos=_videos(events, "train", "val"))
    test = events.select(split="test")
    y_train = manifest.targets(learn, "label", targets.classes, False).values
    y_test = manifest.targets(test, "label", targets.classes, False).values
    encoder = create_encoder(options.encoder)
    encoder(encoder.prepare(torch.zeros(1, *_shape(encoder), dtype=torch.uint8)))  # warm up

    fast_head, fast = ours(learn, encoder, targets, options.threads)
    slow_head, slow, epochs = published(
        learn, encoder, y_train, len(targets.classes), options.epochs
    )
    x = test_features(test, encoder, options.threads)
    result = {
        "benchmark": "probe_cost",
        "ratio": round(slow / fast, 1),
        "target": 25,
        "ours_seconds": round(fast, 2),
        "published_seconds": round(slow, 2),
        "published_is_scaled": f"{len(epochs)} of {EPOCHS} epochs were run",
        "published_epoch_seconds": [round(s, 2) for s in epochs],
        "ours": accuracies(fast_head.scores(x), y_test),
        "published": accuracies(slow_head.scores(x), y_test),
        "encoder": options.encoder,
        "train_clips": len(learn),
        "test_clips": len(test),
        "threads": options.threads,
    }
    print(json.dumps(result, indent=2))


def _videos(events: Events, *splits: str) -> list[str]:
    return list(events.videos["video"][events.videos["split"].isin(splits)])


def _shape(encoder: Encoder) -> tuple[int, int, int, int]:
    return encoder.clip.frames, encoder.clip.size, encoder.clip.size, 3


if __name__ == "__main__":
    main()
