"""Words drawn into pictures."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont


@lru_cache
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """Return the typeface that comes with matplotlib: Latin, Greek and Cyrillic letters."""
    import matplotlib

    place = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(place), size)


@lru_cache(maxsize=4096)
def width_of(text: str, size: int) -> int:
    """Return how many pixels a text takes."""
    return round(typeface(size).getlength(text))


def shortened(text: str, room: int, size: int) -> str:
    """Return a text cut to ``room`` pixels, with an ellipsis where something is left out."""
    if width_of(text, size) <= room:
        return text
    while text and width_of(text + "…", size) > room:
        text = text[:-1]
    return text + "…"
