"""What a checkpoint's own processor does to pictures, read from its JSON as a clip spec.

The JSON names a class and its parameters. Classes of transformers resize with Pillow
(``*ImageProcessor`` as most published checkpoints name it, and feature extractors) or with
torchvision (``*Fast``, and all video processors), which differs in a few pixels
(:mod:`actionspace.video.resize`); the one that the JSON names is taken. DINOv3's does not round to
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from actionspace.encoders.spec import ClipSpec
from actionspace.errors import WeightsError

#: Files that may hold it, the first one found counts. In ``processor_config.json`` it is nested.
FILES = ("video_preprocessor_config.json", "preprocessor_config.json", "processor_config.json")

_FILTERS = {2: "bilinear", 3: "bicubic"}


def processor_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that lie beside a checkpoint; empty if there are none.

    Raises:
        WeightsError: the file is not JSON.
    """
    for name in FILES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as e:
            raise WeightsError(f"{path} is not JSON ({e}); fetch the file again.") from e
        if name == "processor_config.json":
            found = found.get("video_processor") or found.get("image_processor") or {}
        if found:
            return dict(found)
    return {}


def clip_of(settings: Mapping[str, Any], base: ClipSpec, what: str) -> ClipSpec:
    """Return ``base`` with sizes, resizing and normalisation as the processor's settings say.

    What the settings do not name stays as in ``base``.

    Args:
        settings: of :func:`processor_settings`.
        base: the family's clip.
        what: what they belong to, for messages.

    Raises:
        WeightsError: pictures would not become squares of one size, or not in a way known here.
    """
    if not settings:
        return base
    if settings.get("do_resize") is False:
        raise WeightsError(
            f"The processor of {what} does not resize pictures; pass clip=ClipSpec(...) instead."
        )
    changes: dict[str, Any] = _sizes(settings, base, what)
    changes["resize"] = _resize(settings, base, what)
    changes["mean"], changes["std"] = _scale(settings, base)
    return replace(base, **changes)


def _sizes(settings: Mapping[str, Any], base: ClipSpec, what: str) -> dict[str, Any]:
    size = settings.get("size")
    if size is None or "max_num_patches" in settings:
        return {}
    crop = settings.get("crop_size") if settings.get("do_center_crop", True) else None
    if isinstance(size, Mapping) and "height" in size:
        height, width = int(size["height"]), int(size["width"])
        if height == width and (not crop or _side(crop) == height or base.geometry == "full"):
            return {"size": height, "short_side": height, "geometry": "full"}
    else:
        short = int(size["shortest_edge"] if isinstance(size, Mapping) else size)
        side = _side(crop) if crop else base.size if base.geometry == "center" else None
        if side is not None and side <= short:
            return {"size": side, "short_side": short, "geometry": "center"}
    raise WeightsError(
        f"The processor of {what} resizes to {size} and crops {crop}: squares of one size are "
        f"expected. Pass clip=ClipSpec(...) instead."
    )


def _side(crop: Any) -> int | None:
    if isinstance(crop, Mapping):
        height, width = crop.get("height"), crop.get("width")
        return int(height) if height is not None and height == width else None
    return int(crop)


def _resize(settings: Mapping[str, Any], base: ClipSpec, what: str) -> str:
    how, _, filter = base.resize.partition("_")
    if "resample" in settings:
        resample = settings["resample"]
        if resample not in _FILTERS:
            raise WeightsError(
                f"The processor of {what} has resample={resample!r}; known are 2 (bilinear) and 3 "
                f"(bicubic). Pass clip=ClipSpec(...) instead."
            )
        filter = _FILTERS[resample]
    kinds = ("video_processor_type", "image_processor_type", "feature_extractor_type")
    kind = next((str(settings[k]) for k in kinds if settings.get(k)), "")
    if kind.startswith("DINOv3"):
        how = "float"
    elif kind.endswith(("Fast", "VideoProcessor")):
        how = "tv"
    elif kind:
        how = "pil"
    return f"{how}_{filter}"


def _scale(
    settings: Mapping[str, Any], base: ClipSpec
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std in units of bytes: ``(x * factor - offset - mean) / std``."""
    if settings.get("do_rescale") is False:
        return base.mean, base.std
    offset = bool(settings.get("offset", False))
    factor = float(settings.get("rescale_factor") or (1 / 127.5 if offset else 1 / 255))
    if settings.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    elif "image_mean" in settings and "image_std" in settings:
        mean, std = (_three(settings[key]) for key in ("image_mean", "image_std"))
    else:
        return base.mean, base.std
    return (
        tuple(round((m + offset) / factor, 6) for m in mean),
        tuple(round(s / factor, 6) for s in std),
    )


def _three(value: Any) -> tuple[float, float, float]:
    values = [float(value)] * 3 if isinstance(value, (int, float)) else [float(v) for v in value]
    return values[0], values[1], values[2]
