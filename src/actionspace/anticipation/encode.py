"""Where the features of a recipe or a run come from: given, listed, or made by its encoder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.errors import RunError, StoreError, UsageError
from actionspace.features.token_rows import TokenTimeline
from actionspace.training.cached import cache_place, cached_features, require_weights
from actionspace.training.environment import pick_device
from actionspace.training.make import refuse_other_make

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.joined import Source


@dataclass(frozen=True)
class Encoded:
    """Features of a manifest's videos.

    Attributes:
        sources: one or several, each looked at by a network of its own.
        encoder: what made them, if that was done here.
    """

    sources: tuple[Source, ...]
    encoder: Encoder | None = None

    def describe(self) -> dict[str, Any]:
        """Return what a run says of its features in ``labels.json``."""
        abouts = [dict(source.fingerprint) for source in self.sources]
        names = [str(about.get("encoder") or "") for about in abouts]
        return {
            "name": " + ".join(names) if all(names) else None,
            "weights_hash": abouts[0].get("weights") if len(abouts) == 1 else None,
            "licence": self.encoder.licence if self.encoder is not None else "",
            "dim": sum(source.dim for source in self.sources),
            "parts": [
                {"dim": source.dim, "tokens": int(getattr(source, "n_tokens", 1)), "fingerprint": a}
                for source, a in zip(self.sources, abouts, strict=True)
            ],
        }


def encode(
    recipe: AnticipationRecipe,
    events: Events,
    *,
    features: Any = None,
    encoder: Encoder | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Encoded:
    """Return the features of a manifest's videos; the encoder makes those that are missing.

    Args:
        recipe: says where they are, or which encoder makes them.
        events: the manifest.
        features: to be used instead: a place, something open, or several.
        encoder: an encoder made already.
        expect: the ``encoder`` entry of a run's labels; features of another make are refused.

    Raises:
        RunError: they are of another make than those the run was trained on.
        StoreError: the place holds no features of whole videos.
        UsageError: there is neither a place nor an encoder.
    """
    expect = expect or {}
    places = _several(features) if features is not None else recipe.places
    if places:
        found = Encoded(tuple(_open(recipe, place, events) for place in places))
    elif encoder is None and events.videos["features"].notna().any():
        found = Encoded((_listed(recipe, events),))
    else:
        encoder = encoder or _encoder(recipe, expect)
        require_weights(encoder, expect.get("weights_hash"))
        found = Encoded((_extract(recipe, events, encoder),), encoder)
    for source in found.sources:
        _refuse_unfit(source)
    _refuse_others(found.sources, expect.get("parts") or ())
    return found


def adopt(recipe: AnticipationRecipe, sources: Sequence[Source]) -> AnticipationRecipe:
    """Return the recipe with encoder and grid of the one store of ours that was handed in.

    A run trained on it then foretells raw video in the same way. Features of other makes, and
    several, leave the recipe as it is.
    """
    about = dict(sources[0].fingerprint) if len(sources) == 1 else {}
    if not about.get("encoder"):
        return recipe
    known = {name: about[name] for name in type(recipe.rows).model_fields if name in about}
    rows = recipe.rows.model_copy(update={"tokens": None, **known})
    own = recipe.encoder_options if recipe.encoder == about["encoder"] else {}
    return recipe.model_copy(
        update={
            "rows": rows,
            "encoder": about["encoder"],
            "encoder_options": {**own, **(about.get("options") or {})},
        }
    )


def _several(features: Any) -> tuple[Any, ...]:
    return tuple(features) if isinstance(features, (list, tuple)) else (features,)


def _open(recipe: AnticipationRecipe, place: Any, events: Events) -> Source:
    from actionspace.features.foreign import open_features

    if not isinstance(place, (str, os.PathLike)):
        return place  # type: ignore[no-any-return]
    if (Path(place) / "store.json").is_file():
        return open_features(Path(place))
    files = recipe.files
    if files.stride is None:
        raise UsageError(
            f"{place} holds features of another make; say when each row is: files.stride= (frames "
            "between rows), files.window= and files.fps=."
        )
    options = files.model_dump()
    return open_features(Path(place), **{**options, "fps": files.fps or _fps(events)})


def _listed(recipe: AnticipationRecipe, events: Events) -> Source:
    from actionspace.features.joined import listed_features

    options = recipe.files.model_dump(exclude={"prefix", "suffix"})
    return listed_features(events, **options)


def _fps(events: Events) -> dict[str, float]:
    known = events.videos[events.videos["fps"].notna()]
    return dict(zip(known["video"], known["fps"].astype(float), strict=True))


def _encoder(recipe: AnticipationRecipe, expect: Mapping[str, Any]) -> Encoder:
    if recipe.encoder is None:
        dims = [part["dim"] for part in expect.get("parts") or ()]
        made = f" (the run was trained on {' and '.join(map(str, dims))} values per row)"
        raise UsageError(
            f"The recipe '{recipe.name}' names no encoder, so it needs features=STORE"
            f"{made if dims else ''}. Name an encoder (encoder=starter) to take raw videos."
        )
    from actionspace.encoders.create import create_encoder

    return create_encoder(
        recipe.encoder,
        weights=recipe.weights,
        device=pick_device(recipe.device),
        **recipe.encoder_options,
    )


def _extract(recipe: AnticipationRecipe, events: Events, encoder: Encoder) -> Source:
    config = recipe.rows
    views = config.views(encoder)
    place = cache_place(
        events,
        encoder,
        views,
        pick_device(recipe.device),
        kind="before-",
        grid=[config.hop, config.tokens],
        how=[config.dtype, config.precision, config.compile, config.batch_size],
    )
    grid: dict[str, Any] = {"views": views, "hop": config.hop}
    if config.tokens is not None:
        grid |= {"tokens": config.tokens, "limit_gb": config.limit_gb}
    return cached_features(place, events, encoder, config, **grid)


def _refuse_unfit(source: Source) -> None:
    """Refuse rows that are no clips of whole videos."""
    if source.rows != "dense":
        raise StoreError(
            f"{source!r} holds the views of labelled events; anticipation needs rows over whole "
            "videos. Extract with rows=dense."
        )
    if isinstance(source, TokenTimeline):
        raise StoreError(
            f"{source!r} has the time steps of clips as rows, and each of them knows its whole "
            "clip: also what comes after the step. Give the store itself, whose rows are clips."
        )


def _refuse_others(sources: Sequence[Source], parts: Sequence[Mapping[str, Any]]) -> None:
    if parts and len(parts) != len(sources):
        raise RunError(
            f"The run was trained on {len(parts)} features and {len(sources)} are given; give as "
            "many, in the same order."
        )
    advice = "Give those it was trained on, or raw videos."
    for source, part in zip(sources, parts, strict=bool(parts)):
        refuse_other_make(source, part.get("fingerprint"), part["dim"], advice)
