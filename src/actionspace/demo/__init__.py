"""The tours, offline: real rat clips to a classifier or a detector, drawn videos aligned."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import ActionspaceError, UsageError, did_you_mean

if TYPE_CHECKING:
    from actionspace.demo.align import AlignDemoResult
    from actionspace.demo.localize import LocalizeDemoResult

TOURS = ("recognize", "localize", "align")


@dataclass(frozen=True)
class DemoResult:
    """Where the demo's results are and what they say."""

    out: Path
    report: Path
    clips: dict[str, Any]
    untrimmed: dict[str, Any]
    seconds: float

    def summary(self) -> str:
        """Say in a few lines what was measured and where it is."""
        accuracy, low, high = _with_interval(self.clips, "mean_class_accuracy")
        return (
            f"Unseen sessions, {self.clips['protocol']['rows']} clips of six behaviours: "
            f"mean class accuracy {accuracy:.2f} (95 % interval {low:.2f} to {high:.2f}; "
            f"chance 0.17).\n"
            f"Untrimmed video of unseen bouts: {self.untrimmed['frame_accuracy']:.2f} of the time "
            f"labelled rightly, segmental F1@50 {self.untrimmed['segmental_f1@0.50']:.2f}.\n"
            f"The encoder is the small one that ships with the package; see "
            f"`actionspace list encoders` for the real ones.\n"
            f"Done in {self.seconds:.0f} s. Report: {self.report}\n"
            f"Your own videos: actionspace train linear_probe data=clips.csv --out runs/mine"
        )


def _with_interval(metrics: dict[str, Any], name: str) -> tuple[float, float, float]:
    low, high = metrics.get(f"{name}_ci", (float("nan"), float("nan")))
    return metrics[name], low, high


def run(
    tour: str = "recognize", out: Path | None = None
) -> DemoResult | LocalizeDemoResult | AlignDemoResult:
    """Take a tour.

    Args:
        tour: ``recognize`` (clips to a classifier), ``localize`` (long videos to events) or
            ``align`` (the same moments of several videos).
        out: the folder to make; None = ``actionspace-demo``, for other tours with their name.

    Raises:
        UsageError: there is no such tour.
        ActionspaceError: ``out`` holds something that is not a demo.
    """
    if tour == "recognize":
        return run_demo(out or Path("actionspace-demo"))
    if tour == "align":
        from actionspace.demo.align import run_align

        return run_align(out or Path("actionspace-demo-align"))
    if tour != "localize":
        raise UsageError(f"There is no demo '{tour}'.{did_you_mean(tour, TOURS)}")
    from actionspace.demo.localize import run_localize

    return run_localize(out or Path("actionspace-demo-localize"))


def run_demo(out: Path) -> DemoResult:
    """Extract, probe, evaluate, predict an untrimmed video, report; under three minutes on 2 cores.

    Raises:
        ActionspaceError: ``out`` holds something that is not a demo.
    """
    from actionspace.demo.untrimmed import join_bouts
    from actionspace.events import io
    from actionspace.recipes.loader import load_recipe
    from actionspace.recognition.evaluate import evaluate
    from actionspace.recognition.fit import train
    from actionspace.recognition.predict import predictions
    from actionspace.recognition.recipe import RecognitionRecipe
    from actionspace.report.html import write_report

    started = time.monotonic()
    out = Path(out)
    manifest = copy_clips(out / "clips")
    clips = io.read(manifest)
    # Clips are 16 frames, and so is the step: no window straddles a cut between two joined clips.
    recipe = load_recipe("linear_probe", ["clips.hop=16"])
    assert isinstance(recipe, RecognitionRecipe)
    run = train(recipe, data=manifest, out=out / "run", overwrite=True, report=False)
    truth = join_bouts(clips.select(split="test"), out / "untrimmed")
    truth.to_csv(out / "untrimmed" / "truth.csv")
    folder = out / "untrimmed" / "predictions"
    predictions(run, [out / "untrimmed" / "untrimmed.mp4"], out=folder, mode="untrimmed")
    measured = evaluate(folder, data=truth)
    report = write_report(run.path, predictions=[folder], events=clips, truth=truth)
    return DemoResult(out, report, run.metrics, measured, time.monotonic() - started)


def copy_clips(target: Path) -> Path:
    """Copy the packaged clips into ``target`` and return the manifest there."""
    if target.exists() and not (target / "clips.csv").is_file() and any(target.iterdir()):
        raise ActionspaceError(f"{target} holds other files; choose another --out.")
    with resources.as_file(resources.files("actionspace.demo") / "data") as source:
        shutil.copytree(source, target, dirs_exist_ok=True)
    return target / "clips.csv"
