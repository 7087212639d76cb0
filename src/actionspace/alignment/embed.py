"""Embeddings of videos by a run, as a feature store of their own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.alignment.data import recipe_videos
from actionspace.alignment.encode import Given, encode
from actionspace.alignment.infer import embed_video
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.alignment.saved import load_network
from actionspace.config import parse
from actionspace.errors import ActionspaceError, DataError, RunError
from actionspace.features.store import FeatureStore, VideoFeatures
from actionspace.paths import sha256_file
from actionspace.progress import progress
from actionspace.training.environment import pick_device
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.events.table import Events
    from actionspace.features.joined import Source


def embed(
    run: Given | Run,
    events: Events,
    out: str | os.PathLike[str],
    *,
    features: Given | Source | None = None,
    device: str | None = None,
) -> FeatureStore:
    """Embed every frame (or row of features) of videos and keep it.

    One video is in memory at a time, of pictures one clip. A video that cannot be read is left out
    and listed with its reason (``skipped``).

    Args:
        run: a run of alignment.
        events: the videos.
        out: the store; one of the same run is added to.
        features: of these videos, instead of the run's encoder.
        device: None = the recipe's.

    Raises:
        RunError: no run of alignment, or features of another make than it was trained on.
        StoreError: ``out`` holds something else.
        DataError: not one video can be read.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    if run.config.get("task") != "alignment":
        raise RunError(
            f"{run.path} is a run of {run.config.get('task', 'recognition')}; frames are embedded "
            "by runs of alignment (actionspace train align)."
        )
    recipe = parse(AlignmentRecipe, run.config, str(run.path / "config.yaml"))
    recipe = recipe.model_copy(update={"features": None, "device": device or recipe.device})
    source = None
    if recipe.network.input == "features":
        expect = run.labels.get("encoder")
        source = encode(recipe, events, features=features, expect=expect).source
    network = load_network(run, recipe, pick_device(recipe.device))
    videos = recipe_videos(recipe, events, source)
    store, skipped = None, dict(source.skipped() if source is not None else {})
    for index, name in enumerate(progress(videos.names, what="embed", unit="video")):
        try:
            rows = embed_video(network, videos, index, recipe)
            found = VideoFeatures(rows, videos.times(index))
        except ActionspaceError as e:
            skipped[name] = str(e)
            continue
        store = store or FeatureStore.create(Path(out), _fingerprint(run, rows.shape[1]))
        store.put(name, _key(found), found)
        store.save_index()
    if store is None:
        raise DataError(f"Not one video can be embedded: {skipped or 'there is none'}.")
    store.save_skipped({name: why for name, why in skipped.items() if name not in store})
    return store


def _fingerprint(run: Run, dim: int) -> dict[str, object]:
    return {
        "embedding": run.labels.get("recipe"),
        "weights": sha256_file(run.path / "weights.safetensors"),
        "dim": dim,
        "views": 1,
        "rows": "dense",
    }


def _key(found: VideoFeatures) -> str:
    """Return the name of a video's file: what it holds."""
    held = hashlib.sha256(np.ascontiguousarray(found.features).tobytes())
    held.update(np.ascontiguousarray(found.times).tobytes())
    return held.hexdigest()[:32]
