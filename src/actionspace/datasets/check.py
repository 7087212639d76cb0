"""What is wrong with a manifest, found before training: one line per finding, with row and file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from actionspace.datasets import check_files, check_labels, check_times
from actionspace.datasets.finding import Finding, Info, Inspector, listed, of_video
from actionspace.events.table import Events

__all__ = ["Finding", "Inspector", "check_manifest"]


def check_manifest(
    events: Events,
    *,
    inspect: Inspector | None = None,
    files: bool = True,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> list[Finding]:
    """Return everything found, errors first, then in the order of the file.

    Args:
        events: the manifest.
        inspect: looks at a video file; None = the package's own inspector, which counts packets.
        files: open the videos at all; without it only the tables are checked.
        classes: per head, the labels there should be; None = whatever occurs.
    """
    if len(events.videos) == 0:
        return [Finding("error", "empty", "The manifest lists no videos.", *_file(events))]
    found: list[Finding] = []
    if len(events) == 0:
        found.append(Finding("error", "empty", "The manifest has no events.", *_file(events)))
    infos: dict[str, Info] = {}
    if files:
        found += check_files.check(events, inspect or _inspector(), infos)
    found += check_times.check(events, {v: i.duration for v, i in infos.items()})
    found += check_labels.check(events, classes or {})
    found += _groups(events)
    return sorted(found, key=_rank)


def _rank(finding: Finding) -> tuple[int, str, int]:
    severity = ("error", "warning", "note").index(finding.severity)
    return severity, finding.file or "", finding.row if finding.row is not None else -1


def _file(events: Events) -> tuple[str | None]:
    file = events.origin.events_file if events.origin else None
    return (str(file) if file else None,)


def _inspector() -> Inspector:
    from actionspace.video.inspect import inspect

    return lambda path: inspect(path, exact=False)


def _overlap(events: Events) -> Iterator[Finding]:
    videos = events.videos[events.videos["group"].notna()]
    trained = set(videos["group"][videos["split"] == "train"])
    for split in ("val", "test"):
        groups = videos["group"][videos["split"] == split]
        shared = int(groups.isin(trained).sum())
        if shared:
            message = (
                f"{shared} of {len(groups)} {split} videos ({shared / len(groups):.1%}) are of a "
                f"group that is also trained on: figures on them are too high."
            )
            yield Finding("error", "group-overlap", message, *_file(events))


def _groups(events: Events) -> list[Finding]:
    """Find groups whose videos lie in several splits, and say how much of each split that is."""
    found = list(_overlap(events))
    videos = events.videos[events.videos["group"].notna() & events.videos["split"].notna()]
    for group, part in videos.groupby("group", sort=True):
        splits = list(dict.fromkeys(part["split"]))
        if len(splits) > 1:
            home = Counter(part["split"]).most_common(1)[0][0]
            stray = part["video"][part["split"] != home]
            found.append(
                Finding(
                    "error",
                    "group-leak",
                    f"the group '{group}' lies in {' and '.join(splits)} ({listed(stray)}); keep "
                    f"it in one split, e.g. with `actionspace split --by group`.",
                    *of_video(events, stray.iloc[0]),
                )
            )
    without = events.videos[events.videos["split"].isna()]
    if 0 < len(without) < len(events.videos):
        found.append(
            Finding(
                "warning",
                "no-split",
                f"{len(without)} of {len(events.videos)} videos have no split "
                f"({listed(without['video'])}); they are not used.",
                *of_video(events, without["video"].iloc[0]),
            )
        )
    return found
