"""The encoders of a leaderboard: their features, made once into the cache, and what they cost."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError
from actionspace.recognition.encode import Encoding
from actionspace.recognition.leaderboard.files import Kept
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.cached import cache_place, cached_features

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.store import FeatureStore

TOKENS = "time"
"""What attentive heads look at: one token per time step of the encoder."""

LONG, SHORT = 10.0, 1.0
"""Seconds: a longer first pass is taken as it is, a shorter second one is repeated."""


@dataclass(frozen=True)
class Cost:
    """What an encoder is and costs.

    Attributes:
        encoder: how it was asked for.
        random: its weights are random: what the architecture alone is worth.
        dim: width of its features.
        parameters: their number.
        gmacs: multiply-adds of one clip in billions, counted while it ran; NaN for sound.
        clips_per_second: through the network alone, one clip at a time; NaN for sound.
        device: where that was measured.
        clip: what it looks at, in words.
        licence: of the weights; empty = not stated.
        weights: hash of the weights.
        store_bytes: size of its features on disk.
        extracted_clips: clips encoded when these facts were taken; 0 = all were in the cache.
        extraction_seconds: how long that took, decoding included.
    """

    encoder: str
    random: bool
    dim: int
    parameters: int
    gmacs: float
    clips_per_second: float
    device: str
    clip: str
    licence: str
    weights: str
    store_bytes: int
    extracted_clips: int
    extraction_seconds: float


@dataclass(frozen=True)
class Made:
    """An encoder's features and cost; the encoder itself is not kept.

    Attributes:
        store: its features of the manifest's videos.
        cost: what it costs.
        key: what makes these features what they are, JSON-ready.
        skipped: videos without features, with the reason.
    """

    store: FeatureStore
    cost: Cost
    key: dict[str, Any]
    skipped: dict[str, str]


def make_features(
    name: str, recipe: RecognitionRecipe, events: Events, kept: Kept, *, tokens: bool
) -> Made:
    """Encode the videos of a manifest where the cache lacks them, and tell what it costs.

    Args:
        name: of the encoder.
        recipe: how clips are cut and encoded; ``train`` with the same finds the same features.
        events: the manifest.
        kept: where costs that were measured lie.
        tokens: keep a token per time step; heads that take one vector get their mean.

    Raises:
        DataError: not one video gave features.
        UsageError, StoreError, WeightsError: from making and running the encoder.
    """
    encoding = Encoding(recipe.model_copy(update={"encoder": name}))
    encoder = encoding.encoder
    store = _tokens(encoding, events) if tokens else _pooled(encoding, events)
    skipped = {v: why for v, why in store.skipped().items() if v in set(events.videos["video"])}
    if not any(video in store for video in events.videos["video"]):
        why = "; ".join(f"{v}: {r}" for v, r in list(skipped.items())[:3])
        raise DataError(f"No video gave features. {why}")
    key = dict(store.fingerprint)
    cost = kept.get(f"{name}.cost", [key, encoding.device])
    if cost is None:
        cost = asdict(_cost(name, encoder, encoding, store))
        kept.put(f"{name}.cost", [key, encoding.device], cost)
    return Made(store, Cost(**cost), key, skipped)


def _pooled(encoding: Encoding, events: Events) -> FeatureStore:
    from actionspace.features.store import FeatureStore

    store = encoding.source(events, "test")
    assert isinstance(store, FeatureStore)  # no other features were handed in
    return store


def _tokens(encoding: Encoding, events: Events) -> FeatureStore:
    config, views = encoding.recipe.clips, encoding.views("test")
    grid: dict[str, Any] = {
        "rows": config.rows,
        "hop": config.hop if config.rows == "dense" else None,
        "tokens": TOKENS,
    }
    how = [config.dtype, config.precision, config.compile, config.batch_size]
    place = cache_place(
        events, encoding.encoder, views, encoding.device, kind="tokens-", how=how, **grid
    )
    return cached_features(place, events, encoding.encoder, config, views=views, **grid)


def _cost(name: str, encoder: Encoder, encoding: Encoding, store: FeatureStore) -> Cost:
    summary, clip = store.summary, encoder.clip
    macs, seconds = measure_forward(encoder, encoding.recipe.clips.precision)
    rate = f" at {clip.fps:g} fps" if clip.fps else ""
    seen = f"{clip.size} pixels" if clip.input != "audio" else "sound"
    return Cost(
        encoder=name,
        random=encoder.weights_hash.startswith("untrained"),
        dim=encoder.dim,
        parameters=encoder.parameter_count(),
        gmacs=macs / 1e9,
        clips_per_second=1 / seconds,
        device=encoding.device,
        clip=f"{clip.frames} frames, stride {clip.stride}{rate}, {seen}",
        licence=encoder.licence,
        weights=encoder.weights_hash,
        store_bytes=_size(store.path),
        extracted_clips=summary.clips if summary else 0,
        extraction_seconds=summary.seconds if summary and summary.clips else 0.0,
    )


def measure_forward(encoder: Encoder, precision: str = "auto") -> tuple[float, float]:
    """Return the multiply-adds of one clip, and the seconds it takes (the least of a few).

    Convolutions, matrix products and attention are counted, as in the literature's "FLOPs". Of an
    encoder that listens both are NaN.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from actionspace.features.extract import views_of
    from actionspace.features.forward import arithmetic, device_of

    if getattr(encoder, "sound", None) is not None:
        return math.nan, math.nan
    views, device = views_of(encoder), device_of(encoder)
    channels = len(encoder.clip.mean)
    clip = torch.zeros(1, views.frames, views.size, views.size, channels, dtype=torch.uint8)

    def run() -> float:
        begun = time.perf_counter()
        encoder(encoder.prepare(clip))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begun

    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), arithmetic(precision, device):
        with counter:
            seconds = run()
        if seconds < LONG:
            seconds = run()
        if seconds < SHORT:
            seconds = min(seconds, run(), run())
    return counter.get_total_flops() / 2, seconds


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
