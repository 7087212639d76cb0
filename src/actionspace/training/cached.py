"""Features that a recipe's encoder makes: once, into the cache, by one process for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import RunError
from actionspace.paths import cache_dir, sha256_json

if TYPE_CHECKING:
    from actionspace.config import Config
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.store import FeatureStore
    from actionspace.video.views import Views

#: Options of ``features.extract`` that a recipe's section has under the same names.
OPTIONS = ("dtype", "batch_size", "precision", "compile", "policy", "threads", "time_limit")


def cache_place(
    events: Events, encoder: Encoder, views: Views, device: str, *, kind: str = "", **grid: Any
) -> Path:
    """Return the store in the cache for features of one make.

    Args:
        events: the manifest, whose root tells videos of the same name apart.
        encoder: what makes them.
        views: the clips it sees.
        device: where it runs.
        kind: part of the folder's name, for people.
        grid: whatever else makes other features, JSON-ready.
    """
    about = {
        "encoder": encoder.identity,
        "clip": encoder.clip.as_dict(),
        "views": vars(views),
        "device": device.partition(":")[0],
        "root": str(events.root.resolve()),
        **grid,
    }
    slug = "".join(c if c.isalnum() else "_" for c in encoder.name)[-40:]
    return cache_dir() / "features" / f"{slug}-{kind}{sha256_json(about)[:16]}"


def cached_features(
    place: Path, events: Events, encoder: Encoder, section: Config, **grid: Any
) -> FeatureStore:
    """Return the features of a manifest's videos, made where they are missing.

    Processes other than the main one open what it has left; see :mod:`.turns`.

    Args:
        place: of :func:`cache_place`.
        events: the manifest.
        encoder: on its device.
        section: of the recipe, with the options named in ``OPTIONS``.
        grid: further options of :func:`actionspace.features.extract.extract`.
    """
    from actionspace.features.extract import extract
    from actionspace.features.store import FeatureStore
    from actionspace.training.machine import is_main_process

    if not is_main_process():
        return FeatureStore.open(place)
    how = {name: getattr(section, name) for name in OPTIONS}
    return extract(events, encoder, place, **how, **grid)


def require_weights(encoder: Encoder, expected: str | None) -> None:
    """Refuse an encoder with other weights than those a run was trained with.

    Args:
        encoder: as it was made here.
        expected: hash of the run's; None or empty = nobody knows.

    Raises:
        RunError: they differ.
    """
    if expected and encoder.weights_hash != expected:
        raise RunError(
            f"Encoder '{encoder.name}' here has the weights {encoder.weights_hash}, the run was "
            f"trained with {expected}. Give the right file as weights=."
        )
