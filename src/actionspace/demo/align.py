"""The third tour: the same moments of videos of pouring, found without labels, offline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError

if TYPE_CHECKING:
    from actionspace.alignment.timemap import TimeMap
    from actionspace.events.table import Events

#: Videos of a split.
VIDEOS = {"train": 24, "test": 8}
#: Test videos that are aligned: the reference and three others.
ALIGNED = 4
#: Chosen on other videos than those of the demo and of ``benchmarks/align_demo.py``.
SETTINGS = ("training.epochs=60", "evaluation.fractions=[0.1,1.0]")


@dataclass(frozen=True)
class AlignDemoResult:
    """Where the demo's results are and what they say.

    Attributes:
        out: the folder.
        report: of the run.
        alignment: folder with the time map, the curves and the videos in step.
        metrics: of the run, on test videos.
        chance: of each measure.
        handed_on: share of the time that phases handed on from the first test video are right.
        stretched: the same, where the reference's time is stretched evenly.
        seconds: all of it took.
    """

    out: Path
    report: Path
    alignment: Path
    metrics: dict[str, Any]
    chance: dict[str, float]
    handed_on: float
    stretched: float
    seconds: float

    def summary(self) -> str:
        """Say in a few lines what was measured and where it is."""
        told = {"kendall_tau": "Kendall's tau", "phase_accuracy": "phase accuracy"}
        told |= {"retrieval_ap@5": "AP@5 of the phase"}
        raw = self.metrics["raw_features"]
        lines = [
            f"  {words:<18}{self.metrics[name]:9.2f}{raw[name]:9.2f}{self.chance[name]:9.2f}"
            for name, words in told.items()
        ]
        head = f"  {'':<18}{'trained':>9}{'frozen':>9}{'chance':>9}\n"
        return (
            f"{self.metrics['videos']['test']} videos of pouring, seen by cameras and in colours "
            "that training had not:\n"
            + head
            + "\n".join(lines)
            + f"\nPhases handed on from one video to {ALIGNED - 1} others: {self.handed_on:.2f} of "
            f"the time right ({self.stretched:.2f} by stretching time evenly).\n"
            "No label was learnt from. The encoder is the small one that ships with the package; "
            "see `actionspace list encoders` for the real ones.\n"
            f"Done in {self.seconds:.0f} s. Report: {self.report}\n"
            f"Look at: {self.alignment / 'side_by_side.mp4'}\n"
            f"Your own videos: actionspace train align data=videos/ --out runs/mine"
        )


def run_align(out: Path, counts: dict[str, int] = VIDEOS, seed: int = 0) -> AlignDemoResult:
    """Draw videos, extract, train, evaluate, align, report; under ten minutes on 2 cores.

    Args:
        out: folder for all of it.
        counts: videos of ``train`` and ``test``; two test videos at least.
        seed: of the videos and of the training.

    Raises:
        ActionspaceError: ``out`` holds something that is not this demo.
    """
    from actionspace.alignment.compare import compare, write_comparison
    from actionspace.alignment.embed import embed
    from actionspace.alignment.fit import train
    from actionspace.alignment.recipe import AlignmentRecipe
    from actionspace.demo.pouring_videos import pouring_videos
    from actionspace.features.track import Track
    from actionspace.recipes.loader import load_recipe

    started = time.monotonic()
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / "videos" / "events.csv").is_file():
        raise ActionspaceError(f"{out} holds other files; choose another --out.")
    events = pouring_videos(out / "videos", counts, seed=seed)
    manifest = events.to_csv(out / "videos" / "events.csv")
    recipe = load_recipe("align", [*SETTINGS, f"training.seed={seed}"])
    assert isinstance(recipe, AlignmentRecipe)
    run = train(recipe, data=manifest, out=out / "run", overwrite=True)

    names = events.select(split="test").videos["video"].tolist()[:ALIGNED]
    shown = events.select(videos=names)
    store = embed(run, shown, out / "embeddings")
    tracks = [Track.of_features(name, store.get(name)) for name in names]
    found = compare(tracks[0], tracks[1:])
    files = [shown.path(name) for name in names]
    write_comparison(found, out / "alignment", files=files, labels=shown)
    evenly = [stretched(back) for back in found.back]
    return AlignDemoResult(
        out,
        run.report_path,
        out / "alignment",
        run.metrics,
        chance(events.select(split="test")),
        handed_on(shown, found.back),
        handed_on(shown, evenly),
        time.monotonic() - started,
    )


def chance(events: Events) -> dict[str, float]:
    """Return what the measures come to if nothing is known but how long phases last in all."""
    lasting = (events.rows["end"] - events.rows["start"]).groupby(events.rows["phase"]).sum()
    shares = lasting / lasting.sum()
    return {
        "kendall_tau": 0.0,
        "phase_accuracy": float(shares.max()),
        "retrieval_ap@5": float((shares**2).sum()),
    }


def handed_on(truth: Events, maps: Sequence[TimeMap]) -> float:
    """Return the share of the time in which phases that are handed on along maps are right.

    Args:
        truth: phases of all videos; those of the maps' target are handed on.
        maps: from each other video to the labelled one.
    """
    from actionspace.alignment.transfer import transfer_phases

    guess = transfer_phases(truth, maps)
    right = total = 0.0
    for back in maps:
        said = guess.for_video(back.source.name)
        for start, end, phase in truth.for_video(back.source.name)[
            ["start", "end", "phase"]
        ].values:
            same = said[said["phase"] == phase]
            shared = same["end"].clip(upper=end) - same["start"].clip(lower=start)
            right += float(shared.clip(lower=0).sum())
            total += end - start
    return right / total


def stretched(back: TimeMap) -> TimeMap:
    """Return the map that a video and its reference would have if both ran evenly."""
    return replace(back, times=back.source.times * back.target.duration / back.source.duration)
