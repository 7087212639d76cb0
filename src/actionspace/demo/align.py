"""The third tour: the same moments of videos of pouring, found without labels, offline."""

from __future__ import annotations

import shutil
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
VIDEOS = {"train": 48, "test": 12}
#: Test videos that are aligned: the reference and three others.
ALIGNED = 4
#: Chosen on other videos than those of the demo and of ``benchmarks/align_demo.py``.
SETTINGS = (
    "loss.label_variance=25",
    "training.epochs=150",
    "training.optimizer.weight_decay=0.1",
    "evaluation.fractions=[0.1,1.0]",
)
#: Phase accuracy where the classifier learns from a tenth of the training videos.
FEW = "phase_classification@0.1"


@dataclass(frozen=True)
class AlignDemoResult:
    """Where the demo's results are and what they say.

    Attributes:
        out: the folder.
        report: of the run.
        alignment: folder with the time map, the curves and the videos in step.
        aligned: the reference and the videos that were aligned with it.
        metrics: of the run, on test videos.
        chance: of each measure.
        handed_on: share of the time that phases handed on from the first test video are right.
        stretched: the same, where the reference's time is stretched evenly.
        seconds: all of it took.
    """

    out: Path
    report: Path
    alignment: Path
    aligned: tuple[str, ...]
    metrics: dict[str, Any]
    chance: dict[str, float]
    handed_on: float
    stretched: float
    seconds: float

    def summary(self) -> str:
        """Say in a few lines what was measured and where it is."""
        videos, raw = self.metrics["videos"], self.metrics["raw_features"]
        told = {
            "kendall_tau": "Kendall's tau",
            "retrieval_ap@5": "AP@5 of the phase",
            "phase_accuracy": f"phase accuracy, {videos['train']} videos labelled",
            FEW: f"phase accuracy, {max(1, videos['train'] // 10)} of them labelled",
        }
        table = [f"  {'':<36}{'trained':>9}{'frozen':>9}{'chance':>9}"]
        for name, words in told.items():
            values = self.metrics[name], raw[name], self.chance[name]
            table.append(f"  {words:<36}" + "".join(map(_cell, values)))
        return (
            f"{videos['test']} videos of pouring, by cameras and in colours not trained on:\n"
            + "\n".join(table)
            + f"\nPhases handed on from one of them to {len(self.aligned) - 1} others are right "
            f"{self.handed_on:.2f} of the time ({self.stretched:.2f} by stretching time evenly).\n"
            "Training saw no label. The encoder is the small one that ships with the package; see "
            "`actionspace list encoders` for the real ones.\n"
            f"Done in {self.seconds:.0f} s. Report: {self.report}\n"
            f"Look at: {self.alignment / 'side_by_side.mp4'}\n"
            f"Your own videos: actionspace train align data=videos/ --out runs/mine"
        )


def run_align(out: Path, counts: dict[str, int] = VIDEOS, seed: int = 0) -> AlignDemoResult:
    """Draw videos, extract, train, evaluate, align, report; about four minutes on 2 cores.

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
    shutil.rmtree(out / "embeddings", ignore_errors=True)  # of a run before
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
        tuple(names),
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
        FEW: float(shares.max()),
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


def _cell(value: float | None) -> str:
    """Return a figure of a table; tau, for one, may be undefined."""
    return f"{'-':>9}" if value is None else f"{value:9.2f}"


def stretched(back: TimeMap) -> TimeMap:
    """Return the map that a video and its reference would have if both ran evenly."""
    return replace(back, times=back.source.times * back.target.duration / back.source.duration)
