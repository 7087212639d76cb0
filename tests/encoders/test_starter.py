"""The starter encoder: ships, loads, keeps the uniform surface, and reads motion."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pytest

from actionspace.encoders import starter
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
    assert features.shape == (2, DIM, 4, 8, 8)
    assert tokens.shape == (2, 4, DIM)
    assert pooled.shape == (2, DIM)
    torch.testing.assert_close(tokens.mean(1), pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone[0], pooled[1], atol=1e-4, rtol=1e-4)


def test_places_are_weighted_means_and_positions() -> None:
    import torch

    from actionspace.encoders.starter_net import StarterNet

    net = StarterNet()
    features = torch.zeros(1, net.swin.dim, 4, 8, 8)
    features[:, 0, :, 7, 0] = 100.0  # one token stands out, bottom left
    with torch.no_grad():
        net.places.weight.zero_()[:, 0] = 1.0
        seen = net.attend(features).mean((2, 3, 4))[0]
    per_place = net.swin.dim + 5
    first = seen[net.swin.dim : net.swin.dim + per_place]
    assert first[0] == pytest.approx(100.0, rel=1e-4)  # its feature, not a 64th of it
    assert first[-5:].tolist() == pytest.approx([-1, 1, 1, 1, -1], abs=1e-4)  # x y xx yy xy


def test_untrained_is_seeded_and_another_network() -> None:
    import torch

    a, b, c = (load_starter(trained=False, seed=s) for s in (3, 3, 4))
    x = a.prepare(torch.from_numpy(squares(1, 1.0, seed=1)))
    with torch.inference_mode():
        assert torch.equal(a(x), b(x))
        assert not torch.allclose(a(x), c(x))
        assert not torch.allclose(a(x), load_starter()(x))
    assert a.weights_hash == "untrained-seed3"


def test_trained_weights_read_the_direction_of_motion(encoder: Encoder) -> None:
    """A least-squares probe on 24 clips tells left from right at places it has not seen."""
    import torch

    clips = np.concatenate([squares(16, 2.0, seed=2), squares(16, -2.0, seed=3)])
    sign = np.repeat([1.0, -1.0], 16)
    with torch.inference_mode():
        x = encoder(encoder.prepare(torch.from_numpy(clips))).double().numpy()
    order = np.random.default_rng(0).permutation(32)
    train, test = order[:24], order[24:]
    mean, scale = x[train].mean(0), x[train].std(0) + 1e-6
    z = (x - mean) / scale
    gram = z[train] @ z[train].T + 10 * np.eye(24)
    guess = z[test] @ z[train].T @ np.linalg.solve(gram, sign[train])
    assert (np.sign(guess) == sign[test]).all()


def test_file_is_small_and_says_how_it_was_made() -> None:
    file = resources.files("actionspace.encoders") / "data" / starter.WEIGHTS_FILE
    assert len(file.read_bytes()) <= 12e6
    facts = metadata()
    assert facts["licence"] == "Apache-2.0"
    assert "rendered" in facts["trained_on"] and "rat_" not in facts["trained_on"]
    assert json.loads(facts["settings"])["seed"] >= 0
    assert json.loads(facts["clips"]) > 0


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "WEIGHTS_FILE", "gone.safetensors")
    with pytest.raises(WeightsError, match=r"gone\.safetensors.*Reinstall"):
        load_starter()
    with pytest.raises(WeightsError, match="gone"):
        metadata()
