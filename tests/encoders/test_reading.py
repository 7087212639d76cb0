"""Checkpoints of every zoo's layout, by name and by file: what they are, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from actionspace.encoders import keys_inception, keys_resnet, keys_x3d
from actionspace.encoders.checkpoint import (
    read_weights,
    refuse_adapters,
    weights_hash,
    write_weights,
)
from actionspace.encoders.create import create_encoder
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.reading import read_checkpoint, read_swin
from actionspace.encoders.weights import convert_checkpoint
from actionspace.errors import WeightsError

TINY: dict[str, dict[str, Any]] = {
    "slow_r50": {"width": 4},
    "i3d_r50": {"width": 4},
    "slowfast_r50": {"width": 16},
    "x3d_s": {"stem_dim": 8, "widths": (8, 8, 16, 16), "depths": (2, 1, 1, 1), "head_dim": 16},
}
X = torch.randn(1, 3, 4, 40, 36)


def _state(name: str, layout: str, classes: int = 5, **options: Any) -> tuple[Any, dict[str, Any]]:
    """An encoder, and its weights and a classifier as that zoo names them."""
    encoder = create_encoder(f"untrained:{name}", seed=3, **TINY.get(name, {}) | options)
    return encoder, _named(encoder, name, layout, classes)


def _named(encoder: Encoder, name: str, layout: str, classes: int = 5) -> dict[str, Any]:
    plain = dict(encoder.backbone.state_dict())
    plain |= {"head.weight": torch.randn(classes, encoder.dim), "head.bias": torch.randn(classes)}
    if name.startswith("x3d"):
        return keys_x3d.from_plain(plain, layout)  # type: ignore[arg-type]
    if name.startswith("inception"):
        return keys_inception.from_plain(plain, layout)
    halve = name.startswith(("i3d", "c2d"))
    return keys_resnet.from_plain(plain, layout, halve_time=halve)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("layout", ["pytorchvideo", "pyslowfast"])
def test_weights_by_name(name: str, layout: str, tmp_path: Path) -> None:
    options = {"shortcut_bn_on_stride": True} if (name, layout) == ("x3d_s", "pyslowfast") else {}
    encoder, state = _state(name, layout, **options)
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save({"epoch": 3, "model_state": wrapped, "cfg": "TEXT"}, tmp_path / "w.pyth")
    read = read_checkpoint(tmp_path / "w.pyth")
    assert read.layout == layout and read.classes == 5
    assert read.head["weight"].shape == (5, encoder.dim)
    same = create_encoder(name, weights=tmp_path / "w.pyth", seed=9, **TINY[name])
    with torch.no_grad():
        assert torch.equal(same(X), encoder(X))
    assert same.weights_hash == weights_hash(encoder.backbone.state_dict())


def test_weights_by_file(tmp_path: Path) -> None:
    encoder, state = _state("inception_i3d_flow", "pytorch_i3d", classes=157)
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert len(old) < len(state)  # As in files written before there was such a counter.
    torch.save(old, tmp_path / "flow_charades.pt")
    read = read_checkpoint(tmp_path / "flow_charades.pt")
    assert (read.name, read.layout, read.classes) == ("inception_i3d_flow", "pytorch_i3d", 157)
    assert read.head["weight"].shape == (157, 1024)
    same = create_encoder(str(tmp_path / "flow_charades.pt"))
    assert (same.clip, same.dim) == (encoder.clip, 1024)
    x = torch.randn(1, 2, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(same(x), encoder(x))

    convert_checkpoint(tmp_path / "flow_charades.pt", tmp_path / "flow.safetensors")
    notes = read_weights(tmp_path / "flow.safetensors")[1]
    assert (notes["architecture"], notes["num_classes"]) == ("inception_i3d_flow", "157")
    again = read_checkpoint(tmp_path / "flow.safetensors")
    assert (again.layout, again.name) == ("plain", "inception_i3d_flow")
    assert again.backbone.keys() == read.backbone.keys()


@pytest.mark.parametrize("name", ["c2d_r50", "slowfast_r50_4x16"])
def test_networks_are_told_by_their_shapes(name: str, tmp_path: Path) -> None:
    encoder = create_encoder(f"untrained:{name}")
    for layout in ("pytorchvideo", "pyslowfast", "plain"):
        torch.save(_named(encoder, name, layout), tmp_path / "w.pyth")
        read = read_checkpoint(tmp_path / "w.pyth")
        assert (read.name, read.layout) == (name, layout)


def test_epic_kitchens_classifiers_are_kept_apart(tmp_path: Path) -> None:
    _, state = _state("slowfast_r50", "pyslowfast", classes=97)
    for part in ("weight", "bias"):
        state[f"head.projection_verb.{part}"] = state.pop(f"head.projection.{part}")
        state[f"head.projection_noun.{part}"] = torch.zeros(300, 288 * 2 if part == "weight" else 1)
    torch.save({"model_state": state}, tmp_path / "w.pyth")
    read = read_checkpoint(tmp_path / "w.pyth")
    assert set(read.head) == {"verb.weight", "verb.bias", "noun.weight", "noun.bias"}
    back = keys_resnet.from_plain(
        read.backbone | {f"head.{k}": v for k, v in read.head.items()}, "pyslowfast"
    )
    assert back.keys() == state.keys()


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.pyth"
    torch.save(_state("slow_r50", "pytorchvideo")[1], path)
    with pytest.raises(WeightsError, match=r"not known here.*create the network by name.*weights="):
        create_encoder(str(path))
    with pytest.raises(WeightsError, match=r"w\.pyth into swin3d_t does not fit\. missing"):
        create_encoder("swin3d_t", weights=path, embed_dim=8, depths=(1, 1), num_heads=(1, 2))
    with pytest.raises(WeightsError, match="not a Video Swin"):
        read_swin(path)
    torch.save(_state("i3d_r50", "pytorchvideo")[1], path)
    with pytest.raises(WeightsError, match=r"into slow_r50 does not fit.*other shapes: stem\.conv"):
        create_encoder("slow_r50", weights=path, width=4)
    torch.save({"nonlocal.weight": torch.ones(1), **_state("slow_r50", "pyslowfast")[1]}, path)
    with pytest.raises(WeightsError, match=r"unexpected: nonlocal\.weight"):
        create_encoder("slow_r50", weights=path, width=4)
    torch.save({"blocks.0.attn.qkv.weight": torch.ones(1)}, path)
    with pytest.raises(WeightsError, match=r"no network and layout known here.*first names are"):
        create_encoder(str(path))
    caffe2 = tmp_path / "SLOWFAST_8x8_R50.pkl"
    caffe2.write_bytes(pickle.dumps({"blobs": {"conv1_w": [0.5]}}))
    with pytest.raises(WeightsError, match=r"cannot be read.*Caffe2 files.*\.pyth"):
        create_encoder("slowfast_r50", weights=caffe2)
    for keys in (keys_resnet, keys_inception):
        with pytest.raises(WeightsError, match="no layout 'caffe2'"):
            keys.from_plain({}, "caffe2")


def test_adapters_alone_are_no_encoder(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "adapter"
    folder.mkdir(parents=True)
    path = folder / "adapter_model.safetensors"
    layer = "base_model.model.layers.0.blocks.0.attn.qkv.q"
    state = {f"{layer}.lora_{x}.weight": torch.ones(4, 4) for x in "AB"}
    write_weights(path, state)
    own = "tests.recognition.tiny:encoder"
    for name, weights in ((str(path), None), *((n, path) for n in ("swin3d_t", "starter", own))):
        with pytest.raises(WeightsError, match=r"adapter_model.*LoRA adapters.*convert RUN"):
            create_encoder(name, weights=weights)
    with pytest.raises(WeightsError, match=r"adapter_model.*LoRA adapters"):
        convert_checkpoint(path, tmp_path / "out.safetensors")
    for name in ("swin3d_t", "starter", own):
        with pytest.raises(WeightsError, match=r"adapter is a folder.*convert RUN"):
            create_encoder(name, weights=folder)
    with pytest.raises(WeightsError, match=r"run is a folder.*convert RUN"):
        create_encoder(str(tmp_path / "run"))
    # A checkpoint of the original code has its adapters beside the weights they adapt.
    refuse_adapters([*state, "layers.0.blocks.0.attn.qkv.weight"], path)
