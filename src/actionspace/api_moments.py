"""The verbs that compare moments of videos, as functions; see :mod:`.api`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.api_data import PathLike
from actionspace.errors import UsageError
from actionspace.tasks import known_to

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from actionspace.alignment.compare import Comparison
    from actionspace.events.table import Events
    from actionspace.features.joined import Source
    from actionspace.features.store import FeatureStore
    from actionspace.search.nearest import Moment
    from actionspace.training.run import Run


def search(
    store: PathLike | Source,
    query: str | None = None,
    k: int = 12,
    *,
    text: str | None = None,
    weights: PathLike | None = None,
    device: str = "auto",
    sheet: PathLike | None = None,
    root: PathLike = ".",
    **options: Any,
) -> list[Moment]:
    """Find the moments of a feature store that are most like one of its moments, or like a text.

    Args:
        store: a feature store; every row is compared, or in large ones those an index names.
        query: ``VIDEO@SECONDS``, as ``rat.mp4@12.4s``.
        k: at most how many.
        text: what is to be seen, in words, in place of ``query``. The store must be of an encoder
            that knows text, made with its option ``pool=joint``.
        weights: folder of that encoder's model, where it was made from a folder.
        device: where the text is encoded.
        sheet: picture to write (``.jpg`` or ``.png``) with the query and what was found.
        root: folder the videos lie in, for the picture.
        options: ``apart``, ``elsewhere`` and ``index``, see
            :func:`actionspace.search.nearest.nearest`.

    Raises:
        UsageError: the query is written in another way, both or neither of query and text, an
            unknown option, or a text for features of an encoder without text.
        StoreError: there is no such store, or no such video in it.
        WeightsError: the text half of the store's encoder is not here.
    """
    from actionspace.report.contact_sheet import Shot, write_contact_sheet
    from actionspace.report.figures_svg import clock
    from actionspace.search.nearest import Query, nearest

    known_to(nearest, options, skip=3)
    if (query is None) == (text is None):
        raise UsageError("Give either a moment (query) or a text to look for, and not both.")
    opened, shots = _opened(store), list[Shot]()
    if query is not None:
        asked = Query.parse(query)
        shots = [Shot(Path(root, asked.video), asked.time, asked.video, f"query {asked.time:g} s")]
        found = nearest(opened, asked, k, **options)
    else:
        found = nearest(opened, _in_words(opened, str(text), weights, device), k, **options)
    if sheet is not None:
        shots += [
            Shot(
                Path(root, m.video),
                m.time,
                m.video,
                f"{clock(m.time, tenths=True)}  {m.similarity:.3f}",
            )
            for m in found
        ]
        write_contact_sheet(shots, sheet)
    return found


def embed(
    run: PathLike | Run,
    videos: Any,
    out: PathLike = "embeddings",
    **options: Any,
) -> FeatureStore:
    """Embed every frame of videos by a run of alignment; the store that is made can be searched,
    aligned and measured like any other.

    Args:
        run: a run of alignment.
        videos: videos, folders, globs, a manifest or events.
        out: the store; one of the same run is added to.
        options: ``features`` and ``device``, see :func:`actionspace.alignment.embed.embed`.

    Raises:
        UsageError: there is no video, or an unknown option.
        RunError: no run of alignment, or features of another make.
    """
    from actionspace.alignment.embed import embed as make
    from actionspace.training.inputs import resolve

    known_to(make, options, skip=3)
    return make(run, resolve(videos), out, **options)


def align(
    source: PathLike | Source | Run,
    videos: Sequence[PathLike],
    out: PathLike | None = None,
    *,
    root: PathLike = ".",
    labels: PathLike | Events | None = None,
    head: str = "phase",
    every: int = 1,
    side_by_side: bool = True,
    **options: Any,
) -> Comparison:
    """Align videos with the first of them.

    Args:
        source: a feature store with features of a dense grid; or a run of alignment, which embeds
            the videos (and keeps that in ``out/embeddings``).
        videos: the first is the reference; names in the store, or of files below ``root``.
        out: folder for tables, curves and the videos in step; None writes nothing (of a store).
        root: folder the videos lie in.
        labels: a manifest with the phases of the first, which are handed on to the others.
        head: its column of phases.
        every: take each n-th row.
        side_by_side: write the videos in step.
        options: ``method`` (dtw, soft_dtw or nearest), ``distance`` and ``gamma``, see
            :func:`actionspace.alignment.timemap.time_map`.

    Raises:
        UsageError: fewer than two videos, or an unknown option.
        StoreError: there is no such store, or no such video in it.
        DataError: the first video has no phases in ``labels``.
    """
    from actionspace.alignment.compare import compare, require_others, write_comparison
    from actionspace.api_data import read_events
    from actionspace.events.columns import video_name
    from actionspace.events.table import Events
    from actionspace.features.track import Track
    from actionspace.training.run import Run

    known_to(compare, options, skip=2)
    if every < 1:
        raise UsageError(f"every must be 1 or more, got {every}.")
    names = [video_name(os.fspath(video)) for video in videos]
    require_others(names)
    if isinstance(source, Run) or (isinstance(source, (str, os.PathLike)) and _is_run(source)):
        if out is None:
            raise UsageError("A run embeds the videos first: say where to, out=FOLDER.")
        files = Events.from_frames([], [{"video": name} for name in names], root=Path(root))
        store: Source = embed(source, files, Path(out, "embeddings"))
    else:
        store = _opened(source)
    tracks = [Track.of_features(name, store.get(name)).every(every) for name in names]
    found = compare(tracks[0], tracks[1:], **options)
    if out is not None:
        if labels is not None and not isinstance(labels, Events):
            labels = read_events(labels)
        shown = [Path(root, name) for name in names] if side_by_side else None
        write_comparison(found, Path(out), files=shown, labels=labels, head=head)
    return found


def _in_words(
    store: Source, text: str, weights: PathLike | None, device: str
) -> NDArray[np.float32]:
    """Return the vector of a text ``[D]`` in the space of a store's features."""
    import numpy as np

    from actionspace.encoders.text_create import text_encoder_of
    from actionspace.training.environment import pick_device

    place = None if weights is None else Path(weights)
    encoder = text_encoder_of(store.fingerprint, weights=place, device=pick_device(device))
    [vector] = encoder.encode([text])
    return np.asarray(vector)


def _is_run(place: PathLike) -> bool:
    return (Path(place) / "config.yaml").is_file()


def _opened(store: PathLike | Source) -> Source:
    """Return the store at a place; one that is open already stays as it is."""
    from actionspace.features.store import FeatureStore

    return FeatureStore.open(Path(store)) if isinstance(store, (str, os.PathLike)) else store
