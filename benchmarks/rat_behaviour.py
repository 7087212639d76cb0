"""The starter encoder against a crude baseline, on real rats it has never seen.

    python benchmarks/rat_behaviour.py [../shared/data/rat_behaviour] [--out JSON]

Sessions are kept whole: every clip is predicted by a probe that saw no clip of its session, the
predictions are pooled over five folds, and intervals come from resampling sessions. The headline is
the six classes that occur in several sessions; ``normal`` lives in recordings of its own, so that
grouped folds cannot learn it, and the seven-class figures stand beside it. All rows have the same
probe: multinomial logistic regression on standardised features, its penalty chosen on inner folds
of the training sessions.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd

from actionspace.encoders.create import create_encoder
from actionspace.events.splits import folds
from actionspace.events.table import Events
from actionspace.features.bags import bags
from actionspace.features.extract import extract
from actionspace.heads.logistic import fit_logistic

STRENGTHS = tuple(float(s) for s in np.geomspace(1e-3, 10, 9))
HIDDEN = "normal"
FOLDS = 5
ENCODERS = {"starter": "starter", "untrained": "untrained:starter"}


def read_clips(root: Path) -> Events:
    """The clips of ``public.csv`` with their session as group."""
    table = pd.read_csv(root / "public.csv")
    rows = pd.DataFrame({"video": table["path"], "label": table["label"]})
    videos = pd.DataFrame({"video": table["path"], "group": table["session"]})
    events = Events.from_frames(rows, videos, root=root)
    # One whole-video event per clip, so that rows of both tables are the same clips.
    assert events.rows["video"].tolist() == events.videos["video"].tolist()
    return events


def pixel_motion_box(events: Events) -> np.ndarray:
    """The crude baseline: 12 x 6 grey means, the same of frame differences, two boxes."""
    return np.stack([_crude(events.path(video)) for video in events.videos["video"]])


def _crude(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [
            f.reformat(192, 108, format="gray").to_ndarray() for f in container.decode(video=0)
        ]
    grey = np.stack(frames).astype(np.float32)
    change = np.abs(np.diff(grey, axis=0)).mean(0)
    mean = grey.mean(0)
    # The animal is white: its blob is what is far brighter than the scene.
    bright = mean > mean.mean() + 1.5 * mean.std()
    moving = change > change.mean() + 1.5 * change.std()
    return np.concatenate([_blocks(mean), _blocks(change), _box(bright), _box(moving)])


def _blocks(image: np.ndarray) -> np.ndarray:
    h, w = image.shape
    return image.reshape(6, h // 6, 12, w // 12).mean((1, 3)).ravel()


def _box(mask: np.ndarray) -> np.ndarray:
    """Centre, width, height (5th to 95th percentile) and area of a mask."""
    y, x = np.nonzero(mask)
    if not len(x):
        return np.zeros(5, np.float32)
    x0, x1, y0, y1 = (*np.percentile(x, [5, 95]), *np.percentile(y, [5, 95]))
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, len(x)], np.float32)


def encoder_features(events: Events, name: str) -> np.ndarray:
    """One vector per clip, through the package's own extraction."""
    with tempfile.TemporaryDirectory() as folder:
        store = extract(events, create_encoder(name), Path(folder) / "store", rows="events")
        gathered = bags(events, store)
        return gathered.mean(gathered.features)


def cross_validate(
    events: Events, x: np.ndarray, classes: list[str]
) -> tuple[np.ndarray, list[float]]:
    """Predicted class of every clip by a probe that saw nothing of its session; penalties."""
    y = np.array([classes.index(label) for label in events.rows["label"]])
    fold, _ = folds(events, FOLDS)
    guess, chosen = np.full(len(y), -1), []
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        inner_events = events.select(mask=train)
        inner, _ = folds(inner_events, FOLDS - 1)
        losses = np.zeros(len(STRENGTHS))
        xt, yt = x[train], y[train]
        for j in range(FOLDS - 1):
            logits = _logits(xt[inner != j], yt[inner != j], xt[inner == j], len(classes))
            losses += [_log_loss(z, yt[inner == j]) for z in logits]
        best = int(losses.argmin())
        chosen.append(STRENGTHS[best])
        guess[test] = _logits(xt, yt, x[test], len(classes))[best].argmax(1)
    return guess == y, chosen


def _logits(x: np.ndarray, y: np.ndarray, at: np.ndarray, classes: int) -> np.ndarray:
    path = fit_logistic(x, y, classes=classes, strengths=STRENGTHS, class_weight="balanced")
    return np.einsum("scd,nd->snc", path.weight, at) + path.bias[:, None]


def _log_loss(logits: np.ndarray, y: np.ndarray) -> float:
    z = logits - logits.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    # A class that the inner training folds lack would decide alone; bound what it can cost.
    return float(-np.maximum(log_p[np.arange(len(y)), y], -10).sum())


def bootstrap(values: np.ndarray, groups: np.ndarray, draws: int = 5000) -> tuple[float, float]:
    """95 % interval of the mean of ``values`` when whole groups are drawn again."""
    rng = np.random.default_rng(0)
    _, owner = np.unique(groups, return_inverse=True)
    n = owner.max() + 1
    total, size = np.bincount(owner, values, n), np.bincount(owner, minlength=n)
    picks = rng.integers(0, n, (draws, n))
    means = total[picks].sum(1) / size[picks].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return round(float(low), 3), round(float(high), 3)


def evaluate(events: Events, features: dict[str, np.ndarray]) -> dict[str, object]:
    """Accuracy of each kind of features, and of the starter less each other, with intervals."""
    classes = events.classes()
    groups = events.videos["group"].to_numpy(dtype=str)
    table: dict[str, object] = {
        "clips": len(events),
        "sessions": len(set(groups)),
        "chance": round(1 / len(classes), 3),
    }
    right = {}
    for name, x in features.items():
        hits, penalties = cross_validate(events, x, classes)
        right[name] = hits.astype(float)
        labels = events.rows["label"].to_numpy(dtype=str)
        table[name] = {
            "accuracy": round(float(right[name].mean()), 3),
            "interval95": bootstrap(right[name], groups),
            "recall": {c: round(float(right[name][labels == c].mean()), 2) for c in classes},
            "penalties": penalties,
        }
    for name in right:
        if name != "starter" and "starter" in right:
            gain = right["starter"] - right[name]
            table[f"starter_minus_{name}"] = {
                "accuracy": round(float(gain.mean()), 3),
                "interval95": bootstrap(gain, groups),
            }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "rat_behaviour"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--only", help="comma-separated rows, e.g. baseline,starter")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if not (args.data / "public.csv").is_file():
        sys.exit(f"{args.data} has no public.csv; give the folder of the rat_behaviour clips.")
    events = read_clips(args.data)
    wanted = args.only.split(",") if args.only else ["baseline", *ENCODERS]
    features, seconds = {}, {}
    for name in wanted:
        begun = time.perf_counter()
        if name == "baseline":
            features[name] = pixel_motion_box(events)
        else:
            features[name] = encoder_features(events, ENCODERS[name])
        seconds[name] = round(time.perf_counter() - begun, 1)
    six = events.rows["label"].to_numpy(dtype=str) != HIDDEN
    known = events.select(mask=six)
    result = {
        "benchmark": "rat_behaviour",
        "protocol": f"{FOLDS} session-grouped folds, predictions pooled; "
        "intervals: 95 %, bootstrap over sessions",
        "dims": {k: int(v.shape[1]) for k, v in features.items()},
        "feature_seconds": seconds,
        "six_classes": evaluate(known, {k: v[six] for k, v in features.items()}),
        "seven_classes": evaluate(events, features),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
