"""Where the features of a recipe or a run come from: given, listed, or made by its encoder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.errors import StoreError, UsageError
from actionspace.features.token_rows import TokenTimeline, one_vector
from actionspace.training.cached import cache_place, cached_features, require_weights
from actionspace.training.environment import pick_device
from actionspace.training.make import refuse_other_make

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.joined import Source

Given = str | os.PathLike[str]


@dataclass(frozen=True)
class Encoded:
    """Features of a manifest's videos.

    Attributes:
        source: the features.
        encoder: what made them, if that was done here.
    """

    source: Source
    encoder: Encoder | None = None

    def describe(self) -> dict[str, Any]:
        """Return what a run says of its features in ``labels.json``."""
        about = dict(self.source.fingerprint)
        return {
            "name": about.get("encoder"),
            "weights_hash": about.get("weights"),
            "licence": self.encoder.licence if self.encoder is not None else "",
            "dim": self.source.dim,
            "fingerprint": about,
        }


def encode(
    recipe: AlignmentRecipe,
    events: Events,
    *,
    features: Given | Source | None = None,
    encoder: Encoder | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Encoded:
    """Return the features of a manifest's videos; the encoder makes those that are missing.

    Args:
        recipe: says where they are, or which encoder makes them.
        events: the manifest.
        features: to be used instead.
        encoder: an encoder made already.
        expect: the ``encoder`` entry of a run's labels; features of another make are refused.

    Raises:
        RunError: they are of another make than those the run was trained on.
        StoreError: the place holds no features of whole videos.
        UsageError: there is neither a place nor an encoder.
    """
    expect = expect or {}
    place = features if features is not None else recipe.features
    if place is not None or (encoder is None and events.videos["features"].notna().any()):
        found = Encoded(one_vector(_open(place, events), timeline=True))
    else:
        encoder = encoder or _encoder(recipe, expect)
        require_weights(encoder, expect.get("weights_hash"))
        found = Encoded(_extract(recipe, events, encoder), encoder)
    if found.source.rows != "dense":
        raise StoreError(
            f"{found.source!r} holds the views of labelled events; alignment needs rows over whole "
            "videos. Extract with rows=dense."
        )
    advice = "Give those it was trained on, or raw videos."
    refuse_other_make(found.source, expect.get("fingerprint"), expect.get("dim"), advice)
    return found


def adopt(recipe: AlignmentRecipe, source: Source) -> AlignmentRecipe:
    """Return the recipe with encoder and grid of a store of ours that was handed in.

    A run trained on it then embeds raw video in the same way. Features of other makes leave the
    recipe as it is.
    """
    about = dict(source.fingerprint)
    if not about.get("encoder"):
        return recipe
    known = {name: about[name] for name in type(recipe.rows).model_fields if name in about}
    return recipe.model_copy(
        update={
            "rows": recipe.rows.model_copy(update=known),
            "encoder": about["encoder"],
            "encoder_options": about.get("options") or {},
        }
    )


def _open(place: Given | Source | None, events: Events) -> Source:
    from actionspace.features.foreign import open_features
    from actionspace.features.joined import listed_features

    if place is None:
        return listed_features(events)
    if not isinstance(place, (str, os.PathLike)):
        return place
    known = events.videos[events.videos["fps"].notna()]
    fps = dict(zip(known["video"], known["fps"].astype(float), strict=True))
    # A row for each frame, unless a store of ours says otherwise.
    return open_features(Path(place), stride=1.0, fps=fps)


def _encoder(recipe: AlignmentRecipe, expect: Mapping[str, Any]) -> Encoder:
    if recipe.encoder is None:
        about = expect.get("fingerprint") or {}
        made = f" (the run was trained on {about['dim']} values per row)" if about else ""
        raise UsageError(
            f"The recipe '{recipe.name}' names no encoder, so it needs features=STORE{made}. Name "
            "an encoder (encoder=starter) to take raw videos."
        )
    from actionspace.encoders.create import create_encoder

    return create_encoder(
        recipe.encoder,
        weights=recipe.weights,
        device=pick_device(recipe.device),
        **recipe.encoder_options,
    )


def _extract(recipe: AlignmentRecipe, events: Events, encoder: Encoder) -> Source:
    config = recipe.rows
    views = config.views(encoder)
    place = cache_place(
        events,
        encoder,
        views,
        pick_device(recipe.device),
        kind="frames-",
        grid=[config.hop, config.tokens],
        how=[config.dtype, config.precision, config.compile, config.batch_size],
    )
    hop = config.hop or (views.span if config.tokens else None)
    grid = {"views": views, "hop": hop, "tokens": config.tokens}
    store = cached_features(place, events, encoder, config, **grid)
    return TokenTimeline(store) if config.tokens else store
