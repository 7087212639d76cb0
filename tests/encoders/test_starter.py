"""The starter encoder: ships, loads, keeps the uniform surface, and reads motion."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from actionspace.encoders import starter
from actionspace.encoders.checkpoint import weights_hash, write_weights
from actionspace.encoders.create import create_encoder
from actionspace.encoders.starter import CLIP, DIM, load_starter, metadata
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_starter()


def squares(n: int, step: float, seed: int) -> np.ndarray:
    """``[n, 16, 128, 128, 3]`` uint8: a bright square that moves ``step`` pixels per frame."""
    rng = np.random.default_rng(seed)
    clips = rng.normal(90, 6, (n, CLIP.frames, CLIP.size, CLIP.size, 1))
    for clip in clips:
        y, x, side = rng.integers(45, 80), rng.integers(45, 70), rng.integers(10, 20)
        for t, frame in enumerate(clip):
            left = int(x + step * (t - CLIP.frames / 2))
            frame[y : y + side, left : left + side] += 100
    return np.repeat(np.clip(clips, 0, 255), 3, -1).astype(np.uint8)


def test_uniform_surface(encoder: Encoder) -> None:
    import torch

    x = encoder.prepare(torch.from_numpy(squares(2, 1.5, seed=0)))
    with torch.inference_mode():
        features, tokens, pooled = encoder.forward_features(x), encoder.tokens(x), encoder(x)
        alone = encoder(x[1:])
    assert encoder.dim == DIM == features.shape[1]
    assert features.shape == (2, DIM, 4, 4, 4)
    assert tokens.shape == (2, 4, DIM)
    assert pooled.shape == (2, DIM)
    torch.testing.assert_close(tokens.mean(1), pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone[0], pooled[1], atol=1e-4, rtol=1e-4)


def test_the_near_look_follows_the_motion() -> None:
    import torch

    from actionspace.encoders.starter_net import coarse_maps, glimpse, motion_centre

    grey = torch.zeros(2, 16, 128, 128)
    for clip, (x, y) in enumerate([(96, 32), (20, 90)]):
        grey[clip, ::2, y - 4 : y + 4, x - 4 : x + 4] = 1.0  # flickers around x, y
    centre = motion_centre(grey)
    expected = torch.tensor([[96 / 64 - 1, 32 / 64 - 1], [20 / 64 - 1, 90 / 64 - 1]])
    torch.testing.assert_close(centre, expected, atol=0.05, rtol=0)
    near = glimpse(grey, centre)
    assert near.shape == (2, 16, 64, 64)
    # The first clip's motion comes to the middle; the second's look is kept inside the frame.
    bright = near[0, 0].nonzero().float().mean(0)
    torch.testing.assert_close(bright, torch.tensor([31.5, 31.5]), atol=1.5, rtol=0)
    corner = grey[1, :, 58:122, :64]
    assert float((near[1] - corner).abs().mean()) < 0.002 < float(corner.mean())
    maps = coarse_maps(near, 4)
    assert maps.shape == (2, 128, 4)
    assert int(maps[0, 64:].mean(1).argmax()) in {27, 28, 35, 36}  # change in a middle cell


def test_untrained_is_seeded_and_another_network() -> None:
    import torch

    a, b, c = (load_starter(trained=False, seed=s) for s in (3, 3, 4))
    x = a.prepare(torch.from_numpy(squares(1, 1.0, seed=1)))
    with torch.inference_mode():
        assert torch.equal(a(x), b(x))
        assert not torch.allclose(a(x), c(x))
        assert not torch.allclose(a(x), load_starter()(x))
    assert a.weights_hash == "untrained-seed3"


def test_file_is_small_and_says_how_it_was_made() -> None:
    file = resources.files("actionspace.encoders") / "data" / starter.WEIGHTS_FILE
    assert len(file.read_bytes()) <= 12e6
    facts = metadata()
    assert facts["licence"] == "Apache-2.0"
    assert "rendered" in facts["trained_on"] and "rat_" not in facts["trained_on"]
    assert json.loads(facts["settings"])["seed"] >= 0
    assert json.loads(facts["clips"]) > 0


def test_other_weights_of_its_own_layout(tmp_path: Path) -> None:
    import torch

    other = load_starter(trained=False, seed=3)
    path = tmp_path / "mine.safetensors"
    write_weights(path, other.backbone.state_dict())
    again = create_encoder("starter", weights=path)
    for name, value in other.backbone.state_dict().items():
        assert torch.equal(again.backbone.state_dict()[name], value), name
    assert (again.name, again.clip) == ("starter", CLIP)
    assert again.weights_hash == weights_hash(other.backbone.state_dict())
    write_weights(path, create_encoder("untrained:swin3d_t", embed_dim=24).backbone.state_dict())
    with pytest.raises(WeightsError, match=r"mine\.safetensors into starter does not fit.*convert"):
        create_encoder("starter", weights=path)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "WEIGHTS_FILE", "gone.safetensors")
    with pytest.raises(WeightsError, match=r"gone\.safetensors.*Reinstall"):
        load_starter()
    with pytest.raises(WeightsError, match="gone"):
        metadata()
