"""What is wrong with features before anybody trains on them: one line per finding, with the fix.

Wrong stride or frames per second are the quiet failure of localization: everything runs, and
nothing is ever found in the right place. Features that end long before or after their videos tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from actionspace.datasets.finding import Finding, Severity, listed, of_event, of_video
from actionspace.errors import StoreError, did_you_mean
from actionspace.events.table import Events
from actionspace.features.joined import Source
from actionspace.features.store import VideoFeatures
from actionspace.localization.data.sample import RowGrid
from actionspace.progress import bar

_SHARE = 0.1  # of a video that its features may lack, or have too much
_MANY = (
    0.5  # share of the videos whose features disagree with their durations: then it is no chance
)


@dataclass(frozen=True)
class _Seen:
    """A video's features: seconds between rows, from the first row's start to the last one's end,
    and of the video; numbers in a row."""

    step: float
    end: float
    duration: float
    dim: int


def check_features(
    events: Events,
    features: Source,
    *,
    dim: int | None = None,
    classes: Sequence[str] | None = None,
    column: str = "label",
) -> list[Finding]:
    """Return everything found, errors first. All features are read.

    Args:
        events: the manifest.
        features: its features.
        dim: length of a vector that the recipe expects; None = that of most videos.
        classes: what the recipe knows; None = whatever occurs.
        column: head column that is learnt.
    """
    found: list[Finding] = []
    seen: dict[str, _Seen] = {}
    durations = dict(zip(events.videos["video"], events.videos["duration"], strict=True))
    for video in bar([str(v) for v in events.videos["video"]], what="check", unit="video"):
        problem = _missing(events, features, video)
        if problem is None:
            try:
                seen[video] = _look(features.get(video), video, float(durations[video]))
            except StoreError as e:
                problem = _finding("error", "features-damaged", str(e), events, video)
        if problem is not None:
            found.append(problem)
    found += _dims(events, seen, dim)
    lengths = list(_lengths(events, seen))
    found += lengths
    if not any(f.code == "features-stride" for f in lengths):  # then all events seem to lie beyond
        found += _beyond(events, seen)
    found += _classes(events, classes, column)
    return sorted(found, key=lambda f: (f.severity != "error", f.file or "", f.row or -1))


def disagreement(events: Events, features: Source, most: int = 20) -> str | None:
    """Return why features cannot be learnt from, if most videos say so.

    The network would be made for rows that few videos have; or stride or frames per second are
    wrong.

    Args:
        events: the manifest.
        features: its features.
        most: videos that are looked at, those of known duration first.
    """
    videos = events.videos.sort_values("duration", kind="stable", key=lambda d: d.isna())
    seen: dict[str, _Seen] = {}
    for video, duration in zip(videos["video"], videos["duration"], strict=True):
        if len(seen) < most and video in features:
            try:
                seen[str(video)] = _look(features.get(video), str(video), float(duration))
            except StoreError:  # whoever reads it to learn from it says so
                continue
    dims = Counter(its.dim for its in seen.values())
    if dims and (usual := dims.most_common(1)[0])[0] != features.dim:
        odd = next((f"'{v}'" for v, its in seen.items() if its.dim == features.dim), "one video")
        return (
            f"features of {odd} have {features.dim} numbers in a row, those of {usual[1]} of "
            f"{len(seen)} videos {usual[0]}: they are of two makes, or some are transposed "
            f"(files.transpose=true). Make them again, or leave such videos out of the manifest."
        )
    wrong = [f for f in _lengths(events, seen) if f.code == "features-stride"]
    return wrong[0].message if wrong else None


def _finding(severity: Severity, code: str, message: str, events: Events, video: str) -> Finding:
    return Finding(severity, code, message, *of_video(events, video))


def _missing(events: Events, features: Source, video: str) -> Finding | None:
    if video in features:
        return None
    reason = features.skipped().get(video)
    if reason is not None:
        message = f"'{video}' was skipped in the extraction: {reason}"
        return _finding("warning", "features-skipped", message, events, video)
    hint = did_you_mean(video, features.videos())
    message = (
        f"'{video}' has no features in {features!r}.{hint} Extract them, or leave it out of the "
        f"manifest."
    )
    return _finding("error", "features-missing", message, events, video)


def _look(found: VideoFeatures, video: str, duration: float) -> _Seen:
    grid = RowGrid.of(found.times, video)
    values = np.asarray(found.features)
    if values.ndim != 2:
        raise StoreError(f"'{video}' has features of shape {list(values.shape)}; expected [N, D].")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise StoreError(
            f"'{video}': row {bad[0]} of its features holds NaN or infinity. Make them again."
        )
    return _Seen(grid.step, float(found.times[-1, 1]), duration, values.shape[1])


def _dims(events: Events, seen: dict[str, _Seen], dim: int | None) -> Iterator[Finding]:
    dims = np.array([s.dim for s in seen.values()], dtype=np.int64)
    if not len(dims):
        return
    wanted = dim or int(np.bincount(dims).argmax())
    for video, its in seen.items():
        if its.dim != wanted:
            source = "the recipe expects" if dim else "most videos have"
            message = (
                f"'{video}' has {its.dim} numbers in a row, {source} {wanted}: its features are "
                f"of another make, or transposed (transpose=true)."
            )
            yield _finding("error", "features-dim", message, events, video)


def _lengths(events: Events, seen: dict[str, _Seen]) -> Iterator[Finding]:
    """Compare where features end with how long videos last."""
    timed = {v: s for v, s in seen.items() if s.duration == s.duration and s.duration > 0}
    wrong = {v: s for v, s in timed.items() if _disagrees(s)}
    ratio = float(np.median([s.end / s.duration for s in timed.values()])) if timed else 1.0
    if len(wrong) > _MANY * len(timed) and abs(ratio - 1) > _SHARE:
        video, its = next(iter(wrong.items()))
        message = (
            f"features of {len(wrong)} of {len(timed)} videos do not last as long as the videos "
            f"(the median is {ratio:.2f} times): stride or fps are wrong, and nothing would be "
            f"found where it is. Rows are {its.step:.4g} s apart as given; "
            f"{its.step / ratio:.4g} s would fit, which is stride or 1/fps times {1 / ratio:.3g}."
        )
        yield _finding("error", "features-stride", message, events, video)
        return
    for video, its in wrong.items():
        message = (
            f"the features of '{video}' end at {its.end:.1f} s, the video at {its.duration:.1f} s: "
            f"they are incomplete, of another version of the video, or at another fps."
        )
        yield _finding("warning", "features-length", message, events, video)


def _disagrees(seen: _Seen) -> bool:
    return abs(seen.end - seen.duration) > max(_SHARE * seen.duration, 4 * seen.step)


def _beyond(events: Events, seen: dict[str, _Seen]) -> Iterator[Finding]:
    """Yield events that begin where the features have ended."""
    for name, video, start in zip(*(events.rows[c] for c in ("id", "video", "start")), strict=True):
        if video in seen and start >= seen[video].end:
            message = (
                f"the event at {start:g} s of '{video}' begins after its features end "
                f"({seen[video].end:.1f} s) and can neither be learnt nor found."
            )
            yield Finding("warning", "event-beyond-features", message, *of_event(events, str(name)))


def _classes(events: Events, classes: Sequence[str] | None, column: str) -> Iterator[Finding]:
    """Yield classes without an event, and labels that training does not have."""
    splits = set(events.videos["split"].dropna())
    have = {s: set(events.select(split=s).classes(column)) for s in splits}
    trained = have.get("train", set(events.classes(column)))
    place = str(events.origin.events_file) if events.origin and events.origin.events_file else None
    for split in sorted(splits - {"train"}):
        unseen = sorted(have[split] - trained)
        if unseen and "train" in have:
            message = (
                f"labels of {split} that no video of train has: {listed(unseen)}; they can never "
                f"be predicted and count as missed."
            )
            yield Finding("warning", "class-untrained", message, place)
    empty = [c for c in classes or () if c not in trained]
    if empty:
        message = f"{len(empty)} classes have no event to learn from: {listed(empty)}."
        yield Finding("note", "class-empty", message, place)
