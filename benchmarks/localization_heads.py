"""Which head for which events: four models on one made-up data set, and every option of the first.

    python benchmarks/localization_heads.py [--part models|options|more] [--only NAMES]
                                            [--seeds 0,1,2] [--work FOLDER] [--out JSON]

The data set (`made_up_events.py`) has 40 videos for training, 10 for validation and 20 for tests,
of 100 s each; a seed draws other videos and starts another network. Every network has 32 channels
and four levels and trains for 30 epochs, some 15 s on one core.

- ``models``: ActionFormer, TBTFormer (``head=boundaries``), SnapFormer (``head=points``) and TriDet
  (``sgp`` and ``trident``) on clean segments, on segments whose training annotations have jittered
  ends, and on moments. On moments, models of segments learn events of half a second to each side of
  them, and the centre of what they find is scored. SnapFormer learns the starts of segments.
- ``options``: ActionFormer on clean segments with one option changed at a time. Those that act
  after training are tried on the runs there are; what has a value to choose (temperature, widths by
  class) is chosen on the validation videos.
- ``more``: SnapFormer's necks and levels on moments; on clean segments other bins and another
  backbone of TBTFormer, TriDet's initialisation, attention over all of the video, regression ranges
  from the data; and how far scores are from probabilities before and after ``calibrate``.

Measured in the test videos, always against clean annotations: ``map`` over temporal IoU 0.3 to 0.7;
``boundary_error``, the mean distance in seconds of the ends of events that are found (IoU of one
half); ``point_map`` of starts (of moments: of moments) within 0.1, 0.2, 0.5, 1 and 2 s, and
``timing_error`` of those found within 2 s. With ``--out``, runs that are in the file already are
not done again. Prints one JSON object: mean and standard deviation over the seeds, and for options
those of the differences from the base of the same seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import made_up_events as made_up
from actionspace.events.table import Events
from actionspace.localization.calibrate import calibrate
from actionspace.localization.detection.threshold import judged
from actionspace.localization.evaluate import predict_split, recipe_of
from actionspace.localization.fit import train
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.metrics.calibration import reliability
from actionspace.metrics.detection_events import DetectionEvaluation, evaluate_events
from actionspace.metrics.point_events import evaluate_point_events
from actionspace.training.run import Run

Options = dict[str, Any]

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
FOUND = THRESHOLDS.index(0.5)
SURE = 0.3  # score of detections whose predicted standard deviations are averaged
WIDENED = 0.5  # seconds to each side of a moment, for models of segments
BASE: Options = {
    "name": "heads",
    "device": "cpu",
    "files": {"stride": made_up.STRIDE},
    "model": {
        **dict.fromkeys(("embed_dim", "neck_dim", "head_dim"), 32),
        **{"embed_layers": 1, "stem_blocks": 1, "branch_blocks": 3, "heads": 2, "windows": 9},
        **{"max_length": 256, "buffer_factor": 2.0},
        "regression_ranges": [[0, 4], [4, 8], [8, 16], [16, 10_000]],
    },
    "loss": {"initial_norm": 60},
    "training": {
        **{"epochs": 30, "batch_size": 4, "evaluate_every": 30, "clip_norm": 1.0},
        "optimizer": {"lr": 2e-3, "weight_decay": 0.05},
        "schedule": {"warmup_epochs": 3, "warmup": "before"},
        "ema": {"decay": 0.98},
        **{"workers": 0, "tensorboard": False},
    },
    "evaluation": {"bootstrap": 0, "thresholds": THRESHOLDS},
}
FINEST = {"levels": "finest"}
MODELS: dict[str, Options] = {
    "actionformer": {},
    "tbtformer": {"model": {"head": "boundaries"}, "auto": {"boundaries": True}},
    "snapformer": {"model": {"head": "points"}},
    "tridet": {
        "model": {"backbone": "sgp", "head": "trident"},
        "loss": {"trident": {"iou_power": 0.2}},
        "sampling": {"enlarged": False},
    },
}
OPTIONS: dict[str, Options] = {
    "transformer_v2": {"model": {"backbone": "transformer_v2", "v2": {"kv_heads": 1}}},
    "fpn": {"model": {"neck": "fpn"}},
    "cs_fpn": {"model": {"neck": "cs_fpn"}},
    "head_layers 4": {"model": {"head_layers": 4}},
    "head_layers 4, head_skip": {"model": {"head_layers": 4, "head_skip": True}},
    "regression giou (= iou)": {"loss": {"regression": "giou"}},
    "regression eiou": {"loss": {"regression": "eiou"}},
    "regression focal": {"loss": {"regression": "focal"}},
    "regression_by_overlap": {"loss": {"regression_by_overlap": True}},
    "quality_focal": {"loss": {"classification": "quality_focal"}},
}
TRIDENT = {"backbone": "sgp", "head": "trident"}
POINTS, CROSS = {"head": "points"}, {"head": "points", "neck": "cs_fpn"}
SPREAD: Options = {"auto": {"boundaries": True}}
MORE: dict[tuple[str, str], Options] = {
    ("instants", "snapformer, cs_fpn"): {"model": CROSS},
    ("instants", "snapformer, fpn"): {"model": POINTS | {"neck": "fpn"}},
    ("instants", "snapformer, cs_fpn, finest"): {"model": CROSS | {"points": FINEST}},
    ("clean", "tridet, init_std 0.1"): MODELS["tridet"]
    | {"model": TRIDENT | {"sgp": {"init_std": 0.1}}},
    ("clean", "tbtformer, bins of one cell"): {"model": {"head": "boundaries"}},
    ("clean", "tbtformer, scaled backbone"): SPREAD
    | {"model": {"head": "boundaries", "neck": "cs_fpn", "heads": 8, "hidden_dim": 192}},
    ("clean", "attention over all"): {"model": {"windows": -1}},
    ("clean", "ranges coverage"): {"auto": {"ranges": "coverage"}},
    ("clean", "ranges percentile"): {"auto": {"ranges": "percentile"}},
}


def _suppression(**changes: Any) -> Options:
    return {"suppression": changes}


AFTER: dict[str, Options] = {
    "suppression diou": _suppression(method="diou"),
    "suppression diou_in_order": _suppression(method="diou_in_order"),
    "suppression hard": _suppression(method="hard"),
    "suppression none": _suppression(method="none"),
    "windows of 128 rows": {"predict": {"window": 128}},
    "windows of 64 rows": {"predict": {"window": 64}},
}
CHOSEN = {"temperature": (0.5, 0.7, 1.0, 1.5, 2.0), "sigma": (0.2, 0.35, 0.5, 0.75, 1.0)}


# ---- one run ------------------------------------------------------------------------------


def recipe_with(*options: Options, seed: int) -> LocalizationRecipe:
    """The small configuration with sections changed, last ones first."""
    values = json.loads(json.dumps(BASE))
    for section, changes in (item for some in options for item in some.items()):
        values[section] = values.get(section, {}) | changes
    values["training"]["seed"] = seed
    return LocalizationRecipe.model_validate(values)


@cache
def data_of(work: Path, seed: int) -> dict[str, Events]:
    return made_up.make(work / f"data{seed}", 100 + seed)


def learnt_from(variant: str, seed: int, work: Path, points: bool) -> Events:
    """The annotations a model is trained and tested on; only those of training are jittered."""
    data = data_of(work, seed)
    if variant == "instants":
        return data[variant] if points else made_up.widened(data[variant], WIDENED)
    clean, videos = data["clean"], data["clean"].videos
    learnt = set(videos["video"][videos["split"] == "train"])
    rows = clean.rows.copy()
    here = rows["video"].isin(learnt)
    rows.loc[here, ["start", "end"]] = data[variant].rows.loc[here, ["start", "end"]]
    return replace(clean, rows=rows)


def features_of(variant: str, seed: int, work: Path) -> Path:
    return work / f"data{seed}" / ("instants" if variant == "instants" else "segments")


def trained(name: str, variant: str, seed: int, work: Path, options: Options) -> Run:
    """A run of some options; one that is there is taken."""
    out = work / "runs" / f"{variant}-{name}-{seed}".replace(" ", "_")
    if (out / "metrics.json").is_file():
        return Run.open(out)
    moment = {"at": "center" if variant == "instants" else "start"}
    recipe = recipe_with(options, seed=seed)
    points = recipe.model.head == "points"
    if points:
        model = options["model"]
        about = {"points": moment | model.get("points", {})}
        recipe = recipe_with(options, {"model": model | about}, seed=seed)
    return train(
        recipe,
        out=out,
        data=learnt_from(variant, seed, work, points),
        features=features_of(variant, seed, work),
        overwrite=True,
        report=False,
    )


def found_by(
    run: Run, variant: str, seed: int, work: Path, split: str, changed: Options | None = None
) -> Events:
    """What a run finds in a split, with other options of what comes after training."""
    recipe = recipe_of(run, device="cpu")
    values = recipe.model_dump()
    for section, some in (changed or {}).items():
        values[section] |= some
    recipe = LocalizationRecipe.model_validate(values)
    points = recipe.model.head == "points"
    events = learnt_from(variant, seed, work, points)
    features = features_of(variant, seed, work)
    return predict_split(run, recipe, events, split, features=features).events


def measures(found: Events, truth: Events, points: bool) -> dict[str, float]:
    """What is found against annotations (of one split); of moments without overlaps."""
    at = "center" if (truth.rows["start"] == truth.rows["end"]).all() else "start"
    moments = evaluate_point_events(truth, found, at=at)
    out = moments.metrics() | {"timing_error": moments.timing()["timing_error"]}
    if points or at == "center":
        return out
    segments = evaluate_events(truth, found, THRESHOLDS)
    return {**out, **segments.metrics(), "boundary_error": boundary_error(segments)}


def boundary_error(segments: DetectionEvaluation) -> float:
    """Mean distance in seconds of both ends of events that the best of their detections finds."""
    result = segments.result
    which = result.found[:, FOUND]
    hits = which >= 0
    return float(np.abs(result.guess.spans[hits] - result.truth.spans[which[hits]]).mean())


def one(name: str, variant: str, options: Options, seed: int, work: Path) -> dict[str, float]:
    """Train, and measure in the test videos."""
    began = time.process_time()
    run = trained(name, variant, seed, work, options)
    seconds = time.process_time() - began
    points = options.get("model", {}).get("head") == "points"
    data = data_of(work, seed)
    clean = "instants" if variant == "instants" else "clean"
    found = found_by(run, variant, seed, work, "test")
    out = measures(found, data[clean].select(split="test"), points)
    if variant == "jittered":
        against = measures(found, data["jittered"].select(split="test"), points)
        keys = [key for key in ("map", "point_map") if key in against]
        out |= {f"{key} (jittered truth)": against[key] for key in keys}
    if "start_std" in found.rows:  # of what is not mere background
        out |= {key: run.metrics[key] for key in ("boundary_coverage", "boundary_interval")}
        sure = found.rows.loc[found.rows["score"] > SURE, ["start_std", "end_std"]]
        out["boundary_std"] = float(sure.to_numpy().mean())
    out["parameters"] = float(run.environment["trainable_parameters"])
    return out | {"cpu_seconds": round(seconds, 1)}


# ---- what acts after training --------------------------------------------------------------


def after(name: str, seed: int, work: Path) -> dict[str, float]:
    """Options of the run of ActionFormer that need no other training."""
    run = trained("actionformer", "clean", seed, work, {})
    clean = data_of(work, seed)["clean"]

    def reached(changed: Options, split: str = "test") -> dict[str, float]:
        found = found_by(run, "clean", seed, work, split, changed)
        return measures(found, clean.select(split=split), points=False)

    if name in AFTER:
        return reached(AFTER[name])
    if name in CHOSEN:
        tried = {v: reached(_suppression(**{name: v}), "val")["map"] for v in CHOSEN[name]}
        chosen = max(tried, key=tried.__getitem__)
        return reached(_suppression(**{name: chosen})) | {name: chosen}
    truth = clean.select(split="val")
    widths: dict[str, float] = {}
    for label in made_up.CLASSES:
        tried = {
            sigma: class_ap(
                found_by(run, "clean", seed, work, "val", _suppression(class_sigma={label: sigma})),
                truth,
                label,
            )
            for sigma in CHOSEN["sigma"]
        }
        widths[label] = max(tried, key=tried.__getitem__)
    told = {f"sigma {label}": width for label, width in widths.items()}
    return reached(_suppression(class_sigma=widths)) | told


def calibration(offset: bool, seed: int, work: Path) -> dict[str, float]:
    """Expected calibration error in the test videos, before and after ``calibrate``."""
    run = trained("actionformer", "clean", seed, work, {})
    events = learnt_from("clean", seed, work, points=False)
    features = features_of("clean", seed, work)

    def ece(run: Run) -> float:
        recipe = recipe_of(run, device="cpu")
        found = predict_split(run, recipe, events, "test", features=features)
        return reliability(*judged(found, recipe)[:2]).ece

    with tempfile.TemporaryDirectory() as folder:
        copy = Run(Path(shutil.copytree(run.path, Path(folder) / "run")))
        before = ece(copy)
        fitted = calibrate(copy, events, offset=offset, features=features)
        about = {"temperature": fitted["temperature"], "offset": fitted["offset"]}
        return {"ece before": before, "ece after": ece(copy), **about}


def class_ap(found: Events, truth: Events, label: str) -> float:
    """Average precision of one class."""
    table = evaluate_events(truth, found, THRESHOLDS).per_class().set_index("class")
    return float(table.loc[label, "ap"])


# ---- the parts -----------------------------------------------------------------------------


def tasks(part: str) -> dict[str, Callable[[int, Path], dict[str, float]]]:
    """What is measured, by name; called with a seed and the folder of runs."""
    if part == "models":
        return {
            f"{variant}/{name}": partial(one, name, variant, options)
            for variant in made_up.VARIANTS
            for name, options in MODELS.items()
        }
    if part == "options":
        rows = {name: partial(one, name, "clean", options) for name, options in OPTIONS.items()}
        later = {name: partial(after, name) for name in (*AFTER, *CHOSEN, "class_sigma")}
        return {"base": partial(one, "actionformer", "clean", {})} | rows | later
    rows = {
        f"{variant}/{name}": partial(one, name, variant, options)
        for (variant, name), options in MORE.items()
    }
    scores = {"calibrate": False, "calibrate, offset": True}
    return rows | {f"clean/{name}": partial(calibration, how) for name, how in scores.items()}


def summary(results: dict[str, dict[str, dict[str, float]]], base: str | None) -> dict[str, Any]:
    """Mean and standard deviation over the seeds; with a base, also of differences from it."""
    out: dict[str, Any] = {}
    for name, seeds in results.items():
        keys = [key for key in next(iter(seeds.values())) if all(key in s for s in seeds.values())]
        out[name] = {key: _spread([s[key] for s in seeds.values()]) for key in keys}
        if base in results and name != base:
            both = [s for s in seeds if s in results[base]]
            for key in ("map", "map@0.70", "boundary_error"):
                apart = [seeds[s][key] - results[base][s][key] for s in both]
                out[name][f"{key} - base"] = _spread(apart)
    return out


def _spread(values: list[float]) -> list[float]:
    return [round(float(np.mean(values)), 4), round(float(np.std(values)), 4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("models", "options", "more"), default="models")
    parser.add_argument("--only", help="names, with semicolons between them")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--work", type=Path, help="keep data and runs here")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    logging.getLogger("actionspace").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    kept = args.out is not None and args.out.is_file()
    results: dict[str, Any] = json.loads(args.out.read_text())["runs"] if kept else {}
    base = "base" if args.part == "options" else None
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        for seed in args.seeds.split(","):
            for name, measure in tasks(args.part).items():
                wanted = args.only is None or name in args.only.split(";")
                if not wanted or seed in results.get(name, {}):
                    continue
                results.setdefault(name, {})[seed] = measure(int(seed), work)
                text = {"benchmark": "localization_heads", "part": args.part, "runs": results}
                if args.out:
                    args.out.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"part": args.part, "mean_std": summary(results, base)}, indent=1))


if __name__ == "__main__":
    main()
