"""The second tour: untrimmed videos of real bouts to events with a begin and an end, offline."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.demo import copy_clips
from actionspace.errors import ActionspaceError

if TYPE_CHECKING:
    from actionspace.events.table import Events

#: Videos of a split, each with all clips of its sessions in another order; learning from many
#: orders helps. How many, and the settings, were chosen by ``benchmarks/localize_demo.py``.
VIDEOS = {"train": 12, "test": 2}
#: Bouts last one to four seconds: a row every 0.16 s places their ends well enough. The clips are
#: few, so the network is small and sees them often.
SETTINGS = (
    "rows.hop=4",
    "auto.most_rows=256",
    *(f"model.{part}_dim=64" for part in ("embed", "neck", "head")),
    "training.epochs=100",
)


@dataclass(frozen=True)
class LocalizeDemoResult:
    """Where the demo's results are and what they say."""

    out: Path
    report: Path
    overlays: tuple[Path, ...]
    metrics: dict[str, Any]
    seconds: float

    def summary(self) -> str:
        """Say in a few lines what was measured and where it is."""
        at = {t: self.metrics[f"map@{t:.2f}"] for t in (0.3, 0.5, 0.7)}
        chance = self.metrics["chance"]["map"]
        return (
            f"Untrimmed videos of unseen sessions: mAP {self.metrics['map']:.2f} over overlaps of "
            f"0.3 to 0.7 ({', '.join(f'{v:.2f} at {t:g}' for t, v in at.items())}).\n"
            f"Segments at random places, as long as annotated events, reach {chance:.2f}.\n"
            f"The encoder is the small one that ships with the package; see "
            f"`actionspace list encoders` for the real ones.\n"
            f"Done in {self.seconds:.0f} s. Report: {self.report}\n"
            f"Look at: {self.overlays[0]}\n"
            f"Your own videos: actionspace train localize data=events.csv --out runs/mine"
        )


def run_localize(out: Path) -> LocalizeDemoResult:
    """Build videos, extract, train ActionFormer, evaluate, report; under ten minutes on 2 cores.

    Raises:
        ActionspaceError: ``out`` holds something that is not a demo.
    """
    from actionspace.events import io
    from actionspace.localization.fit import train
    from actionspace.localization.predict import predictions
    from actionspace.localization.recipe import LocalizationRecipe
    from actionspace.recipes.loader import load_recipe
    from actionspace.report.overlay import write_overlays

    started = time.monotonic()
    out = Path(out)
    clips = io.read(copy_clips(out / "clips"))
    events = untrimmed_videos(clips, out / "videos", VIDEOS)
    manifest = events.to_csv(out / "videos" / "events.csv")
    recipe = load_recipe("localize", SETTINGS)
    assert isinstance(recipe, LocalizationRecipe)
    run = train(recipe, data=manifest, out=out / "run", overwrite=True)
    found = predictions(run, manifest, split="test", out=out / "predictions")
    overlays = write_overlays(found, out / "predictions")
    seconds = time.monotonic() - started
    return LocalizeDemoResult(out, run.report_path, tuple(overlays), run.metrics, seconds)


def untrimmed_videos(clips: Events, out: Path, counts: dict[str, int], *, seed: int = 0) -> Events:
    """Write untrimmed videos of each split's clips and return their events.

    Args:
        clips: with splits by session.
        out: folder for the videos.
        counts: videos per split; each shows all of its clips in another order.
        seed: same seed, same videos.

    Raises:
        ActionspaceError: the folder holds other files.
    """
    from actionspace.demo.untrimmed import join_bouts
    from actionspace.events.table import concat

    if out.is_dir() and any(out.iterdir()) and not (out / "events.csv").is_file():
        raise ActionspaceError(f"{out} holds other files; choose another --out.")
    parts = []
    for k, (split, count) in enumerate(counts.items()):
        part = clips.select(split=split)
        for i in range(count):
            name = f"{split}_{i + 1}.mp4"
            made = join_bouts(part, out, seed=1000 * seed + 100 * k + i, name=name)
            videos = made.videos.assign(split=split, group=Path(name).stem)
            parts.append(dataclasses.replace(made, videos=videos))
    return concat(parts)
