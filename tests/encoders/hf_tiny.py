"""Tiny models of transformers, one of each family, and the whole models they are parts of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import actionspace
from actionspace.encoders.encoder import Encoder
from actionspace.features.extract import views_of
from actionspace.video.clips import iter_clips
from actionspace.video.index import frame_index

DATA = Path(actionspace.__file__).parent / "demo" / "data"
_VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}
_MLP = _VIT | {"intermediate_size": 32}
_VIDEO = _MLP | {"image_size": 48, "num_frames": 4}
_NO_RANGE = {k: v for k, v in _MLP.items() if k != "initializer_range"}
_TEXT = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2} | {
    "intermediate_size": 32,
    "vocab_size": 99,
}


@dataclass(frozen=True)
class Tiny:
    """A family's tiny form.

    Attributes:
        name: a name of the family.
        options: that make it tiny.
        whole: class of a whole model that holds it, in transformers.
        part: path of the part within.
        grid: its tokens in time, height and width.
        leading: special tokens before the patch tokens.
        flat: options of a network without blocks.
    """

    name: str
    options: dict[str, Any]
    whole: str
    part: str
    grid: tuple[int, int, int]
    leading: int = 0
    flat: dict[str, Any] = field(default_factory=lambda: {"num_hidden_layers": 0})

    @property
    def id(self) -> str:
        return self.name.split("_")[0] + ("_" + self.name.split("_")[-1]) * ("flex" in self.name)


_PRISM = {k: v for k, v in _VIDEO.items() if k != "num_hidden_layers"} | {
    "image_size": 54,
    "num_spatial_layers": 2,
    "num_temporal_layers": 1,
    "num_auxiliary_layers": 1,
}
_DINO = _VIT | {"patch_size": 16, "image_size": 64, "layerscale_value": 0.7}
TINY = (
    Tiny("videomae_base_k400", _VIDEO, "VideoMAEForVideoClassification", "videomae", (2, 3, 3)),
    Tiny("vivit_b_16x2_k400", _VIDEO, "VivitForVideoClassification", "vivit", (2, 3, 3), 1),
    Tiny(
        "timesformer_base_k400",
        _VIDEO,
        "TimesformerForVideoClassification",
        "timesformer",
        (4, 3, 3),
        1,
    ),
    Tiny(
        "videoprism_lvt_base",
        _PRISM,
        "VideoPrismClipModel",
        "video_model.vision_model",
        (4, 3, 3),
        flat={"num_spatial_layers": 0, "num_temporal_layers": 0},
    ),
    Tiny("dinov2_base", _DINO, "Dinov2ForImageClassification", "dinov2", (4, 3, 3), 1),
    Tiny(
        "dinov2_base_reg",
        _DINO,
        "Dinov2WithRegistersForImageClassification",
        "dinov2_with_registers",
        (4, 3, 3),
        5,
    ),
    Tiny("dinov3_vits16", _MLP | {"layerscale_value": 0.7}, "DINOv3ViTModel", "", (4, 3, 3), 5),
    Tiny(
        "clip_vit_base_patch16",
        _MLP | {"image_size": 48, "projection_dim": 20},
        "CLIPModel",
        "vision_model",
        (4, 3, 3),
        1,
    ),
    Tiny(
        "siglip2_base_patch16_224",
        _NO_RANGE | {"image_size": 48},
        "SiglipModel",
        "vision_model",
        (4, 3, 3),
    ),
    Tiny(
        "siglip2_base_patch16_naflex",
        _NO_RANGE | {"num_patches": 16},
        "Siglip2Model",
        "vision_model",
        (4, 3, 3),
    ),
)


def whole_model(tiny: Tiny) -> Any:
    """Return transformers' own whole model in the same tiny form, with drawn weights."""
    import transformers

    cls = getattr(transformers, tiny.whole)
    options = _defaults(tiny) | tiny.options
    if tiny.whole in ("CLIPModel", "SiglipModel", "Siglip2Model", "VideoPrismClipModel"):
        joint = {"projection_dim": options["projection_dim"]} if "projection_dim" in options else {}
        config = cls.config_class(vision_config=options, text_config=dict(_TEXT) | joint, **joint)
    else:
        config = cls.config_class(**options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = cls(config).eval()
        for value in model.parameters():  # Some start at 0 or 1 and would hide what is behind them.
            if value.ndim < 2 or not bool(value.any()):
                value.data += 0.3 * torch.randn_like(value)
    return model


def _defaults(tiny: Tiny) -> dict[str, Any]:
    from actionspace.encoders.hf_published import HF_BY_NAME

    return dict(HF_BY_NAME[tiny.name].config)


@cache
def real_clip(frames: int, size: int, mode: str) -> np.ndarray:
    """Return a clip of a real video, uint8 (or float32) ``[T, H, W, 3]``."""
    from dataclasses import replace

    encoder = Encoder(torch.nn.Identity(), name="x", dim=3, clip=_SPEC)
    spec = replace(_SPEC, frames=frames, size=size, short_side=size, resize=mode)
    encoder.set_clip(spec)
    index = frame_index(sorted(DATA.rglob("*.mp4"))[0])
    views = views_of(encoder)
    request = views.requests_for_interval(index, 0.0, index.duration)[0]
    (cut,) = iter_clips(index.path, [request], views.transform())
    return cut.frames


def _spec() -> Any:
    from actionspace.encoders.spec import ClipSpec

    return ClipSpec(4, 2, 48, 48)


_SPEC = _spec()


def clips_for(encoder: Encoder, tiny: Tiny) -> torch.Tensor:
    """Return two normalised real clips of the size that the tiny form reads."""
    size = tiny.options.get("image_size", 48) if "dino" not in tiny.name else 48
    clip = real_clip(4, size, encoder.clip.resize)
    both = torch.from_numpy(np.stack([clip, clip[::-1, :, ::-1]]))
    return encoder.prepare(both)
