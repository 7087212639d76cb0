"""Files that give what the network gives, for videos of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import actionspace as A
from actionspace.alignment.export import FREE, WHAT, Export, export
from actionspace.alignment.export_graph import Embeddings
from actionspace.alignment.infer import embed_video
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.alignment.prepare import prepare, read_videos
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network
from actionspace.config import parse, write_yaml
from actionspace.encoders.resnet2d import ResNet
from actionspace.errors import RunError, UsageError
from actionspace.training.graph import trace, write_torch
from actionspace.training.graph_check import largest_errors, open_graph
from actionspace.training.run import Run
from tests.alignment import phased
from tests.alignment.process_worker import Pictures, recipe

KINDS: dict[str, dict[str, Any]] = {
    "stretched": {"network": {"positions": "stretched"}},
    "contexts": {
        "network": {"embedder": "vanilla", "contexts": 3},
        "sampling": {"context_stride": 2},
    },
    "classifier": {"loss": {"name": "classification"}, "network": {"positions": "index"}},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("export")
    phased.make(folder, videos=4, rows=20)
    found = {}
    for name, changes in KINDS.items():
        given = {"data": str(folder / "events.csv"), "features": str(folder / "features")}
        once = {"training": {"epochs": 1}, "evaluation": {"after_training": False}}
        write_yaml(folder / f"{name}.yaml", phased.recipe(**once, **given, **changes))
        found[name] = A.train(folder / f"{name}.yaml", out=folder / name)
    return found


@pytest.fixture(scope="module")
def classifier(runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Export:
    return A.export(runs["classifier"], tmp_path_factory.mktemp("made") / "m.pt2", part="head")


@pytest.mark.parametrize(
    ("name", "ending"), [("stretched", "onnx"), ("contexts", "pt2"), ("classifier", "pt2")]
)
def test_a_file_gives_what_embed_gives(
    runs: dict[str, Run], classifier: Export, name: str, ending: str, tmp_path: Path
) -> None:
    if ending == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    run = runs[name]
    made = classifier if name == "classifier" else export(run, tmp_path / f"m.{ending}")
    assert max(made.errors.values()) <= 1e-5
    outputs = tuple(made.about["outputs"])
    assert outputs == (("embeddings", "logits") if name == "classifier" else ("embeddings",))
    assert made.about["inputs"]["features"]["shape"] == [1, "rows", phased.DIM]
    assert "max error" in str(made)
    options = parse(AlignmentRecipe, run.config, "config.yaml")
    videos = prepare(options, read_videos(options, options.data or "")).videos("test")
    wanted = embed_video(load_network(run, options), videos, 0, options)
    rows = videos.read(0, np.arange(len(wanted))).numpy()[None]
    format = "onnx" if ending == "onnx" else "torch-export"
    found = open_graph(made.path, format, ("features",), outputs)(rows)
    np.testing.assert_allclose(found[0][0], wanted, atol=1e-5)
    if name == "classifier":
        assert found[1].shape == (1, len(wanted), 4)
        assert made.about["heads"]["phase"]["classes"] == list(phased.PHASES)


def test_what_the_file_says_of_itself(classifier: Export) -> None:
    extra = {"actionspace.json": ""}
    torch.export.load(classifier.path, extra_files=extra)
    about = json.loads(extra["actionspace.json"])
    assert about == classifier.about
    assert (about["positions"], about["longest"]) == ("index", 1000)
    assert about["encoder"]["dim"] == phased.DIM
    assert str(classifier.path.parents[1]) not in json.dumps(about)  # nor the run's folder


def test_what_cannot_be_exported(runs: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes features, so it is exported as 'head'"):
        export(runs["stretched"], tmp_path / "m.pt2", part="model")
    with pytest.raises(UsageError, match=r"must end in \.onnx or \.pt2"):
        export(runs["stretched"], tmp_path / "m.bin")
    with pytest.raises(RunError, match="does not agree with the run"):
        export(runs["contexts"], tmp_path / "m.pt2", tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_pictures_in_a_file(tmp_path: Path) -> None:
    """The graph of a network of pictures, over tiny stages: its pictures are bytes."""
    torch.manual_seed(0)
    resnet, made = ResNet(width=4, depths=(1, 1, 1, 1)), recipe("conv")
    network = AlignmentNetwork(made.make, 64, parts=resnet.parts()).eval()
    module = Embeddings(network, made.sampling.context_stride).eval()

    def pictures(rows: int) -> Tensor:
        shape = (1, rows, 40, 40, 3)
        return torch.randint(0, 256, shape, dtype=torch.uint8)

    examples = [(pictures(rows),) for rows in (1, 6)]
    program = trace(module, examples[1], WHAT, free=FREE)
    write_torch(program, tmp_path / "m.pt2", {})
    run = open_graph(tmp_path / "m.pt2", "torch-export", ("frames",), module.outputs)
    assert largest_errors(module, run, examples, module.outputs, WHAT, 1e-5)["embeddings"] < 1e-5
    videos = Pictures()
    square = made.model_copy(update={"pictures": made.pictures.model_copy(update={"size": 36})})
    whole = videos.read(0, np.arange(9))[:, :36]
    wanted = embed_video(network, _Cut(videos), 0, square)
    np.testing.assert_allclose(module(whole[None])[0][0].detach().numpy(), wanted, atol=1e-5)


class _Cut:
    """The upper 36 rows of pictures that are 36 wide: nothing is left to be resized."""

    def __init__(self, videos: Pictures) -> None:
        self.names, self.times, self._videos = videos.names, videos.times, videos

    def read(self, index: int, frames: np.ndarray) -> Tensor:
        return self._videos.read(index, frames)[:, :36]

    def stream(self, index: int, blocks: Sequence[np.ndarray]) -> Iterator[Tensor]:
        return (self.read(index, block) for block in blocks)
