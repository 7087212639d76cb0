"""Write what transformers' own processors make of a real frame, for test_hf_pixels.py.

    python scripts/processor_pixels.py tests/encoders/processor_pixels.json

Needs torchvision (the tests do not): processors of video and DINOv3's are built on it. Of each
result the pixels of a coarse grid are kept, and the hash of all of them as bytes. The sides of the
frame are odd on purpose.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import transformers as hf
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
DINOV2 = IMAGENET | {"size": {"shortest_edge": 256}}
PRISM = {"size": {"height": 288, "width": 288}, "do_normalize": False}
CROP = {"x": 3, "y": 2, "width": 311, "height": 229}  # odd sides, wider than high

#: Name, family, processor.
CASES: list[tuple[str, str, Any]] = [
    ("VideoMAEImageProcessor", "videomae", VideoMAEImageProcessorPil(**IMAGENET)),
    ("VideoMAEVideoProcessor", "videomae", hf.VideoMAEVideoProcessor()),
    ("VivitImageProcessor", "vivit", hf.VivitImageProcessor()),
    ("TimesformerVideoProcessor", "timesformer", hf.TimesformerVideoProcessor()),
    (
        "LlavaOnevisionVideoProcessor",
        "videoprism_vision_model",
        hf.LlavaOnevisionVideoProcessor(**PRISM),
    ),
    ("BitImageProcessor", "dinov2", BitImageProcessorPil(**DINOV2)),
    ("BitImageProcessorFast", "dinov2", hf.BitImageProcessor(**DINOV2)),
    ("DINOv3ViTImageProcessor", "dinov3_vit", hf.DINOv3ViTImageProcessor()),
    ("CLIPImageProcessor", "clip_vision_model", CLIPImageProcessorPil()),
    ("CLIPImageProcessorFast", "clip_vision_model", hf.CLIPImageProcessor()),
    ("SiglipImageProcessor", "siglip_vision_model", SiglipImageProcessorPil()),
    ("SiglipImageProcessorFast", "siglip_vision_model", hf.SiglipImageProcessor()),
]
KEPT = (
    *("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale"),
    *("rescale_factor", "do_normalize", "image_mean", "image_std", "offset"),
)


def main(out: Path) -> None:
    """Write the file."""
    from actionspace.video.clips import ClipRequest, iter_clips
    from actionspace.video.transform import FrameTransform

    data = Path(__file__).parents[1] / "src/actionspace/demo/data"
    video = sorted(data.rglob("*.mp4"))[0]
    x, y, w, h = CROP.values()
    transform = FrameTransform(mode="exact", crop=(x, y, w, h))
    (clip,) = iter_clips(video, [ClipRequest("x", np.arange(2))], transform)
    cases = []
    for name, family, processor in CASES:
        pixels = _pixels(processor, clip.frames)
        at = np.linspace(0, pixels.shape[-1] - 1, 5).round().astype(int)
        settings = {k: v for k, v in json.loads(processor.to_json_string()).items() if k in KEPT}
        kind = "video_processor_type" if name.endswith("VideoProcessor") else "image_processor_type"
        cases.append(
            {
                "processor": name,
                "family": family,
                "settings": {kind: name} | settings,
                "size": pixels.shape[-1],
                "sha256": hashlib.sha256(_bytes(pixels, settings)).hexdigest(),
                "pixels": np.round(pixels[:, at][:, :, at], 5).ravel().tolist(),
            }
        )
    versions = {m.__name__: m.__version__ for m in (hf, torch, torchvision)}
    video_name = video.relative_to(data).as_posix()
    about = {"video": video_name, "frame": 1, "crop": [x, y, w, h], "versions": versions}
    out.write_text(json.dumps(about | {"cases": cases}) + "\n", encoding="utf-8")


def _bytes(pixels: np.ndarray, settings: dict[str, Any]) -> bytes:
    """Undo the normalisation, as bytes ``[3, S, S]``."""
    mean, std = (np.array(settings[f"image_{k}"])[:, None, None] for k in ("mean", "std"))
    x = pixels.astype(np.float64)
    x = x * std + mean if settings["do_normalize"] else x
    x = (x + bool(settings.get("offset"))) / settings["rescale_factor"]
    return np.rint(x).astype(np.uint8).tobytes()


def _pixels(processor: Any, frames: np.ndarray) -> np.ndarray:
    """Return what becomes of the second frame, float32 ``[3, S, S]``."""
    if "VideoProcessor" in type(processor).__name__:
        found = processor(torch.from_numpy(frames).permute(0, 3, 1, 2), return_tensors="pt")
    else:
        found = processor(list(frames), return_tensors="pt")
    values = next(iter(found.values()))
    values = values[0] if values.ndim == 5 else values
    return np.asarray(values[1].float())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
