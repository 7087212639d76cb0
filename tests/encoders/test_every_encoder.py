"""Every registered encoder through the same tests, in a tiny configuration where it has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from actionspace.encoders.create import create_encoder, list_encoders
from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.encoder import Encoder
from actionspace.encoders.published import NETWORKS, WEIGHTS
from actionspace.features.extract import extract
from tests.features.tiny import make_video, manifest

NAMES = ["starter", *NETWORKS]
TINY: dict[str, dict[str, Any]] = {
    "SwinTransformer3D": {
        "embed_dim": 8,
        "depths": (2, 1),
        "num_heads": (1, 2),
        "window_size": (2, 3, 3),
    },
    "X3D": {"stem_dim": 8, "widths": (8, 8, 16, 16), "depths": (2, 1, 1, 1), "head_dim": 16},
    "ResNet": {"width": 4, "depths": (2, 1, 1, 1)},
    "ResNet3D": {"width": 4, "depths": (2, 1, 1, 1)},
    "SlowFast": {"width": 16, "depths": (2, 1, 1, 1)},
    "InceptionI3D": {},
    "VJEPA2": {"embed_dim": 24, "depth": 2, "num_heads": 2, "mlp_ratio": 2.0},
    "VJEPA21": {
        "embed_dim": 24,
        "depth": 12,
        "num_heads": 2,
        "mlp_ratio": 1.0,
        "img_temporal_dim_size": None,
        "hierarchical": True,
    },
}


def _configured(name: str) -> str:
    """The tiny network behind a name, by what these tests could tell apart."""
    if name not in NETWORKS:
        return name
    network = NETWORKS[name]
    options = {**network.options(), **TINY[network.network.rpartition(":")[2]]}
    # Of other poolings; of training; 3 is what all have but the last of its kind.
    for unseen in ("built_for", "drop_path_rate", "in_channels"):
        options.pop(unseen, None)
    return f"{network.network} {sorted(options.items())}"


# Several names are one network in different sizes, and the same when tiny: one of them is enough.
DIFFERENT = list({_configured(name): name for name in NAMES}.values())


def tiny(name: str, seed: int = 0) -> Encoder:
    kind = NETWORKS[name].network.rpartition(":")[2] if name in NETWORKS else ""
    encoder = create_encoder(f"untrained:{name}", seed=seed, **TINY.get(kind, {}))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for m in encoder.modules():  # Some start at 0, and would hide what lies behind them.
            if isinstance(m, nn.BatchNorm3d):
                nn.init.uniform_(m.weight, 0.5, 1.0)
    return encoder


def clips(encoder: Encoder, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 9, 44, 36, encoder.clip.channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("name", DIFFERENT)
def test_every_encoder(name: str, tmp_path: Path) -> None:
    encoder = tiny(name)
    assert not encoder.training
    x = encoder.prepare(clips(encoder))
    assert x.shape == (2, encoder.clip.channels, 9, 44, 36) and x.dtype == torch.float32
    with torch.no_grad():
        features, tokens, pooled = encoder.forward_features(x), encoder.tokens(x), encoder(x)
        assert features.ndim == 5 and features.shape[:2] == (2, encoder.dim)
        assert tokens.shape == (2, features.shape[2], encoder.dim)
        assert pooled.shape == (2, encoder.dim)
        assert not torch.allclose(pooled[0], pooled[1])
        torch.testing.assert_close(tokens.mean(1), pooled, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(encoder(x[:1]), pooled[:1], atol=1e-4, rtol=1e-3)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = encoder(x).float()
        assert float((rough - pooled).abs().max()) < 0.05 * float(pooled.abs().max()) + 0.05

        save_file(encoder.state_dict(), tmp_path / "w.safetensors")
        other = tiny(name, seed=1)
        assert not torch.equal(other(x), pooled)
        other.load_state_dict(load_file(tmp_path / "w.safetensors"))
        assert torch.equal(other(x), pooled)
        assert torch.equal(tiny(name)(x), pooled)
    assert encoder.identity != other.identity
    _every_parameter_learns(encoder, x)
    _exports(encoder.eval(), x)
    _extracts(encoder, tmp_path)


def _every_parameter_learns(encoder: Encoder, x: torch.Tensor) -> None:
    encoder.train()
    for m in encoder.modules():
        if isinstance(m, DropPath):
            m.eval()
    encoder.forward_features(x).square().mean().backward()
    for name, p in encoder.named_parameters():
        if not name.endswith("img_mod_embed"):  # These are clips, not pictures.
            assert p.grad is not None and bool(p.grad.any()), name
    encoder.zero_grad()


def _exports(encoder: Encoder, x: torch.Tensor) -> None:
    with torch.no_grad():
        program = torch.export.export(encoder, (x,))
        again = encoder.prepare(clips(encoder, seed=1))
        torch.testing.assert_close(program.module()(again), encoder(again), atol=1e-5, rtol=1e-4)


def _extracts(encoder: Encoder, folder: Path) -> None:
    from dataclasses import replace

    encoder.set_clip(replace(encoder.clip, frames=4, stride=1, size=40, short_side=40, fps=None))
    make_video(folder / "a.mp4", 9, size=(64, 48))
    events = manifest(folder, [("a.mp4", 0.0, 0.5, "x")])
    store = extract(events, encoder, folder / "store", hop=4, dtype="float32", progress=False)
    rows = store.get("a.mp4").features
    assert rows.shape[1] == encoder.dim and len(rows) >= 2 and bool(np.isfinite(rows).all())
    assert store.fingerprint["encoder"] == encoder.name


@pytest.mark.parametrize("name", NAMES)
def test_listing_agrees_with_the_network(name: str) -> None:
    """Counts are those of the running network, at its own size, on the meta device."""
    from torch.utils.flop_counter import FlopCounterMode

    (info,) = list_encoders(name)
    if name == "starter":
        encoder = create_encoder("untrained:starter")
        assert info.parameters == encoder.parameter_count()
        assert (info.dim, info.clip) == (encoder.dim, encoder.clip)
        return
    from actionspace.encoders.reading import network_class

    network, clip = NETWORKS[name], info.clip
    with torch.device("meta"), torch.no_grad():
        net = network_class(network.network)(**network.options()).eval()
        with FlopCounterMode(display=False) as counter:
            features = net(torch.zeros(1, clip.channels, clip.frames, clip.size, clip.size))
    assert info.parameters == sum(p.numel() for p in net.parameters())
    assert info.multiply_adds == counter.get_total_flops() // 2
    assert info.dim == net.dim == features.shape[1]


def test_published_weights_belong_to_a_listed_network() -> None:
    names = [entry.name for entry in WEIGHTS]
    assert len(set(names)) == len(names) == len({entry.filename for entry in WEIGHTS})
    classes = {network.network for network in NETWORKS.values()}
    for entry in WEIGHTS:
        assert entry.architecture.network in classes
        assert entry.url.startswith("https://") and entry.licence and entry.label_set
        assert entry.megabytes > 20
