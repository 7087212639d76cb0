"""Published checkpoints become networks of ours, and nothing in them is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from actionspace.alignment.checkpoint import read_checkpoint
from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.create import create_network
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.encoders.checkpoint import read_weights, write_weights
from actionspace.errors import WeightsError
from tests.alignment.published_file import SETTINGS, save

TINY: dict[str, Any] = {
    "input": "features",
    "fc": (12, 10),
    "hidden_dim": 8,
    "layers": 2,
    "heads": 2,
    "feed_forward_dim": 6,
    "train_frames": 80,
    "embedding_dim": 5,
    "projection_dim": 7,
    "l2_normalize": False,
}


def _network(**fields: Any) -> AlignmentNetwork:
    torch.manual_seed(0)
    return create_network(NetworkConfig(**TINY | fields), dim=9, classes=3).eval()


def test_weights_and_settings_make_the_network(tmp_path: Path) -> None:
    net = _network()
    path = tmp_path / "checkpoint_epoch_00299.pth"
    save(path, {f"module.{name}": value for name, value in net.state_dict().items()})
    read = read_checkpoint(path)
    assert (read.dim, read.classes) == (9, 3)
    c = read.config
    assert (c.heads, c.train_frames, c.l2_normalize, c.frames_per_batch) == (2, 80, False, 7)
    assert (c.dropout, c.fc_dropout, c.train_base) == (0.3, 0.3, "frozen")
    same = read.network()
    assert not same.training
    x, mask = torch.randn(2, 11, 9), torch.ones(2, 11)
    with torch.no_grad():
        for options in ({}, {"project": True}, {"classify": True}):
            assert torch.equal(same(x, mask, **options), net(x, mask, **options))


def test_settings_are_read_as_mappings(tmp_path: Path) -> None:
    """A class that is not installed, within it others, and the program's arguments."""
    with pytest.raises(ImportError):
        __import__("easydict")
    save(tmp_path / "w.pth", {"a": torch.ones(2)})
    state, notes = read_weights(tmp_path / "w.pth")
    assert torch.equal(state["a"], torch.ones(2))
    assert notes["cfg"]["MODEL"] == SETTINGS["MODEL"]
    assert notes["cfg"]["args"] == SETTINGS["args"]


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


class _Settings(dict[str, Any]):
    """Some class of somebody's; pickled by its name."""


@pytest.mark.parametrize("place", ["cfg", "within", "key"])
def test_what_would_run_is_refused(place: str, tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    evil = _Attack(mark)
    settings = {
        "cfg": {"args": evil},
        "within": SETTINGS | {"MODEL": {"HOOK": [1, evil]}},
        "key": {"args": [{evil: 1}]},
    }[place]
    save(path, _network().state_dict(), settings)
    with pytest.raises(WeightsError, match=r"evil\.pth was refused.*mkdir.*runs code"):
        read_checkpoint(path)
    assert not mark.exists()


def test_unknown_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model_state": _network().state_dict(), "cfg": _Settings(a=1)}, path)
    with pytest.raises(WeightsError, match=r"w\.pth was refused.*test_checkpoint\._Settings"):
        read_checkpoint(path)


def test_without_settings_they_are_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = _network()
    write_weights(tmp_path / "w.safetensors", net.state_dict())
    base = NetworkConfig(heads=2, train_frames=80, l2_normalize=False)
    same = read_checkpoint(tmp_path / "w.safetensors", base).network()
    assert "2 heads, trained on 80 frames" in caplog.text
    x = torch.randn(1, 6, 9)
    assert torch.equal(same(x), net(x))


def test_paddings_of_convolutions(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = create_network(NetworkConfig(embedder="conv", contexts=2)).state_dict()
    state: dict[str, Tensor] = {
        name: torch.zeros((), dtype=value.dtype).expand(value.shape)
        for name, value in shapes.items()
    }
    model = SETTINGS["MODEL"] | {"TRAIN_BASE": "only_bn"}
    save(tmp_path / "w.pth", state, SETTINGS | {"DATA": {"NUM_CONTEXTS": 2}, "MODEL": model})
    config = read_checkpoint(tmp_path / "w.pth").config
    assert [layer.time_padding for layer in config.conv] == [0, 2]
    assert [layer.channels for layer in config.conv] == [512, 512]
    assert (config.embedder, config.contexts, config.layer) == ("conv", 2, 3)
    assert config.train_base == "bn"


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"model_state": {"layer1.weight": torch.ones(1)}}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth: These are not the weights of CARL.*layer1"):
        read_checkpoint(tmp_path / "w.pth")
    state = _network().state_dict()
    del state["embed.video_encoder.enc_layers.1.res_layer0.norm.bias"]
    save(tmp_path / "w.pth", state)
    with pytest.raises(WeightsError, match=r"does not fit\. missing: embed\.video_encoder"):
        read_checkpoint(tmp_path / "w.pth").network()
