"""Fill a feature store: every video swept once, every clip encoded once, interruptions harmless."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import UsageError, did_you_mean
from actionspace.features.grid import Grid, sources
from actionspace.features.lock import locked
from actionspace.features.packing import BYTES
from actionspace.features.presets import grid_preset
from actionspace.features.run import Run
from actionspace.features.size import LIMIT_GB, measure
from actionspace.features.store import FeatureStore
from actionspace.features.tokens import token_grid
from actionspace.video.clips import Policy
from actionspace.video.views import Views

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events

DECODE_VERSION = 1
"""Raised whenever decoding or resizing gives other pixels than before; part of fingerprints."""


def extract(
    events: Events,
    encoder: Encoder,
    out: str | Path,
    *,
    views: Views | None = None,
    rows: str = "dense",
    hop: int | None = None,
    preset: str | None = None,
    tokens: str | None = None,
    limit_gb: float = LIMIT_GB,
    dtype: str = "float16",
    batch_size: int | None = None,
    precision: str = "auto",
    compile: bool = False,
    policy: Policy = "skip",
    threads: int | None = None,
    stochastic_depth: bool = False,
    seed: int = 0,
    time_limit: float | None = None,
    part_seconds: float = 30.0,
    progress: bool = True,
) -> FeatureStore:
    """Encode a manifest's videos into the store ``out``, going on where an earlier run stopped.

    On one CPU the result is the same byte for byte, however often and wherever a run was
    interrupted; on CUDA in bfloat16 it is the same within 1e-2 (clips of several short videos
    share a batch there).

    Args:
        events: the manifest.
        encoder: as ``create_encoder`` makes it, on the device to use.
        out: the store's folder, new or with the same fingerprint.
        views: clips and crops; the encoder's own clip if ``None``.
        rows: ``"dense"`` = a grid over each video, so that labels may change; ``"events"`` = the
            views of each labelled event.
        hop: frames between dense rows; half of a clip's span if ``None``.
        preset: name of published features on whose grid rows are wanted, see
            :data:`actionspace.features.presets.PRESETS`; takes the place of ``hop`` and of the
            views' frames, stride and fps.
        tokens: what is kept of a clip. ``None`` = one vector, ``"time"`` = one per time step of
            the encoder, ``"4x4"`` = 4 x 4 of them per time step; see :mod:`.tokens`. How large
            they get is said before the work begins.
        limit_gb: gigabytes beyond which tokens are refused; a higher limit confirms them.
        dtype: what is stored, ``"float16"``, ``"float32"`` or ``"int8"`` (see :mod:`.packing`).
        batch_size: clips encoded at once; chosen by device and clip if ``None``.
        precision: ``"auto"`` (bfloat16 on CUDA, float32 elsewhere), ``"float32"``,
            ``"bfloat16"`` or ``"float16"``.
        compile: use ``torch.compile``; worth its minute on a GPU and thousands of clips.
        policy: for bad videos: ``"raise"``, ``"skip"`` (listed in the store, tried again next
            time) or ``"partial"`` (keep the rows that can be decoded).
        threads: decode threads; all cores if ``None``.
        stochastic_depth: compat: leave drop path active, as the original frozen backbones had it.
        seed: of the stochastic depth.
        time_limit: seconds of decoding per file; by its duration if ``None``.
        part_seconds: how often an unfinished video is committed.
        progress: show clips/s, ETA and the share of time spent waiting for data.

    Raises:
        UsageError: an option is not possible, or the tokens are beyond the limit.
        StoreError: the store holds other features, is being written by another process, or
            cannot be written; a feature is NaN or infinite.
        VideoError: a video is bad and the policy is ``raise``.
    """
    from actionspace.features import forward

    _check_options(dtype, policy, batch_size)
    grid = _grid(views or views_of(encoder), rows, hop, preset)
    _check_input(encoder, grid.views)
    compute = forward.compute_dtype(precision, forward.device_of(encoder))
    fingerprint = encoder.identity | grid.as_dict() | _normalisation(encoder)
    fingerprint |= {"decode": DECODE_VERSION, "compute": compute, "dtype": dtype}
    fingerprint["stochastic_depth"] = {"seed": seed} if stochastic_depth else False
    todo = list(sources(events, rows))
    if not todo:
        raise UsageError(f"There is nothing to extract: the manifest has no {rows} rows.")
    if tokens is not None:
        fingerprint["tokens"] = tokens
        fingerprint["token_grid"] = _token_grid(Path(out), fingerprint, encoder, grid.views)
        room = measure(todo, grid, math.prod(fingerprint["token_grid"]), encoder.dim, dtype)
        if progress:
            print(room, file=sys.stderr)
        room.check(limit_gb)
    size = batch_size or forward.default_batch_size(encoder)
    with locked(Path(out)):
        store = FeatureStore.create(out, fingerprint, encoder.licence)
        store.clean()
        run = Run(
            store=store,
            grid=grid,
            forward=forward.Forward(encoder, compute, compile, stochastic_depth, size, tokens),
            dtype=dtype,
            batch_size=size,
            pack=forward.device_of(encoder).type == "cuda" and not stochastic_depth,
            seed=seed,
            part_seconds=part_seconds,
            policy=policy,
            sound=getattr(encoder, "sound", None),
        )
        store.summary = run.run(todo, threads, time_limit, progress)
    if progress:
        print(store.summary, file=sys.stderr)
    return store


def _token_grid(
    out: Path, fingerprint: dict[str, Any], encoder: Encoder, views: Views
) -> list[int]:
    """Return the grid of a store that is being filled already, else ask the encoder."""
    if (out / "store.json").is_file():
        there = FeatureStore.open(out).fingerprint
        if there == fingerprint | {"token_grid": there.get("token_grid")}:
            return list(there["token_grid"])
    return token_grid(encoder, views, fingerprint["tokens"], fingerprint["compute"])


def _grid(views: Views, rows: str, hop: int | None, preset: str | None) -> Grid:
    if preset is None:
        return Grid.of(views, rows, hop)
    if hop is not None or rows != "dense":
        raise UsageError("preset= is a dense grid with a hop of its own; leave out hop= and rows=.")
    chosen = grid_preset(preset)
    return Grid.of(chosen.views(views), rows, chosen.hop)


def views_of(encoder: Encoder) -> Views:
    """Return the single view an encoder asks for."""
    c = encoder.clip
    sizes = {name: getattr(c, name) for name in ("frames", "stride", "size", "short_side")}
    return Views(**sizes, geometry=c.geometry, resize=c.resize, fps=c.fps, flow=c.flow)


def _check_options(dtype: str, policy: str, batch_size: int | None) -> None:
    for name, value, known in (
        ("dtype", dtype, tuple(BYTES)),
        ("policy", policy, ("raise", "skip", "partial")),
    ):
        if value not in known:
            hint = did_you_mean(value, known)
            raise UsageError(f"{name}='{value}' is none of {', '.join(known)}.{hint}")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; expected at least 1 clip.")


def _check_input(encoder: Encoder, views: Views) -> None:
    wants = encoder.clip.input == "flow"
    if wants != (views.flow is not None):
        raise UsageError(
            f"Encoder '{encoder.name}' looks at {encoder.clip.input}, the views show "
            f"{'optical flow' if views.flow else 'pictures'}. Set "
            f"flow={encoder.clip.flow!r} in the views."
        )


def _normalisation(encoder: Encoder) -> dict[str, Any]:
    return {"mean": list(encoder.clip.mean), "std": list(encoder.clip.std)}
