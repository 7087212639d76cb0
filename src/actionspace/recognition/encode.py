"""Features for a recipe: which views, which store, and running the encoder where needed."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from actionspace.errors import RunError, StoreError, UsageError
from actionspace.recognition.recipe import RecognitionRecipe, ViewsConfig
from actionspace.training.cached import cache_place, cached_features, require_weights
from actionspace.training.environment import pick_device

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.spec import ClipSpec
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features
    from actionspace.video.views import Views

Purpose = Literal["train", "val", "test", "untrimmed"]


def build_views(
    config: ViewsConfig, spec: ClipSpec, resize: Literal["fast", "exact"], seed: int = 0
) -> Views:
    """Return the views a section of a recipe means for an encoder that wants ``spec`` clips."""
    from actionspace.video.views import Views

    return Views(
        frames=config.frames or spec.frames,
        stride=config.stride or spec.stride,
        size=config.size or spec.size,
        short_side=config.short_side or spec.short_side,
        geometry=config.geometry or spec.geometry,
        resize=spec.resizing(resize),
        clips=config.clips,
        augment=config.augment,
        spread=config.spread,
        flip=config.flip,
        speed=config.speed,
        jitter=config.jitter,
        out_of_bound=config.out_of_bound,
        fps=config.fps or spec.fps,
        flow=(config.flow or spec.flow) if spec.input == "flow" else None,
        seed=seed,
    )


class Encoding:
    """Features of one recipe, from a given source or from its encoder, made when asked for."""

    def __init__(
        self,
        recipe: RecognitionRecipe,
        *,
        features: Features | str | os.PathLike[str] | None = None,
        encoder: Encoder | None = None,
        expect: dict[str, Any] | None = None,
        adapted: Path | None = None,
    ) -> None:
        """Prepare; nothing is read or run yet.

        Args:
            recipe: says which encoder and which views.
            features: a store (or its path) to use instead of the encoder.
            encoder: an encoder made already.
            expect: the ``encoder`` entry of a run; another encoder is refused.
            adapted: the run folder that holds what ``recipe.mode`` made of the encoder.

        Raises:
            RunError: the features are not those of the adapted encoder.
        """
        self.recipe = recipe
        self._base = encoder if adapted is not None else None
        self._encoder = encoder if adapted is None else None
        self._expect = expect or {}
        self._adapted = adapted
        place = features if features is not None else recipe.features
        self._given = _open(place, recipe)
        if self._given is not None and adapted is not None:
            self._check_features(self._given)
        self._dense: dict[Path, tuple[Features, set[str]]] = {}

    @property
    def given(self) -> Features | None:
        """The source that was handed in, if any."""
        return self._given

    @property
    def device(self) -> str:
        """Where the encoder runs, or would."""
        return pick_device(self.recipe.device)

    @property
    def encoder(self) -> Encoder:
        """The encoder, made when first asked for.

        Raises:
            RunError: its weights are not those the run was trained with.
        """
        if self._encoder is None:
            self._encoder = self._make()
        require_weights(self._encoder, self._expect.get("weights_hash"))
        return self._encoder

    def adapted(self, folder: Path) -> Encoding:
        """Return the same with the encoder that a training left in a run folder."""
        return Encoding(self.recipe, encoder=self.encoder, adapted=folder)

    def _make(self) -> Encoder:
        from actionspace.encoders.create import UNTRAINED, create_encoder
        from actionspace.recognition.adapted import load_encoder

        folder, mode, name = self._adapted, self.recipe.mode, self.recipe.encoder
        if self._base is not None:
            encoder = copy.deepcopy(self._base)
        else:
            whole = folder is not None and mode != "lora"  # the run holds all of its weights
            encoder = create_encoder(
                UNTRAINED + name.removeprefix(UNTRAINED) if whole else name,
                weights=None if whole else self._weights(),
                device=self.device,
                **self.recipe.encoder_options,
            )
            if not name.startswith(UNTRAINED):
                encoder.name = encoder.name.removeprefix(UNTRAINED)
        if folder is not None:
            load_encoder(folder, encoder, mode)
        return encoder

    @property
    def one_grid(self) -> bool:
        """Whether training and testing share one dense grid, so that one pass serves both."""
        config = self.recipe.clips
        same = config.train == config.test == config.val and not config.stochastic_depth
        return self._given is None and config.rows == "dense" and same

    def describe(self) -> dict[str, Any]:
        """Return what ``labels.json`` and ``environment.json`` say of the encoder."""
        if self._given is not None:
            about = dict(getattr(self._given, "fingerprint", {}))
            known = {"name": about.get("encoder"), "weights_hash": about.get("weights")}
            if licence := getattr(self._given, "licence", ""):
                known["licence"] = licence
            return {**known, "dim": self._given.dim, "parameters": 0}
        encoder = self.encoder
        return {
            "name": encoder.name,
            "weights_hash": encoder.weights_hash,
            "licence": encoder.licence,
            "dim": encoder.dim,
            "parameters": sum(p.numel() for p in encoder.parameters()),
            **({"adapted": self._how()} if self._adapted is not None else {}),
        }

    def _how(self) -> str:
        """Return what was done to the encoder of a run."""
        return self.recipe.mode if self.recipe.adapts else "batch_norm_drift"

    def span_seconds(self, fps: float) -> float:
        """Return what one clip spans in a video of ``fps`` frames per second (NaN: 25)."""
        if self._given is not None and self._encoder is None:
            about = dict(getattr(self._given, "fingerprint", {}))
            frames, stride = about.get("frames"), about.get("stride")
            nominal = about.get("fps")
            span = frames * stride if frames and stride else 0
        else:
            views = self.views("untrimmed")
            span, nominal = views.span, views.fps
        rate = nominal or (fps if fps > 0 else 25.0)
        return float(span / rate)

    def views(self, purpose: Purpose) -> Views:
        """Return the views of a purpose; ``untrimmed`` is one deterministic view per window."""
        config, spec = self.recipe.clips, self.encoder.clip
        if purpose == "untrimmed":
            section = config.test.model_copy(update={"clips": 1, "augment": 0})
            if (section.geometry or spec.geometry) == "three":
                section = section.model_copy(update={"geometry": "center"})
            return build_views(section, spec, config.resize)
        section = {"train": config.train, "val": config.val, "test": config.test}[purpose]
        return build_views(section, spec, config.resize, config.seed)

    def source(self, events: Events, purpose: Purpose, *, tag: str = "predict") -> Features:
        """Return features of the manifest's videos, running the encoder where they are missing.

        Args:
            events: the manifest; with event rows, its events say where clips lie.
            purpose: whose views.
            tag: keeps event rows of training (with gaps) and prediction (without) apart.
        """
        if self._given is not None:
            return self._given
        rows = "dense" if purpose == "untrimmed" else self.recipe.clips.rows
        views = self.views(purpose)
        stochastic = self.recipe.clips.stochastic_depth and purpose == "train"
        place = self._place(events, views, rows, stochastic, tag)
        videos = set(events.videos["video"])
        if place in self._dense and videos <= self._dense[place][1]:
            return self._dense[place][0]
        store = self._extract(events, place, views, rows, stochastic)
        if rows == "dense":
            self._dense[place] = (store, videos | self._dense.get(place, (store, set()))[1])
        return store

    def _extract(
        self, events: Events, place: Path, views: Views, rows: str, stochastic: bool
    ) -> Features:
        config = self.recipe.clips
        hop = config.hop if rows == "dense" else None
        grid = {"views": views, "rows": rows, "hop": hop, "stochastic_depth": stochastic}
        tokens = {"tokens": self.recipe.tokens, "limit_gb": config.limit_gb}
        store = cached_features(place, events, self.encoder, config, **grid, **tokens)
        return join_clips(store, self.recipe)

    def _place(self, events: Events, views: Views, rows: str, stochastic: bool, tag: str) -> Path:
        config = self.recipe.clips
        return cache_place(
            events,
            self.encoder,
            views,
            self.device,
            rows=rows,
            hop=config.hop if rows == "dense" else None,
            how=[config.dtype, config.precision, config.compile, config.batch_size, stochastic],
            tag=tag if rows == "events" else "",
            **({"tokens": tokens} if (tokens := self.recipe.tokens) else {}),
        )

    def _weights(self) -> str | None:
        """Return the recipe's weight file, or None where it lies elsewhere now."""
        weights = self.recipe.weights
        if weights is None or not self._expect or Path(weights).exists():
            return weights
        looks_like_file = any(c in weights for c in "/\\.")
        if looks_like_file:
            raise RunError(
                f"The run was trained with the weights {weights}, which are not here. Give the "
                f"file's place on this machine as weights=; its hash must be "
                f"{self._expect.get('weights_hash')}."
            )
        return weights

    def _check_features(self, given: Features) -> None:
        weights = dict(getattr(given, "fingerprint", {})).get("weights")
        if weights != self._expect.get("weights_hash"):
            raise RunError(
                f"The run was trained with mode={self.recipe.mode}, so it needs the features of "
                f"its own encoder ({self._expect.get('weights_hash')}); these are of {weights}. "
                "Leave out features=."
            )


def _open(
    features: Features | str | os.PathLike[str] | None, recipe: RecognitionRecipe
) -> Features | None:
    if features is None:
        return None
    from actionspace.features.foreign import open_features
    from actionspace.features.token_rows import one_vector

    if isinstance(features, (str, os.PathLike)):
        features = open_features(Path(features), **recipe.feature_options)
    if not recipe.attends:
        return cast("Features", one_vector(features))
    if getattr(features, "tokens", None) is None:
        raise StoreError(
            f"{getattr(features, 'path', features)!s} holds one vector per clip, and an attentive "
            "head looks at tokens. Extract with tokens=time, or take head.kind=linear."
        )
    return join_clips(features, recipe)


def join_clips(store: Features, recipe: RecognitionRecipe) -> Features:
    """Return a store of tokens with the clips of an event as one sequence, if they are wanted so.

    Raises:
        StoreError: its random views are not whole sets of clips.
    """
    from actionspace.features.store import FeatureStore
    from actionspace.features.token_clips import JoinedClips

    wanted = recipe.attends and recipe.head.attentive.join_clips
    if not wanted or not isinstance(store, FeatureStore) or store.rows != "events":
        return store
    return cast("Features", JoinedClips(store))


def adopt(recipe: RecognitionRecipe, source: Features) -> RecognitionRecipe:
    """Return the recipe with encoder, rows and views of a store of ours that was handed in.

    A run trained on it then predicts from raw video in the same way. Features of other makes leave
    the recipe as it is.

    Raises:
        UsageError: the store's views are random, so there is nothing to repeat on a new video; or
            clips of events are to be joined, and it has a dense grid.
    """
    about = dict(getattr(source, "fingerprint", {}))
    if not about:
        return recipe
    if about.get("augment"):
        raise UsageError("A store of random training views cannot stand for every split.")
    joins = recipe.attends and recipe.head.attentive.join_clips
    if joins and about.get("rows", "dense") != "events":
        raise UsageError(
            "head.attentive.join_clips joins the clips of events, and these features have a dense "
            "grid. Extract with rows=events, or leave it off."
        )
    same = {name: about[name] for name in ViewsConfig.model_fields if name in about}
    views = ViewsConfig.model_validate(same)
    clips = recipe.clips.model_copy(
        update={
            "rows": about.get("rows", "dense"),
            "hop": about.get("hop"),
            "tokens": about.get("tokens") if recipe.attends else None,
            # An encoder's own way of resizing is what `exact` means for it.
            "resize": "fast" if about.get("resize", recipe.clips.resize) == "fast" else "exact",
            "train": views,
            "val": views,
            "test": views,
        }
    )
    options = about.get("options") or {}
    name = about.get("encoder", recipe.encoder)
    return recipe.model_copy(update={"clips": clips, "encoder": name, "encoder_options": options})
