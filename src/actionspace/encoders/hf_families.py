"""Families of transformers' encoders as plain data: which class, what it is fed, what it can give.

The clips are those of each family's published checkpoints as far as they are documented; the JSON
that lies beside a checkpoint comes before them (see :mod:`.hf_pixels`). Nothing here imports torch
or transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actionspace.encoders.spec import ClipSpec

Pool = Literal["mean", "cls", "pooler", "joint"]

_HALF = (127.5, 127.5, 127.5)
_CLIP_MEAN = tuple(255 * v for v in (0.48145466, 0.4578275, 0.40821073))
_CLIP_STD = tuple(255 * v for v in (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Family:
    """One kind of encoder.

    Attributes:
        model: its class in transformers, built from a ``model_type`` config.
        clip: the clip it is fed.
        pools: what a vector of it may be: the ``mean`` of patch tokens, the ``cls`` token, the
            output of its own ``pooler``, or the vector it shares with text (``joint``).
        joint: the class that gives joint vectors, where that is another one.
        image: it sees single pictures; a clip goes through it frame by frame.
        sized: the size of its input is ``image_size`` of its config.
        needs: packages it needs beside transformers.
    """

    model: str
    clip: ClipSpec
    pools: tuple[Pool, ...] = ("mean",)
    joint: str = ""
    image: bool = False
    sized: bool = True
    needs: tuple[str, ...] = ()


def _pictures(size: int, short_side: int, resize: str, **options: object) -> ClipSpec:
    """Eight frames of two seconds, about the span of the clips of video encoders."""
    return ClipSpec(8, 1, size, short_side, resize=resize, fps=4.0, **options)  # type: ignore[arg-type]


_DINOV2 = _pictures(224, 256, "pil_bicubic")
_SIGLIP = {"mean": _HALF, "std": _HALF, "geometry": "full"}

FAMILIES: dict[str, Family] = {
    "videomae": Family(
        "VideoMAEModel",
        ClipSpec(16, 4, 224, 224, resize="pil_bilinear"),
    ),
    "vivit": Family(
        "VivitModel",
        # (x / 127.5 - 1 - 0.5) / 0.5: the processor shifts twice.
        ClipSpec(32, 2, mean=(191.25,) * 3, std=(63.75,) * 3, resize="pil_bilinear"),
        pools=("mean", "cls", "pooler"),
    ),
    "timesformer": Family(
        "TimesformerModel",
        ClipSpec(8, 32, 224, 224, (114.75,) * 3, (57.375,) * 3, resize="pil_bilinear"),
        pools=("mean", "cls"),
    ),
    "videoprism_vision_model": Family(
        "VideoPrismVisionModel",
        ClipSpec(
            16,
            4,
            288,
            288,
            mean=(0.0, 0.0, 0.0),
            std=(255.0, 255.0, 255.0),
            geometry="full",
            resize="tv_bicubic",
        ),
        pools=("mean", "joint"),
        joint="VideoPrismVideoModel",
    ),
    "dinov2": Family("Dinov2Model", _DINOV2, ("mean", "cls"), image=True, sized=False),
    "dinov2_with_registers": Family(
        "Dinov2WithRegistersModel", _DINOV2, ("mean", "cls"), image=True, sized=False
    ),
    "dinov3_vit": Family(
        "DINOv3ViTModel",
        _pictures(224, 224, "float_bilinear", geometry="full"),
        ("mean", "cls"),
        image=True,
        sized=False,
    ),
    "clip_vision_model": Family(
        "CLIPVisionModel",
        _pictures(224, 224, "pil_bicubic", mean=_CLIP_MEAN, std=_CLIP_STD),
        ("mean", "cls", "pooler", "joint"),
        joint="CLIPVisionModelWithProjection",
        image=True,
    ),
    "siglip_vision_model": Family(
        "SiglipVisionModel",
        _pictures(224, 224, "pil_bicubic", **_SIGLIP),
        ("mean", "pooler", "joint"),
        image=True,
    ),
    "siglip2_vision_model": Family(
        "Siglip2VisionModel",
        _pictures(256, 256, "pil_bilinear", **_SIGLIP),
        ("mean", "pooler", "joint"),
        image=True,
        sized=False,
    ),
    "pe_video_encoder": Family(
        "PeVideoEncoder",
        ClipSpec(16, 4, 336, 336, mean=_HALF, std=_HALF, geometry="full", resize="tv_bilinear"),
        ("mean", "pooler"),
        sized=False,
        needs=("timm", "torchvision"),
    ),
}

#: Whole models whose pictures' part is one of the families: ``model_type`` -> family.
WHOLE = {
    "clip": "clip_vision_model",
    "siglip": "siglip_vision_model",
    "siglip2": "siglip2_vision_model",
    "videoprism": "videoprism_vision_model",
    "pe_video": "pe_video_encoder",
    "pe_audio_video": "pe_video_encoder",
}
