"""The verbs about annotations, videos and configurations, as functions; see :mod:`.api`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from actionspace.errors import UsageError, did_you_mean
from actionspace.tasks import known_to

if TYPE_CHECKING:
    from actionspace.datasets.check import Finding
    from actionspace.events.table import Events
    from actionspace.localization.validate import ConfigReport
    from actionspace.video.inspect import VideoInfo

PathLike = str | os.PathLike[str]


def read_events(
    path: PathLike,
    format: str | None = None,
    *,
    root: PathLike | None = None,
    allow_outside: bool = False,
    **options: Any,
) -> Events:
    """Read annotations of any known format; see :func:`actionspace.events.io.read`."""
    from actionspace.events import io

    place = Path(root) if root else None
    return io.read(Path(path), format, root=place, allow_outside=allow_outside, **options)


def write_events(events: Events, path: PathLike, format: str | None = None) -> Path:
    """Write annotations; see :func:`actionspace.events.io.write`."""
    from actionspace.events import io

    return io.write(events, Path(path), format)


def prepare(dataset: str, source: PathLike, out: PathLike | None = None, **options: Any) -> Path:
    """Turn a published data set into a manifest; see :mod:`actionspace.datasets.prepare`."""
    from actionspace.datasets.prepare import prepare as run

    return run(dataset, Path(source), None if out is None else Path(out), **options)


def split(
    manifest: PathLike,
    *,
    by: str = "group",
    ratio: str | Sequence[float] = "70:15:15",
    folds: int | None = None,
    seed: int = 0,
    out: PathLike | None = None,
) -> list[Path]:
    """Write manifests with splits; see :func:`actionspace.events.split_files.split_manifest`."""
    from actionspace.events.split_files import split_manifest

    target = None if out is None else Path(out)
    return split_manifest(Path(manifest), by=by, ratio=ratio, folds=folds, seed=seed, out=target)


def inspect(videos: PathLike | Sequence[PathLike], *, exact: bool = True) -> list[VideoInfo]:
    """Look at videos (files, folders, globs); a bad file is a verdict, not an exception."""
    from actionspace.progress import progress
    from actionspace.training.inputs import video_files
    from actionspace.video.inspect import inspect as look

    files = video_files(videos)
    return [look(f, exact=exact) for f in progress(files, what="inspect", unit="video")]


def check(target: PathLike, *, open_videos: bool = True) -> list[Finding]:
    """Find what is wrong with a manifest, a recipe or a published archive before any training."""
    from actionspace.recipes.loader import recipe_names

    text = os.fspath(target)
    if text in recipe_names() or text.endswith((".yaml", ".yml")):
        from actionspace.recipes.check import check_recipe

        return check_recipe(text)
    if not Path(text).exists():
        hint = did_you_mean(text, recipe_names())
        raise UsageError(f"'{text}' is neither a file nor a recipe.{hint}")
    from actionspace.datasets.check import check_manifest
    from actionspace.localization.published import check_archive, known_md5

    if known_md5(text) is not None:
        return check_archive(text)
    return check_manifest(read_events(text, allow_outside=True), files=open_videos)


def validate_config(
    config: PathLike | Mapping[str, Any], *, compat: Literal["none", "fork"] = "none"
) -> ConfigReport:
    """Say what is wrong with a recipe, or with a configuration of the original ActionFormer.

    Args:
        config: a recipe's name, a YAML file or a mapping; of a recipe all is checked that
            :func:`check` does. Sections ``model``, ``train_cfg``, ``test_cfg`` and a ``dataset``
            with fields tell the original's layout.
        compat: ``fork`` = the original's layout by exactly the rules of the fork 1.5.0, which
            refuse ``loss_weight: -1``.

    Raises:
        UsageError: there is no such recipe.
        ConfigError: the file is no YAML.
    """
    from actionspace.config import read_yaml
    from actionspace.localization.validate import ConfigReport
    from actionspace.localization.validate_original import is_original, validate_original
    from actionspace.recipes.check import check_recipe

    given: Any = config
    if not isinstance(config, Mapping) and Path(config).is_file():
        given = read_yaml(os.fspath(config))
    if isinstance(given, Mapping) and (compat == "fork" or is_original(given)):
        return validate_original(given, fork=compat == "fork")
    found = check_recipe(config)
    errors, warnings = (
        tuple(f.message for f in found if f.severity == kind) for kind in ("error", "warning")
    )
    return ConfigReport(errors, warnings)


def compute_adaptive_ranges(
    durations: Any, num_levels: int = 6, **options: Any
) -> list[tuple[float, float]]:
    """Return the distances each level of a pyramid is to learn, from how long events last; see
    :func:`actionspace.localization.ranges.compute_adaptive_ranges`.
    """
    from actionspace.localization.ranges import compute_adaptive_ranges as run

    known_to(run, options, skip=2)
    return run(durations, num_levels, **options)
