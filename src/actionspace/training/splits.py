"""Who is trained on and who is tested on: the manifest's splits, or splits made by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from actionspace.config import Config
from actionspace.errors import DataError

if TYPE_CHECKING:
    from actionspace.events.table import Events


class SplitConfig(Config):
    """Who is trained on and who is tested on, where the manifest does not say."""

    by: str = "group"
    """Column that must not straddle splits; videos without a value are groups of their own."""
    ratio: tuple[int, int, int] = (70, 15, 15)
    """Shares of train, val and test."""
    seed: int = 0
    """Seed of splits and folds."""


def with_splits(events: Events, config: SplitConfig, say: Callable[[str], None]) -> Events:
    """Return the manifest with a split for each video, made by group where it has none.

    Raises:
        DataError: there are splits and none is called train.
    """
    splits = events.videos["split"]
    if splits.isna().all():
        from actionspace.events.splits import split

        made = split(events, by=config.by, ratio=config.ratio, seed=config.seed)
        counts = made.videos["split"].value_counts()
        say(
            "The manifest has no splits; made by "
            f"{config.by} (seed {config.seed}): "
            + ", ".join(f"{counts.get(name, 0)} videos {name}" for name in ("train", "val", "test"))
        )
        return made
    if not (splits == "train").any():
        have = ", ".join(sorted({str(s) for s in splits.dropna()}))
        raise DataError(f"No video of the manifest has the split 'train'; there is: {have}.")
    if splits.isna().any():
        say(f"{int(splits.isna().sum())} videos have no split and are left out.")
        events = events.select(videos=list(events.videos["video"][splits.notna()]))
    return events
