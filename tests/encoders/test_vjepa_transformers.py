"""V-JEPA 2 against transformers' own model, with random weights, on frames of real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.encoders.fit import fit_state
from actionspace.encoders.keys_vjepa import from_plain, to_plain
from actionspace.encoders.vjepa import VJEPA2
from actionspace.encoders.vjepa_predictor import VJEPA2Predictor
from actionspace.heads.attentive_keys import load_probe
from actionspace.video.clips import ClipRequest, iter_clips
from actionspace.video.transform import FrameTransform
from tests.features.tiny import make_video

CROP = 64
SHAPE: dict[str, Any] = {"embed_dim": 48, "depth": 3, "num_heads": 4}


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import VJEPA2Config, VJEPA2ForVideoClassification

    config = VJEPA2Config(
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        mlp_ratio=4.0,
        crop_size=CROP,
        frames_per_clip=8,
        pred_hidden_size=36,
        pred_num_attention_heads=3,
        pred_num_hidden_layers=2,
        pred_num_mask_tokens=3,
        num_pooler_layers=3,
        num_labels=7,
        initializer_range=0.2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VJEPA2ForVideoClassification(config).eval()


@pytest.fixture(scope="module")
def ours(theirs: Any) -> VJEPA2:
    net = VJEPA2(**SHAPE).eval()
    fit_state(net, to_plain(theirs.state_dict()), what="transformers")
    return net


@pytest.fixture(params=["made here", "real"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> torch.Tensor:
    """Eight frames [1, 3, 8, 64, 64] of a file, normalised."""
    if request.param == "real":
        data = request.getfixturevalue("shared_data")
        videos = sorted((data / "human_videos").glob("**/*.mp4"))
        if not videos:
            pytest.skip("no video in the shared data")
        video = videos[0]
    else:
        video = make_video(tmp_path / "a.mp4", 9, size=(80, 72))
    transform = FrameTransform(short_side=CROP, mode="exact")
    (cut,) = iter_clips(video, [ClipRequest("x", np.arange(8))], transform)
    encoder = create_encoder("untrained:vjepa2_vit_large", **SHAPE)
    return encoder.prepare(torch.from_numpy(cut.frames[:, :CROP, :CROP])[None])


def _worst(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().abs().max())


def test_encoder_predictor_and_probe(theirs: Any, ours: VJEPA2, clip: torch.Tensor) -> None:
    predictor = VJEPA2Predictor(
        embed_dim=48,
        predictor_embed_dim=36,
        depth=2,
        num_heads=3,
        num_mask_tokens=3,
        img_size=CROP,
    ).eval()
    fit_state(predictor, to_plain(theirs.state_dict(), "predictor"), what="transformers")
    probe = load_probe(theirs.state_dict(), num_heads=4, layer_norm_eps=1e-6)
    assert clip.shape == (1, 3, 8, CROP, CROP)
    with torch.no_grad():
        published = theirs.vjepa2(clip.transpose(1, 2))
        tokens, ids = ours.encode(clip), torch.arange(64)[None]
        predicted = predictor(tokens, ids, ids)
        errors = {
            "encoder": _worst(tokens, published.last_hidden_state),
            "predictor": _worst(predicted, published.predictor_output.last_hidden_state),
            "probe": _worst(probe(tokens), theirs(clip.transpose(1, 2)).logits),
        }
    print(errors)
    assert float(tokens.std()) > 0.3
    assert max(errors.values()) < 1e-5, errors


def test_other_sizes(theirs: Any, ours: VJEPA2) -> None:
    """It reads positions on the grid of its crop size, the original on the clip's own."""
    x = torch.randn(1, 3, 4, 48, 80)
    with torch.no_grad():
        published = theirs.vjepa2(x.transpose(1, 2), skip_predictor=True).last_hidden_state
        assert _worst(ours.encode(x), published) > 0.1
        same = VJEPA2(**SHAPE, position_grid=CROP // 16).eval()
        same.load_state_dict(ours.state_dict())
        assert _worst(same.encode(x), published) < 1e-5
        shorter = x[:, :, :, :, :48]
        shorter = torch.nn.functional.pad(shorter, (0, 16, 0, 16))
        published = theirs.vjepa2(shorter.transpose(1, 2), skip_predictor=True).last_hidden_state
        assert _worst(ours.encode(shorter), published) < 1e-5


def test_names_there_and_back(theirs: Any) -> None:
    state = theirs.vjepa2.state_dict()
    back: dict[str, torch.Tensor] = {}
    for part in ("encoder", "predictor"):
        plain = to_plain(state, part)
        back |= from_plain(plain, "transformers", part)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())
