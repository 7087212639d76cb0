"""Localization against a sliding-window classifier on the same features, on joined real clips.

    python benchmarks/localize_demo.py [../shared/data] [--clips rats|fights] [--out JSON]
                                       [--work FOLDER] [--tune]

``rats``: bouts of 2-6 clips of one behaviour and session follow each other without a gap.
``fights``: surveillance clips in a random order (in turns, a network would learn to count them);
fights that follow each other are one event, the rest is nothing. Boundaries are exact, test videos
are of other recording sessions (or source videos) than training videos, and those on which settings
were chosen are of others again. Three seeds, each with videos of its own (other bouts in another
order) and another start of the network.

Compared are, on the same dense features of the starter encoder (a row every 0.16 s):

- ``localization``: the recipe ``localize``.
- ``windows``: the linear probe over each row, its probabilities smoothed, decided and merged as
  ``predict`` does with untrimmed videos.
- ``windows_levels``: the same probabilities cut at many thresholds, every run of rows above one
  being a candidate, then non-maximum suppression: more of a chance for a measure that ranks.
- ``chance``: segments at random, with the lengths and classes of the training events.

A video shows all clips of its split once. There are many to learn from, each in another order,
which is how so few clips are made the most of, by every method. Settings were chosen on the
validation videos of the rats' three seeds (``--tune`` measures those chosen); the final ones learn
from training and validation videos. The measure is the mean average precision over temporal IoU
0.3 to 0.7. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actionspace.demo.untrimmed import Bout, bouts, join
from actionspace.encoders.create import create_encoder
from actionspace.events import io
from actionspace.events.nms import Groups, hard_nms
from actionspace.events.postprocess import scores_to_events
from actionspace.events.table import Events, concat
from actionspace.features.extract import extract
from actionspace.features.store import FeatureStore
from actionspace.localization import fit as localization
from actionspace.localization.predict import predictions as detect
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.detection_events import evaluate_events
from actionspace.recipes.loader import load_recipe
from actionspace.recognition import fit as recognition
from actionspace.recognition.data import with_gaps
from actionspace.recognition.predict import predictions as classify
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.predictions import read_predictions

SEEDS = (0, 1, 2)
QUIET = "background"  # what the probe calls time in which nothing happens
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
HOP = 4  # frames of 25 per second
SPAN = 16 / 25  # seconds that a row sees
SIDE = 128  # of the square frames, which is what the encoder looks at
VIDEOS = {"train": 12, "val": 12, "test": 3}
SESSIONS = {
    "val": ("cage1_6_23_21_4", "cage2_6_23_21_4"),
    "test": ("cage1_6_20_22_56", "cage1_6_23_17_5", "cage2_6_22_0_29", "cage2_6_26_22_1"),
}
SMALL = [*(f"model.{part}_dim=64" for part in ("embed", "neck", "head")), "auto.most_rows=256"]
#: What was chosen on the validation videos of the rats, see ``--tune``.
CHOSEN: dict[str, Any] = {
    "windows": {"smooth": 0.16, "min_duration": 1.0, "merge_gap": 0, "threshold": None},
    "windows_levels": {"smooth": 0, "min_duration": 1.0, "merge_gap": 0, "overlap": 0.5},
    "localization": [*SMALL, "training.epochs=100"],
}


# ---- videos -------------------------------------------------------------------------------


def clips_of(data: Path, kind: str) -> pd.DataFrame:
    """The clips: ``video`` (path), ``label``, ``group`` and ``split``."""
    if kind == "rats":
        folder = data / "rat_behaviour"
        table = pd.read_csv(folder / "public.csv").rename(columns={"session": "group"})
        # The class `normal` is in one recording only: nothing could be held out.
        table = table[table["label"] != "normal"]
        split = {group: name for name, groups in SESSIONS.items() for group in groups}
        table["split"] = [split.get(group, "train") for group in table["group"]]
    else:
        folder = data / "fight_surveillance"
        table = pd.read_csv(folder / "public.csv").rename(columns={"source_video": "group"})
        order = {group: k for k, group in enumerate(sorted(table["group"].unique()))}
        # Of five sources in a row one is validated and one tested on.
        split = {3: "val", 4: "test"}
        table["split"] = [split.get(order[group] % 5, "train") for group in table["group"]]
    table["video"] = [str(folder / path) for path in table["path"]]
    return table


def plan(clips: pd.DataFrame, kind: str, seed: int) -> list[Bout]:
    """The bouts of one video, all clips once."""
    if kind == "rats":
        parts = bouts(clips, seed)
        return [Bout(p["label"].iloc[0], tuple(map(Path, p["video"]))) for p in parts]
    mixed = clips.sample(frac=1, random_state=seed)
    runs = mixed.groupby((mixed["label"] != mixed["label"].shift()).cumsum(), sort=True)
    return [
        Bout("fight" if run["label"].iloc[0] == "fight" else None, tuple(map(Path, run["video"])))
        for _, run in runs
    ]


def build(data: Path, kind: str, seed: int, out: Path) -> tuple[Events, FeatureStore]:
    """Write the videos of a seed, encode them; what is there already is used."""
    clips, manifest = clips_of(data, kind), out / "events.csv"
    if not manifest.is_file():
        parts = []
        for k, (split, count) in enumerate(VIDEOS.items()):
            own = clips[clips["split"] == split]
            for i in range(count):
                name = f"{split}_{i}.mp4"
                number = 1000 * seed + 100 * k + i
                made = join(plan(own, kind, number), out, name, size=SIDE)
                videos = made.videos.assign(split=split, group=f"{split}_{i}")
                parts.append(dataclasses.replace(made, videos=videos))
        concat(parts).to_csv(manifest)
    events = io.read(manifest)
    return events, extract(events, create_encoder("starter"), out / "features", hop=HOP)


# ---- the methods --------------------------------------------------------------------------

Scores = dict[str, tuple[np.ndarray, np.ndarray]]
"""Of each video the times ``[N, 2]`` of rows and the probabilities ``[N, C]``."""


def mean_ap(truth: Events, rows: pd.DataFrame) -> dict[str, float]:
    """The measures of predicted rows."""
    columns = ["video", "start", "end", "label", "score"]
    guess = Events.from_frames(rows[columns], truth.videos[["video"]], truth.root)
    found = evaluate_events(truth, guess, THRESHOLDS).metrics()
    return {name: float(v) for name, v in found.items() if name.startswith("map")}


def localize(
    events: Events, store: FeatureStore, seed: int, options: list[str], out: Path
) -> tuple[pd.DataFrame, float]:
    """Detections in the test videos, and the seconds that training and finding them took."""
    began = time.perf_counter()
    recipe = load_recipe("localize", [f"training.seed={seed}", *options])
    assert isinstance(recipe, LocalizationRecipe)
    run = localization.train(
        recipe, data=events, features=store, out=out, overwrite=True, report=False
    )
    found = read_predictions(run.predictions_dir / "test")
    return found.events.rows, time.perf_counter() - began


def window_scores(
    events: Events, store: FeatureStore, out: Path, *, split: str, refit: bool
) -> tuple[Scores, list[str]]:
    """Times ``[N, 2]`` and probabilities ``[N, C]`` of a split's videos, and the classes.

    The penalty is chosen on the validation videos; with ``refit`` they are then learnt from too.
    Time between events, where it lasts half a clip or longer, is a class of its own.
    """
    room = {str(v): (float(d), SPAN / 2) for v, d in events.videos[["video", "duration"]].values}
    events = with_gaps(events, "label", QUIET, room)
    recipe = load_recipe("linear_probe", [f"head.refit={str(refit).lower()}"])
    assert isinstance(recipe, RecognitionRecipe)
    run = recognition.train(
        recipe, data=events, features=store, out=out, overwrite=True, report=False
    )
    found = classify(run, events.select(split=split), features=store, mode="untrimmed")
    logits = found.raw["label"]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = odds / odds.sum(axis=1, keepdims=True)
    scores = {
        str(video): (part[["start", "end"]].to_numpy(), p[part.index.to_numpy()])
        for video, part in found.rows.groupby("video", sort=False)
    }
    return scores, found.classes("label")


def windows(scores: Scores, classes: list[str], setting: dict[str, Any]) -> pd.DataFrame:
    """One decision at each moment, neighbours merged, as ``predict`` does it."""
    none = QUIET if QUIET in classes else None
    tables = [
        scores_to_events(times, p, classes, video=video, background=none, **setting)
        for video, (times, p) in scores.items()
    ]
    return pd.concat(tables, ignore_index=True)


LEVELS = tuple(np.round(np.arange(0.1, 0.95, 0.1), 2))


def windows_levels(scores: Scores, classes: list[str], setting: dict[str, Any]) -> pd.DataFrame:
    """Runs of rows above each of many thresholds, then suppression within a class."""
    setting = dict(setting)
    overlap = setting.pop("overlap")
    tables = []
    for video, (times, p) in scores.items():
        runs = [
            scores_to_events(
                times, p, classes, video=video, threshold=float(level), multi_label=True, **setting
            )
            for level in LEVELS
        ]
        table = pd.concat(runs, ignore_index=True).drop_duplicates(["start", "end", "label"])
        for _, part in table[table["label"] != QUIET].groupby("label"):
            spans = part[["start", "end"]].to_numpy(np.float32)[None]
            own = part["score"].to_numpy(np.float32)[None]
            picks = hard_nms(Groups(spans, own, np.array([len(part)])), iou_threshold=overlap)
            tables.append(part.iloc[picks.numbers[0, : picks.sizes[0]]])
    return pd.concat(tables, ignore_index=True)


def chance(events: Events, seed: int) -> dict[str, float]:
    """Segments with the lengths and classes of the training events, 200 per video, at random."""
    nothing = Events.from_frames([], events.videos, events.root)
    learnt, tested = (
        evaluate_events(events, nothing, THRESHOLDS, split=split) for split in ("train", "test")
    )
    if learnt.classes != tested.classes:
        raise SystemExit("Training and test videos show different classes.")
    found = tested.chance(learnt.result.truth, seed)
    return {name: value for name, value in found.items() if name.startswith("map")}


# ---- choosing and measuring ---------------------------------------------------------------


def grid(last: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Settings of the sliding windows; times in seconds."""
    names = ("smooth", "min_duration", "merge_gap", last)
    every = ((0, 0.16, 0.32, 0.64, 1.0), (0, 0.5, 1.0), (0, 0.4, 1.0), values)
    return [dict(zip(names, v, strict=True)) for v in itertools.product(*every)]


METHODS = {
    "windows": (windows, grid("threshold", (None, 0.2, 0.4, 0.6))),
    "windows_levels": (windows_levels, grid("overlap", (0.3, 0.5, 0.7))),
}


def with_splits(events: Events, names: dict[str, str], *, without: str = "") -> Events:
    """The manifest with splits renamed, and one left out."""
    kept = events.videos["video"][events.videos["split"] != without].tolist()
    part = events.select(videos=kept)
    splits = part.videos["split"].replace(names)
    return dataclasses.replace(part, videos=part.videos.assign(split=splits))


def tune(kind: str, seeds: list[int], data: Path, work: Path, options: list[str]) -> dict[str, Any]:
    """The best settings of the sliding windows by their mean over the seeds' validation videos,
    and what ``localize`` with some options reaches there: each network on those of every seed, for
    it is the start of the network that makes most of the difference.
    """
    reached: dict[str, list[list[float]]] = {name: [] for name in METHODS}
    localized = []
    built = {seed: build(data, kind, seed, work / kind / str(seed)) for seed in seeds}
    for seed, (events, store) in built.items():
        val = events.select(split="val")
        out = work / kind / str(seed) / "tune"
        scores, classes = window_scores(events, store, out, split="val", refit=False)
        for name, (method, settings) in METHODS.items():
            found = [method(scores, classes, setting) for setting in settings]
            reached[name].append([mean_ap(val, f)["map"] if len(f) else 0.0 for f in found])
        part = with_splits(events, {"val": "test"}, without="test")
        localize(part, store, seed, options, out)
        for others, rows in built.values():
            judged = others.select(split="val")
            said = detect(out, judged, features=rows, threshold=0.0)
            localized.append(mean_ap(judged, said.events.rows)["map"])
    best = {}
    for name, (_, settings) in METHODS.items():
        means = np.mean(reached[name], axis=0)
        best[name] = {"map": float(means.max()), "setting": settings[int(means.argmax())]}
    return {**best, "localization": {"map": float(np.mean(localized)), "options": options}}


def measure(kind: str, seed: int, data: Path, work: Path) -> dict[str, Any]:
    """What every method reaches on the test videos of a seed."""
    events, store = build(data, kind, seed, work / kind / str(seed))
    out, truth = work / kind / str(seed) / "run", events.select(split="test")
    scores, classes = window_scores(events, store, out, split="test", refit=True)
    found: dict[str, Any] = {"seed": seed, "test_events": len(truth)}
    for name, (method, _) in METHODS.items():
        found[name] = mean_ap(truth, method(scores, classes, CHOSEN[name]))
    learnt = with_splits(events, {"val": "train"})
    rows, seconds = localize(learnt, store, seed, CHOSEN["localization"], out)
    found["localization"] = mean_ap(truth, rows) | {"seconds": round(seconds, 1)}
    found["chance"] = chance(learnt, seed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--clips", choices=("rats", "fights"), default="rats")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="keep videos, features and runs here")
    parser.add_argument("--tune", action="store_true", help="choose on the validation videos")
    parser.add_argument("--seeds", default="0,1,2")
    args = parser.parse_args()
    if not (args.data / "rat_behaviour" / "public.csv").is_file():
        sys.exit(f"{args.data} has no rat_behaviour/public.csv; give the folder of the clips.")
    logging.getLogger().setLevel(logging.WARNING)
    seeds = [int(s) for s in args.seeds.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        if args.tune:
            chosen = CHOSEN["localization"]
            result: dict[str, Any] = tune(args.clips, seeds, args.data, work, chosen)
        else:
            many = [measure(args.clips, seed, args.data, work) for seed in seeds]
            result = {"benchmark": "localize_demo", "clips": args.clips, "seeds": many}
            names = ("localization", *METHODS, "chance")
            mean = {n: round(float(np.mean([m[n]["map"] for m in many])), 3) for n in names}
            above = {n: round(100 * (mean[names[0]] - mean[n]), 1) for n in METHODS}
            result |= {"mean_map": mean, "points_above": above}
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
