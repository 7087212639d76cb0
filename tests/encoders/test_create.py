"""Encoders by name: the listing, weights of any layout, your own, and wrong requests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from actionspace.encoders.create import create_encoder, list_encoders
from actionspace.encoders.keys import from_plain
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import UsageError, WeightsError

TINY: dict[str, Any] = {
    "embed_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "window_size": (2, 3, 3),
}
OWN = """
import torch
from actionspace.encoders.spec import ClipSpec

class Net(torch.nn.Module):
    dim, clip = 6, ClipSpec(frames=4, stride=1, size=16)
    def __init__(self, out="pooled"):
        super().__init__()
        self.out, self.layer = out, torch.nn.Linear(3, 6)
    def forward(self, x):
        y = self.layer(x.movedim(1, -1))
        return {"pooled": y.mean((1, 2, 3)), "time": y.mean((2, 3)), "full": y.movedim(-1, 1),
                "wrong": y, "text": "no"}[self.out]

def bare(): return torch.nn.Linear(3, 6)
value = 3
"""


def test_listing_needs_no_torch() -> None:
    code = (
        "import sys; from actionspace.encoders.create import list_encoders;"
        "from actionspace.encoders.weights import list_weights;"
        "assert list_encoders() and list_weights(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_listing_says_what_it_is() -> None:
    by_name = {info.name: info for info in list_encoders()}
    assert by_name["swin3d_b_ssv2"].input == "32 frames, stride 2, 224x224"
    assert by_name["swin3d_b"].parameters == 87_638_984
    assert by_name["uas_chimpbehave_k700"].clip.stride == 1
    assert all(i.licence for i in by_name.values() if i.weights not in ("untrained", "none needed"))
    assert [i.name for i in list_encoders("swin3d_?")] == [f"swin3d_{s}" for s in "tsbl"]


def test_prepare_normalises() -> None:
    encoder = create_encoder("swin3d_t", clip=ClipSpec(mean=(10, 20, 30), std=(2, 4, 5)), **TINY)
    clip = torch.tensor([12, 16, 80], dtype=torch.uint8).expand(1, 1, 1, 1, 3)
    assert encoder.prepare(clip).flatten().tolist() == [1.0, -1.0, 10.0]


def test_stochastic_depth_can_stay_active_in_eval_mode() -> None:
    encoder = create_encoder("swin3d_t", drop_path_rate=0.9, **TINY)
    x = torch.randn(4, 3, 4, 16, 16)
    with torch.no_grad():
        still = encoder(x)
        with encoder.stochastic_depth():
            torch.manual_seed(0)
            first = encoder(x)
            torch.manual_seed(0)
            assert torch.equal(encoder(x), first)
            assert not torch.equal(encoder(x), first)
        assert not torch.equal(first, still)
        assert torch.equal(encoder(x), still)


def test_random_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b = create_encoder("swin3d_t", seed=7, **TINY), create_encoder("swin3d_t", seed=8, **TINY)
    assert torch.equal(torch.get_rng_state(), before)
    assert (a.weights_hash, b.weights_hash) == ("untrained-seed7", "untrained-seed8")
    assert not torch.equal(
        a.backbone.norm.weight + a.backbone.layers[0].blocks[0].mlp.fc1.weight.sum(),
        b.backbone.norm.weight + b.backbone.layers[0].blocks[0].mlp.fc1.weight.sum(),
    )


def test_weight_files_of_any_layout(tmp_path: Path) -> None:
    source = create_encoder("swin3d_t", seed=5, **TINY)
    plain = dict(source.backbone.state_dict()) | {"head.weight": torch.ones(3, 16)}
    x = torch.randn(1, 3, 4, 16, 16)
    hashes = set()
    for layout in ("plain", "mmaction0", "mmaction2_1x", "torchvision"):
        path = tmp_path / f"{layout}.pth"
        torch.save({"state_dict": from_plain(plain, layout, window=(2, 3, 3))}, path)  # type: ignore[arg-type]
        encoder = create_encoder("swin3d_t", weights=path, seed=1, **TINY)
        with torch.no_grad():
            assert torch.equal(encoder(x), source(x))
        hashes.add(encoder.weights_hash)
        guessed = create_encoder(str(path))
        with torch.no_grad():
            assert torch.equal(guessed(x), source(x))
        hashes.add(guessed.weights_hash)
        assert guessed.name == path.name
    assert len(hashes) == 1 and len(hashes.pop()) == 64

    with pytest.raises(WeightsError) as e:
        create_encoder("swin3d_t", weights=path)
    for part in (
        "torchvision.pth into swin3d_t does not fit",
        "width 8, depths (2, 1)",
        "expected",
    ):
        assert part in str(e.value)


def test_own_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_encoders.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    x = torch.randn(2, 3, 4, 16, 16)
    for out in ("pooled", "time", "full"):
        encoder = create_encoder("my_encoders:Net", out=out)
        assert encoder(x).shape == (2, 6) and encoder.dim == 6
        assert len(encoder.weights_hash) == 64
        assert encoder.tokens(x).shape == (2, 1 if out == "pooled" else 4, 6)
    encoder = create_encoder(f"{tmp_path / 'my_encoders.py'}:Net")
    save_file(encoder.backbone.state_dict(), tmp_path / "w.safetensors")
    again = create_encoder("my_encoders:Net", weights=tmp_path / "w.safetensors", seed=1)
    assert torch.equal(again(x), encoder(x)) and again.weights_hash == encoder.weights_hash


def test_own_random_weights_depend_on_the_seed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a training of an own network could not be resumed: each start would have another."""
    (tmp_path / "my_encoders.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    hashes = []
    for before, seed in ((3, 0), (4, 0), (4, 1)):
        torch.manual_seed(before)
        drawn = torch.get_rng_state()
        hashes.append(create_encoder("my_encoders:Net", seed=seed).weights_hash)
        assert torch.equal(torch.get_rng_state(), drawn)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("my_encoders:Net", {"out": "wrong"}, r"returned \[1, 4, 16, 16, 6\].*\[1, 6\] \(pooled\)"),
        ("my_encoders:Net", {"out": "text"}, "returned str"),
        ("my_encoders:bare", {}, r"attributes dim .*now None"),
        ("my_encoders:value", {}, "has no function 'value'"),
        ("my_encoders:Nett", {}, "Did you mean 'Net'"),
        ("my_encoders:Net", {"size": 3}, "failed: .*size"),
        ("os:getcwd", {}, "returned str; expected a torch module"),
        ("no_such_module:f", {}, "Cannot import 'no_such_module'"),
        ("none.py:f", {}, r"none\.py does not exist"),
        ("swin3d_tt", {}, "Did you mean 'swin3d_t'"),
        ("swin3d_t", {"embed": 3}, "Did you mean 'embed_dim'"),
        ("starter", {"embed_dim": 3}, "takes no backbone options"),
        ("untrained:starter", {"weights": "w.pth"}, "random by name"),
        ("untrained:swin3d_t", {"weights": "w.pth"}, "random by name"),
    ],
)
def test_wrong_requests(
    name: str,
    options: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my_encoders.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        create_encoder(name, **options)


def test_clip_spec_round_trips() -> None:
    spec = ClipSpec(frames=16, fps=25.0, geometry="full", resize="fast")
    assert ClipSpec.from_dict(spec.as_dict()) == spec
    assert spec.span == 32
