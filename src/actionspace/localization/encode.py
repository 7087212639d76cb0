"""Where the features of a recipe or a run come from: given, listed, or made by its encoder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import StoreError, UsageError
from actionspace.features.joined import Source
from actionspace.features.token_rows import TokenTimeline, one_vector
from actionspace.localization.data.source import FeatureFiles, open_source
from actionspace.localization.options import FilesConfig, RowsConfig
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.training.cached import cache_place, cached_features, require_weights
from actionspace.training.environment import pick_device
from actionspace.training.make import refuse_other_make

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.video.views import Views

Place = str | os.PathLike[str]
Given = Source | Place | Sequence[Place]
"""Features somebody hands in: something open, a place, or several that are joined."""


class Encoding:
    """Features of one recipe.

    Args:
        recipe: says where they are, or which encoder makes them.
        features: to be used instead.
        encoder: an encoder made already.
        expect: the ``encoder`` entry of a run's labels; features of another make are refused.
    """

    def __init__(
        self,
        recipe: LocalizationRecipe,
        *,
        features: Given | None = None,
        encoder: Encoder | None = None,
        expect: Mapping[str, Any] | None = None,
    ) -> None:
        self.recipe = recipe
        self._features = features
        self._encoder = encoder
        self._expect = dict(expect or {})
        self._source: Source | None = None

    @property
    def device(self) -> str:
        """Where encoder and network run."""
        return pick_device(self.recipe.device)

    def source(self, events: Events, own: Source | None = None) -> Source:
        """Return the features of a manifest's videos; the encoder makes those that are missing.

        Args:
            events: the manifest.
            own: features that the function which gave the manifest gave as well.

        Raises:
            RunError: they are of another make than those the run was trained on.
            StoreError: the place holds no features.
            UsageError: there is neither a place nor an encoder.
        """
        found = one_vector(self._find(events, own), timeline=True)
        self._refuse_others(found)
        self._source = found
        return found

    def _find(self, events: Events, own: Source | None) -> Source:
        if self._features is not None and _is_open(self._features):
            return self._features  # type: ignore[return-value]
        places = _places(self._features) if self._features is not None else self.recipe.places
        if places:
            return open_source(events, list(map(Path, places)), _files(self.recipe.files))
        if own is not None:
            return own
        if self._encoder is None and events.videos["features"].notna().any():
            return open_source(events, (), _files(self.recipe.files))
        return self._extract(events)

    @property
    def encoder(self) -> Encoder:
        """The encoder, made when first asked for.

        Raises:
            UsageError: the recipe names none.
            RunError: its weights are not those the run was trained with.
        """
        if self._encoder is None:
            if self.recipe.encoder is None:
                raise UsageError(self._no_encoder())
            from actionspace.encoders.create import create_encoder

            self._encoder = create_encoder(
                self.recipe.encoder,
                weights=self.recipe.weights,
                device=self.device,
                **self.recipe.encoder_options,
            )
        require_weights(self._encoder, self._expect.get("weights_hash"))
        return self._encoder

    def _no_encoder(self) -> str:
        about = self._expect.get("fingerprint") or {}
        make = describe_make(about, self.recipe.rows.preset) if about else ""
        trained = f" It was trained on {make}." if make else ""
        return (
            f"The recipe '{self.recipe.name}' names no encoder, so it needs features=STORE or a "
            f"directory of features.{trained} With features of its own encoder (train with "
            "encoder=NAME) a run takes raw videos."
        )

    def views(self) -> Views:
        """Return the clips that rows are computed from."""
        return build_views(self.recipe.rows, self.encoder)

    def _extract(self, events: Events) -> Source:
        config, views = self.recipe.rows, self.views()
        place = cache_place(
            events,
            self.encoder,
            views,
            self.device,
            kind="rows-",
            grid=[config.hop, config.preset, config.tokens],
            how=[config.dtype, config.precision, config.compile, config.batch_size],
        )
        hop = None if config.preset else config.hop or (views.span if config.tokens else None)
        grid = {"views": views, "hop": hop, "preset": config.preset, "tokens": config.tokens}
        store = cached_features(place, events, self.encoder, config, **grid)
        return TokenTimeline(store) if config.tokens else store

    def describe(self) -> dict[str, Any]:
        """Return what a run says of its features; call it when there are some."""
        assert self._source is not None
        about = dict(self._source.fingerprint)
        made = self._encoder
        return {
            "name": about.get("encoder"),
            "weights_hash": about.get("weights"),
            "licence": made.licence if made is not None else "",
            "dim": self._source.dim,
            "parameters": made.parameter_count() if made is not None else 0,
            "fingerprint": about,
        }

    def _refuse_others(self, found: Source) -> None:
        wanted = self._expect.get("fingerprint")
        if wanted:
            advice = f"It needs {describe_make(wanted, self.recipe.rows.preset)}."
            refuse_other_make(found, wanted, self._expect.get("dim"), advice)


def describe_make(about: Mapping[str, Any], preset: str | None = None) -> str:
    """Return in words which features a fingerprint is of: encoder, clips and grid."""
    from actionspace.features.presets import PRESETS

    if about.get("format") == "joined":
        parts = [describe_make(part) for part in about.get("parts", ())]
        return " and ".join(parts) + ", joined row by row"
    dim, rate = about.get("dim"), about.get("fps")
    at = f" at {rate:g} frames per second" if rate else ""
    if about.get("encoder"):
        return (
            f"features of the encoder '{about['encoder']}' ({dim} values, clips of "
            f"{about.get('frames')} frames at stride {about.get('stride')}, a row every "
            f"{about.get('hop')} frames{at})"
        )
    made = f" ({PRESETS[preset].made_by})" if preset in PRESETS else ""
    grid = (
        f", {about['window']:g} frames every {about['stride']:g}{at}"
        if about.get("stride") and about.get("window")
        else ""
    )
    return f"features of {dim} values per row{grid}, made elsewhere{made}"


def build_views(config: RowsConfig, encoder: Encoder) -> Views:
    """Return the views a section of a recipe means for an encoder."""
    from dataclasses import replace

    views = config.views(encoder)
    flow = (config.flow or encoder.clip.flow) if encoder.clip.input == "flow" else None
    return replace(views, resize=encoder.clip.resizing(config.resize), flow=flow)


def adopt(recipe: LocalizationRecipe, source: Source) -> LocalizationRecipe:
    """Return the recipe with encoder and grid of a store of ours that was handed in.

    A run trained on it then predicts from raw video in the same way. Features of other makes leave
    the recipe as it is.
    """
    about = dict(source.fingerprint)
    if not about.get("encoder"):
        return recipe
    known = {name: about[name] for name in RowsConfig.model_fields if name in about}
    known.pop("rows", None)
    rows = recipe.rows.model_copy(update={**known, "preset": None})
    return recipe.model_copy(
        update={
            "rows": rows,
            "encoder": about["encoder"],
            "encoder_options": about.get("options") or {},
        }
    )


def _is_open(features: Any) -> bool:
    return hasattr(features, "get") and hasattr(features, "fingerprint")


def _places(features: Any) -> tuple[Place, ...]:
    if isinstance(features, (str, os.PathLike)):
        return (features,)
    places = tuple(features)
    if not all(isinstance(place, (str, os.PathLike)) for place in places):
        raise StoreError(f"features={features!r} is neither a place nor features.")
    return places


def _files(config: FilesConfig) -> FeatureFiles:
    names = FeatureFiles.__dataclass_fields__
    return FeatureFiles(**{name: getattr(config, name) for name in names})
