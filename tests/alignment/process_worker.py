"""What the processes of test_processes.py run: a step of each kind of network, over tiny stages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.samples import ViewSamples
from actionspace.alignment.task import AlignmentTask
from actionspace.encoders.resnet2d import ResNet
from actionspace.training.loop import fit
from actionspace.training.run import Run
from tests.alignment import phased

NETWORKS = {"conv": {"embedder": "conv", "contexts": 2}, "transformer": {"train_base": "all"}}
GROUPS = np.arange(12) % 3


class Pictures:
    """Videos of 9 random pictures each."""

    def __init__(self) -> None:
        self.names = [f"v{k:02d}" for k in range(12)]

    def times(self, index: int) -> np.ndarray:
        return np.stack([np.arange(9.0), np.arange(1.0, 10.0)], axis=1)

    def read(self, index: int, frames: np.ndarray) -> Tensor:
        made = np.random.default_rng(index).integers(0, 255, (9, 40, 36, 3), np.uint8)
        return torch.from_numpy(made[frames])

    def stream(self, index: int, blocks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        return (self.read(index, block) for block in blocks)


def recipe(name: str) -> AlignmentRecipe:
    return phased.recipe(
        network={
            **{"input": "frames", "compat": "carl", "frames_per_batch": 4, "fc": [8]},
            **{"conv": [{"channels": 8}], **NETWORKS[name]},
        },
        loss={"name": "tcc"},
        sampling={"frames": 4, "strategy": "offset_uniform", "batch_by": "action"},
        pictures={"size": 40},
        training={"epochs": 2, "batch_size": 4, "sync_batchnorm": True, "timeout": 30},
    )


def train(out: Path, name: str) -> dict[str, object]:
    """Train two epochs of three steps; return what it came to, and which action each step saw."""
    torch.manual_seed(0)
    resnet, made = ResNet(width=4, depths=(1, 1, 1, 1)), recipe(name)
    dim = 64 if name == "conv" else resnet.dim
    network = AlignmentNetwork(made.make, dim, parts=resnet.parts())
    network.freeze_idle()
    seen: list[set[int]] = []

    class Told(AlignmentTask):
        def step(self, model, batch):  # type: ignore[no-untyped-def]
            seen.append(set(GROUPS[batch.samples].tolist()))
            return super().step(model, batch)

    samples = ViewSamples(Pictures(), None, made.sampling.drawn(2 if name == "conv" else 1), 1, 0)
    samples.step_groups = GROUPS
    run = Run(out)
    run.path.mkdir(parents=True, exist_ok=True)
    fit(Told(made, network, samples, None), made.training, run, identity={}, device="cpu")
    sums = {key: float(value.double().sum()) for key, value in network.state_dict().items()}
    return {"sums": sums, "actions": [sorted(one) for one in seen]}


def work(out: Path) -> None:
    """Train each network in this process, one of several."""
    for name in NETWORKS:
        found = train(out / name, name)
        place = out / f"{name}-rank{os.environ['RANK']}.json"
        place.write_text(json.dumps(found), encoding="utf-8")
