"""Weight files of V-JEPA 2 and 2.1: parts, layouts, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from actionspace.encoders.checkpoint import read_weights
from actionspace.encoders.create import create_encoder
from actionspace.encoders.keys_vjepa import (
    detect_layout,
    from_plain,
    to_plain,
)
from actionspace.encoders.published import WEIGHTS
from actionspace.encoders.reading import read_checkpoint
from actionspace.encoders.vjepa_files import load_predictor
from actionspace.encoders.weights import convert_checkpoint
from actionspace.errors import WeightsError
from tests.encoders.vjepa_tiny import clips, p2, p21, v2, v21

V2 = {"embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0}
V21 = {"embed_dim": 24, "depth": 12, "num_heads": 2, "mlp_ratio": 1.0}
STALE = {"pos_embed": torch.zeros(1, 64, 24)}


def _file(path: Path, **parts: Any) -> Path:
    """A file as published: several networks and the state of a training."""
    named = {
        part: from_plain(state if isinstance(state, dict) else state.state_dict(), "official")
        for part, state in parts.items()
    }
    torch.save({**named, "opt": {"state": {0: torch.ones(2)}}, "epoch": 3, "lr": 0.1}, path)
    return path


def test_the_average_is_taken(tmp_path: Path) -> None:
    trained, average, x = v2(1), v2(2), clips(1, 3, 4, 32, 32)
    path = _file(tmp_path / "w.pt", encoder=trained, target_encoder=average, predictor=p2())
    with torch.no_grad():
        encoder = create_encoder("vjepa2_vit_large", weights=path, **V2)
        assert torch.equal(encoder.forward_features(x), average(x))
        other = create_encoder("vjepa2_vit_large", weights=path, part="encoder", **V2)
        assert torch.equal(other.forward_features(x), trained(x))
    assert encoder.weights_hash != other.weights_hash


def test_distilled_files_name_it_otherwise(tmp_path: Path) -> None:
    average, x = v21(2), clips(1, 3, 4, 32, 32)
    path = _file(tmp_path / "w.pt", encoder=v21(1), ema_encoder=average, predictor=p21())
    encoder = create_encoder("vjepa2_1_vit_base_384", weights=path, **V21)
    with torch.no_grad():
        assert torch.equal(encoder.forward_features(x), average(x))


def test_parts_that_are_not_there(tmp_path: Path) -> None:
    path = _file(tmp_path / "w.pt", encoder=v2())
    with pytest.raises(WeightsError, match=r"none of its averages .* say part='encoder'"):
        read_checkpoint(path)
    assert read_checkpoint(path, part="encoder").layout == "official"
    path = _file(tmp_path / "w.pt", ema_encoder=v21(), predictor=p21())
    with pytest.raises(WeightsError, match=r"no part 'ema_encodr'. Did you mean 'ema_encoder'?"):
        read_checkpoint(path, part="ema_encodr")
    with pytest.raises(WeightsError, match="no part 'target_encoder'"):
        read_checkpoint(path, part="target_encoder")
    save_file(v2().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="leave out part=encoder"):
        read_checkpoint(tmp_path / "w.safetensors", part="encoder")
    torch.save(v2().state_dict(), tmp_path / "bare.pt")
    with pytest.raises(WeightsError, match="a single network; leave part= out"):
        read_checkpoint(tmp_path / "bare.pt", part="target_encoder")


def test_files_of_one_version_do_not_fit_the_other(tmp_path: Path) -> None:
    """Loaded loosely they would run, with the wrong norm and rotary positions."""
    path = _file(tmp_path / "w.pt", target_encoder=v21())
    with pytest.raises(WeightsError, match=r"missing: norm.weight, norm.bias; unexpected: img_mod"):
        create_encoder("vjepa2_vit_large", weights=path, **{**V21})
    path = _file(tmp_path / "w.pt", target_encoder=v2(depth=12, mlp_ratio=1.0))
    with pytest.raises(WeightsError, match=r"unexpected: norm.weight"):
        create_encoder("vjepa2_1_vit_base_384", weights=path, **V21)


def test_a_left_over_table_is_ignored(tmp_path: Path) -> None:
    net = v2()
    path = _file(tmp_path / "w.pt", target_encoder=net.state_dict() | STALE)
    read = read_checkpoint(path)
    assert read.backbone.keys() == net.state_dict().keys()
    assert "pos_embed" in to_plain(net.state_dict() | STALE, keep_positions=True)


@pytest.mark.parametrize("prefix", ["module.backbone.", "backbone.", "module.", ""])
def test_prefixes(prefix: str) -> None:
    state = v21().state_dict()
    named = {prefix + name: value for name, value in state.items()}
    assert detect_layout(named) == ("official" if prefix else "plain")
    assert to_plain(named).keys() == state.keys()


def test_layouts_there_and_back() -> None:
    every, shared = ("plain", "official", "transformers"), ("plain", "official")
    for net, predictor, layouts in ((v2(), p2(), every), (v21(), p21(levels=4), shared)):
        for part, module in (("encoder", net), ("predictor", predictor)):
            state = module.state_dict()
            for layout in layouts:
                named = from_plain(state, layout, part)
                back = to_plain(named, part)
                assert back.keys() == state.keys()
                assert all(torch.equal(back[name], value) for name, value in state.items())
    assert detect_layout(from_plain(v2().state_dict(), "transformers")) == "transformers"
    with pytest.raises(WeightsError, match=r"no place for 'img_mod_embed' \(it has no version 2.1"):
        from_plain(v21().state_dict(), "transformers")
    with pytest.raises(WeightsError, match=r"not V-JEPA 2 or 2.1 weights"):
        detect_layout(["blocks.0.attn.qkv.weight", "patch_embed.proj.weight", "cls_token"])


def test_safetensors_and_conversion(tmp_path: Path) -> None:
    path = _file(tmp_path / "w.pt", target_encoder=v2())
    convert_checkpoint(path, tmp_path / "plain.safetensors")
    theirs = from_plain(v2().state_dict(), "transformers")
    save_file({f"vjepa2.{n}": v.clone() for n, v in theirs.items()}, tmp_path / "hf.safetensors")
    made = [
        create_encoder("vjepa2_vit_huge", weights=tmp_path / name, **V2)
        for name in ("w.pt", "plain.safetensors", "hf.safetensors")
    ]
    assert len({encoder.weights_hash for encoder in made}) == 1
    with pytest.raises(WeightsError, match="a V-JEPA 2 of width 24, depth 2, so its options"):
        create_encoder(str(tmp_path / "plain.safetensors"))


@pytest.mark.parametrize("gated", [False, True])
def test_predictor_of_a_file(tmp_path: Path, gated: bool) -> None:
    context, targets = torch.tensor([[0, 5]]), torch.tensor([[1, 6, 40]])
    x = {1: clips(1, 2, 24), 4: clips(1, 2, 96)}
    for net, levels in ((p2(use_silu=gated), 1), (p21(use_silu=gated), 1), (p21(levels=4), 4)):
        path = _file(tmp_path / "w.pt", target_encoder=v2(), predictor=net)
        read = load_predictor(path, img_size=64, num_heads=3)
        with torch.no_grad():
            expected = net(x[levels], context, targets)
            assert torch.equal(read(x[levels], context, targets), expected)
    theirs = from_plain(v2().state_dict(), "transformers")
    theirs |= from_plain(p2().state_dict(), "transformers", "predictor")
    save_file({n: v.contiguous().clone() for n, v in theirs.items()}, tmp_path / "m.safetensors")
    read = load_predictor(tmp_path / "m.safetensors", img_size=64, num_heads=3)
    with torch.no_grad():
        assert torch.equal(read(x[1], context, targets), p2()(x[1], context, targets))
    save_file(v2().state_dict(), tmp_path / "e.safetensors")
    with pytest.raises(WeightsError, match="holds no predictor"):
        load_predictor(tmp_path / "e.safetensors", img_size=64)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_rest_of_a_file_is_not_read(tmp_path: Path) -> None:
    """64 MB of an optimiser's state lie beside the encoder and stay on disk."""
    path = tmp_path / "w.pt"
    state = from_plain(v2().state_dict(), "official")
    torch.save({"target_encoder": state, "opt": {"m": torch.ones(1 << 24)}}, path)
    del state
    read_weights(path)  # what the first call imports does not count
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    except OSError:
        pytest.skip("the peak of this process cannot be reset here")
    before = _kilobytes("VmRSS")
    assert read_weights(path)[0].keys() == from_plain(v2().state_dict(), "official").keys()
    assert _kilobytes("VmHWM") - before < 32_000


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{name}:")[2].split()[0])


def test_files_have_names_of_their_own_on_every_disk() -> None:
    """Two addresses differ in the case of a letter alone."""
    names = [entry.filename.casefold() for entry in WEIGHTS]
    assert len(set(names)) == len(names)


def test_convert_writes_the_part_that_was_asked_for(tmp_path: Path) -> None:
    import actionspace as A

    nets = {"target_encoder": v2(1), "encoder": v2(2)}
    path = _file(tmp_path / "w.pt", **nets)
    for part in (None, "encoder"):
        made = read_checkpoint(A.convert(path, out=tmp_path / f"{part}.safetensors", part=part))
        wanted = nets[part or "target_encoder"].state_dict()
        assert all(torch.equal(made.backbone[k], v) for k, v in wanted.items())
