"""Weight files: every format is read, none runs code, every damage is said."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from actionspace.encoders.checkpoint import load_state, read_weights, weights_hash
from actionspace.encoders.keys import from_plain
from actionspace.encoders.swin3d import SwinTransformer3D
from actionspace.encoders.weights import convert_checkpoint, read_swin
from actionspace.errors import ActionspaceError, WeightsError

STATE = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"meta": {"epoch": np.int64(3), "best": np.float64(0.5)}, "state_dict": s},
        lambda s: {"model": s, "optimizer": {"lr": 0.1}},
    ],
    ids=["bare", "mmaction", "model"],
)
def test_torch_files(tmp_path: Path, wrap: Any, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save(wrap(STATE), path, _use_new_zipfile_serialization=zipped)
    state = load_state(path)
    assert state.keys() == STATE.keys()
    assert all(torch.equal(state[k], STATE[k]) for k in STATE)


def test_safetensors_and_their_notes(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"  # The content decides, not the name.
    save_file(STATE, path, {"made": "here"})
    state, notes = read_weights(path)
    assert notes == {"made": "here"}
    assert weights_hash(state) == weights_hash(dict(reversed(STATE.items())))


def test_hash_sees_names_types_shapes_and_values() -> None:
    hashes = [
        weights_hash(s)
        for s in (
            STATE,
            {"a": STATE["a"], "c": STATE["b"]},
            STATE | {"a": STATE["a"].view(3, 2)},
            STATE | {"a": STATE["a"] + 1e-6},
            STATE | {"b": STATE["b"].half()},
        )
    ]
    assert len(set(hashes)) == len(hashes)


class _Attack:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_that_runs_code_is_refused(tmp_path: Path, zipped: bool) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    content = {"state_dict": STATE, "meta": _Attack(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"was refused.*mkdir.*runs code"):
        load_state(path)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damage_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w"
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save({"state_dict": STATE}, path, _use_new_zipfile_serialization=kind == "zip")
    whole = path.read_bytes()
    rng = random.Random(0)
    for i in range(60):
        data = bytearray(whole)
        if i % 2:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(5):
                data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            load_state(path)  # Flipped bits inside the numbers cannot be seen.
        except WeightsError as e:
            assert str(path) in str(e)


@pytest.mark.parametrize(
    "content,word",
    [(b"", "empty"), (b"<html>sign in</html>", "web page"), (b"GIF89a" + bytes(20), "something")],
)
def test_what_is_no_weight_file(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"no weight file.*{word}"):
        load_state(path)
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(tmp_path / "none.pth")
    torch.save({"epoch": 3}, path)
    with pytest.raises(WeightsError, match="holds no named tensors"):
        load_state(path)


def _official(window: tuple[int, int, int] = (2, 3, 3)) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    net = SwinTransformer3D(embed_dim=8, depths=(1, 1), num_heads=(1, 2), window_size=window)
    head = {"head.weight": torch.randn(5, 16), "head.bias": torch.zeros(5)}
    return from_plain(dict(net.state_dict()) | head, "mmaction0", window=window)


def test_convert_writes_plain_safetensors(tmp_path: Path) -> None:
    source, out = tmp_path / "epoch_30.pth", tmp_path / "sub" / "w.safetensors"
    torch.save({"meta": {"epoch": 30}, "state_dict": _official()}, source)
    read = convert_checkpoint(source, out)
    assert (read.layout, read.classes, read.merged_lora) == ("mmaction0", 5, False)
    state, notes = read_weights(out)
    assert notes["num_classes"] == "5" and notes["source_layout"] == "mmaction0"
    again = read_swin(out)
    assert again.layout == "plain"
    assert weights_hash(again.backbone) == notes["weights_hash"] == weights_hash(read.backbone)
    assert state["head.weight"].shape == (5, 16)


def test_convert_merges_adapters_or_asks_for_alpha(tmp_path: Path) -> None:
    state = _official()
    owner = "backbone.layers.0.blocks.0.attn.lora_q."
    state[owner + "lora_A.weight"] = torch.randn(2, 8)
    state[owner + "lora_B.weight"] = torch.randn(8, 2)
    silent, told = tmp_path / "silent.pth", tmp_path / "told.pth"
    torch.save({"state_dict": state}, silent)
    config = "backbone=dict(use_lora=True, lora_rank=2, lora_alpha=6)"
    torch.save({"meta": {"config": config}, "state_dict": state}, told)
    with pytest.raises(WeightsError, match="lora_alpha"):
        read_swin(silent)
    a, b = read_swin(told), read_swin(silent, lora_alpha=6)
    assert a.merged_lora and weights_hash(a.backbone) == weights_hash(b.backbone)
    name = "layers.0.blocks.0.attn.qkv.weight"
    before = state["backbone." + name]
    delta = 3 * state[owner + "lora_B.weight"] @ state[owner + "lora_A.weight"]
    torch.testing.assert_close(a.backbone[name][:8], before[:8] + delta)
    assert torch.equal(a.backbone[name][8:], before[8:])


def test_convert_failures_name_the_file(tmp_path: Path) -> None:
    source = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.ones(2)}, source)
    with pytest.raises(WeightsError, match=r"other\.pth holds weights of no network.*conv\.weight"):
        convert_checkpoint(source, tmp_path / "out.safetensors")
    torch.save(_official(), source)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(ActionspaceError, match="Cannot write"):
        convert_checkpoint(source, blocked / "out.safetensors")
