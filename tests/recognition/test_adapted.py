"""Adapted encoders on disk: saved, put back, merged, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from actionspace.encoders.encoder import Encoder
from actionspace.errors import RunError
from actionspace.recognition.adapt import train_last
from actionspace.recognition.adapted import ADAPTER, ADAPTER_CONFIG, load_encoder, save_encoder
from actionspace.recognition.lora import adapter_parameters, add_adapters, split_qkv
from actionspace.recognition.recipe import LoraConfig
from tests.recognition import adaptable
from tests.recognition.test_adapt import made, swin


def clips(encoder: Encoder, n: int = 2) -> Tensor:
    c = encoder.clip
    generator = torch.Generator().manual_seed(3)
    shape = (n, c.frames, c.size, c.size, 3)
    return encoder.prepare(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator))


def encoders() -> dict[str, Any]:
    return {"swin": swin, "small": made, "conv": lambda: made(adaptable.CONVOLUTIONS)}


def adapted(make: Any, folder: Path, targets: str = "all") -> tuple[Encoder, Tensor]:
    """An encoder with adapters far from nothing, saved, and what it says of the clips."""
    encoder = make()
    encoder.weights_hash = "base"
    config = {"targets": targets, "rank": 4, "alpha": 6.0, "original_init": True}
    add_adapters(encoder, LoraConfig.model_validate(config))
    for parameter in adapter_parameters(encoder.backbone).values():
        parameter.data.mul_(10)
    save_encoder(folder, encoder, "lora")
    with torch.no_grad():
        return encoder, encoder(clips(encoder))


def fresh(make: Any) -> Encoder:
    encoder = make()
    encoder.weights_hash = "base"
    return encoder  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "targets"),
    [("swin", "qv"), ("swin", "qkvo"), ("swin", "all"), ("small", "all"), ("conv", "all")],
)
def test_merged_is_unmerged(kind: str, targets: str, tmp_path: Path):
    make = encoders()[kind]
    encoder, said = adapted(make, tmp_path, targets)
    merged = fresh(make)
    with torch.no_grad():
        assert (merged(clips(merged)) - said).abs().max() > 1e-3
        load_encoder(tmp_path, merged, "lora")
        torch.testing.assert_close(merged(clips(merged)), said, atol=1e-5, rtol=1e-5)
    assert list(merged.backbone.state_dict()) == list(make().backbone.state_dict())
    again = fresh(make)
    load_encoder(tmp_path, again, "lora")
    assert again.weights_hash == merged.weights_hash not in ("base", "")
    assert encoder.weights_hash == "base"


def test_peft_reads_the_folder(tmp_path: Path):
    from peft import PeftModel  # five seconds, which only this test needs

    _, said = adapted(swin, tmp_path)
    plain = swin()
    names = json.loads((tmp_path / ADAPTER_CONFIG).read_text())["target_modules"]
    layers = [n for n, _ in plain.backbone.named_modules() if n.endswith(".qkv")]
    assert any(name.endswith("qkv.q") for name in names)
    split_qkv(plain.backbone, [f"{layer}.q" for layer in layers])
    model: Any = PeftModel.from_pretrained(plain.backbone, str(tmp_path / "adapter"))
    with torch.no_grad():
        found = model(clips(plain)).mean(dim=(2, 3, 4))
    torch.testing.assert_close(found, said)
    assert set(load_file(tmp_path / ADAPTER)) == {
        name.replace(".default", "") for name in model.state_dict() if ".lora_" in name
    }


def damage(folder: Path, how: str) -> None:
    path = folder / ADAPTER
    if how == "missing":
        path.unlink()
        return
    if how == "no config":
        (folder / ADAPTER_CONFIG).unlink()
        return
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
        return
    state = load_file(path)
    if how == "half":
        state = {name: t for name, t in state.items() if not name.endswith("lora_B.weight")}
    elif how == "other names":
        state = {name.replace("layers.1", "layers.7"): t for name, t in state.items()}
    elif how == "whole":
        state = dict(fresh(made).backbone.state_dict())
    elif how == "other shapes":
        state = {name: t[:, :3].clone() if "lora_A" in name else t for name, t in state.items()}
    save_file(state, path, {"base_weights_hash": "other" if how == "other base" else "base"})


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", r"mode=lora, and adapter/adapter_model\.safetensors is missing"),
        ("no config", "adapter_config"),
        ("truncated", "is damaged"),
        ("half", "is half: one of lora_A and lora_B is missing"),
        ("other names", r"'layers\.7\..*' does not fit the encoder"),
        ("other shapes", "does not fit"),
        ("whole", r"adapter_model\.safetensors holds other weights than adapters"),
        ("other base", r"trained on the weights other, .* has base here"),
    ],
)
def test_adapters_are_put_back_or_refused(how: str, says: str, tmp_path: Path):
    adapted(made, tmp_path, "qv")
    damage(tmp_path, how)
    encoder = fresh(made)
    before = {name: t.clone() for name, t in encoder.backbone.state_dict().items()}
    with pytest.raises(RunError, match=says):
        load_encoder(tmp_path, encoder, "lora")
    for name, t in encoder.backbone.state_dict().items():
        assert torch.equal(t, before[name])


def test_whole_weights_come_back(tmp_path: Path):
    encoder = fresh(made)
    train_last(encoder, 1)
    for parameter in encoder.backbone.parameters():
        parameter.data.add_(0.1)
    save_encoder(tmp_path, encoder, "layers")
    other = fresh(made)
    load_encoder(tmp_path, other, "layers")
    with torch.no_grad():
        assert torch.equal(other(clips(other)), encoder(clips(encoder)))
    assert len(other.weights_hash) == 64
    with pytest.raises(RunError, match=r"has no encoder that fits.*does not fit"):
        load_encoder(tmp_path, swin(), "full")
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(RunError, match=r"mode=full, and encoder\.safetensors is missing"):
        load_encoder(tmp_path, other, "full")
