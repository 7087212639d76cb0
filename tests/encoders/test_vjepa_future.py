"""V-JEPA looking ahead: the clip's own tokens, then those its predictor gives, to the number."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actionspace.encoders.create import create_encoder
from actionspace.encoders.vjepa_future import encoder
from actionspace.errors import UsageError

SMALL = {"embed_dim": 24, "num_heads": 2, "depth": 12, "mlp_ratio": 2.0}
PREDICTOR = {"predictor_embed_dim": 36, "num_heads": 3, "depth": 2}


def make(network: str, **options: Any) -> Any:
    return encoder(
        f"untrained:{network}",
        frames=8,
        size=32,
        encoder_options=SMALL,
        predictor_options=PREDICTOR,
        **options,
    )


@pytest.mark.parametrize(
    ("network", "seconds", "ahead"),
    [
        ("vjepa2_vit_large", 1.0, 4),
        ("vjepa2_1_vit_base_384", 0.6, 2),
        ("vjepa2_1_vit_giant_384", 2, 8),
    ],
)
def test_tokens_and_what_they_predict(network: str, seconds: float, ahead: int):
    made = make(network, seconds=seconds)
    net, x = made.backbone, torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        found = made.forward_features(x)
        several = network == "vjepa2_1_vit_giant_384"
        seen = net.encoder.encode(x, hierarchical=True) if several else net.encoder.encode(x)
        ids = torch.arange(16).expand(2, -1)
        wanted = torch.arange(4).expand(2, -1) + 16 + 4 * ahead
        predicted = net.predictor(seen, ids, wanted)
    assert net.ahead == ahead and found.shape == (2, 24, 5, 2, 2)
    torch.testing.assert_close(found[:, :, :4].flatten(2).mT, seen[..., -24:])
    torch.testing.assert_close(found[:, :, 4].flatten(2).mT, predicted[..., -24:])


def test_a_file_with_both_parts(tmp_path):
    made = make("vjepa2_vit_large")
    parts = {
        "target_encoder": {
            f"module.backbone.{k}": v for k, v in made.backbone.encoder.state_dict().items()
        },
        "predictor": {
            f"module.backbone.{k}": v for k, v in made.backbone.predictor.state_dict().items()
        },
    }
    torch.save(parts, tmp_path / "w.pt")
    again = encoder(
        "vjepa2_vit_large",
        weights=str(tmp_path / "w.pt"),
        frames=8,
        size=32,
        encoder_options=SMALL,
        predictor_options={"num_heads": 3},
    )
    x = torch.randn(1, 3, 8, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again.forward_features(x), made.forward_features(x))


def test_through_the_usual_door():
    options = {"network": "untrained:vjepa2_vit_large", "frames": 8, "size": 32}
    options |= {"encoder_options": SMALL, "predictor_options": PREDICTOR}
    made = create_encoder("actionspace.encoders.vjepa_future:encoder", **options)
    assert made.clip.frames == 8 and made.clip.fps == 8 and made.weights_hash
    assert made.identity["encoder"] == "actionspace.encoders.vjepa_future:encoder"
    said = made.identity["options"]
    assert said["seconds"] == 1.0  # which decide the features, and make it once more
    assert create_encoder("actionspace.encoders.vjepa_future:encoder", **said).identity == (
        made.identity
    )
    clips = torch.zeros(1, 8, 32, 32, 3, dtype=torch.uint8)
    assert made.tokens(made.prepare(clips)).shape == (1, 5, 24)


def test_what_cannot_look_ahead():
    with pytest.raises(UsageError, match="predicts nothing"):
        encoder("swin3d_t")
    with pytest.raises(UsageError, match="more than 0"):
        make("vjepa2_vit_large", seconds=0)
    made = make("vjepa2_vit_large")
    with pytest.raises(UsageError, match="Set the clip's size"):
        made.forward_features(torch.zeros(1, 3, 8, 48, 48))
