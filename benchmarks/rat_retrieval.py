"""Does SCL training bring clips of one behaviour together? Retrieval across sessions, real rats.

    python benchmarks/rat_retrieval.py [../shared/data/rat_behaviour] [--seeds 0 1 2] [--out JSON]
        [--set network.positions=stretched ...]

The sessions are cut into three groups. On each two groups the recipe `align` is trained on the
starter's features (8 frames, hop 1: nine rows to a clip of 16 frames; no labels), and the clips of
the third are embedded: no figure is of a session that was learnt from. There each row is a query,
and AP@5 is the share of its 5 nearest rows *of other sessions of the same group* that are of its
class (CARL's definition, with sessions in place of videos); `clips` is the same with the mean of a
clip's rows. Frozen features are searched in the same way, as they are and with each number
standardised on the training sessions. The six classes that occur in several sessions are used.

Intervals: 95 %, sessions drawn again (`metrics.intervals`); a difference is taken per clip, so that
both sides see the same draws. The seeds of training are averaged per clip first.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from actionspace.alignment.embed import embed
from actionspace.alignment.fit import train
from actionspace.encoders.create import create_encoder
from actionspace.events.splits import folds
from actionspace.events.table import Events
from actionspace.features.extract import extract, views_of
from actionspace.features.store import FeatureStore
from actionspace.metrics.intervals import bootstrap
from actionspace.recipes.loader import load_recipe
from rat_behaviour import HIDDEN, read_clips

GROUPS, K = 3, 5
#: Nine rows a clip; the published block would be longer than that.
SETTINGS = (
    *("sampling.frames=8", "training.epochs=60", "training.batch_size=16"),
    *("training.evaluate_every=60", "rows.frames=8", "rows.hop=1"),
)

Rows = list[np.ndarray]
Hits = dict[str, np.ndarray]
"""AP@5 of each clip ``[clips]``, by ``rows`` and by ``clips``."""


def precision(queries: np.ndarray, found: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Share of each query's K nearest that are of its class ``[queries]``."""
    nearest = np.argsort(cdist(queries, found, "sqeuclidean"), axis=1, kind="stable")[:, :K]
    share: np.ndarray = same[nearest].mean(axis=1)
    return share


def retrieve(rows: Rows, labels: np.ndarray, sessions: np.ndarray) -> Hits:
    """Search the clips of a group, each in its other sessions."""
    hits = {"rows": np.empty(len(rows)), "clips": np.empty(len(rows))}
    means = np.stack([clip.mean(axis=0) for clip in rows])
    for i, clip in enumerate(rows):
        others = np.flatnonzero(sessions != sessions[i])
        same = labels[others] == labels[i]
        gallery = np.concatenate([rows[j] for j in others])
        of_row = np.repeat(same, [len(rows[j]) for j in others])
        hits["rows"][i] = precision(clip, gallery, of_row).mean()
        hits["clips"][i] = precision(means[i : i + 1], means[others], same)[0]
    return hits


def by_chance(labels: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    return np.array(
        [(labels[sessions != s] == label).mean() for label, s in zip(labels, sessions, strict=True)]
    )


def learnt(
    events: Events, test: np.ndarray, store: FeatureStore, seed: int, settings: list[str]
) -> Rows:
    """Train on the sessions outside ``test`` and embed the clips inside."""
    recipe: Any = load_recipe("align", [*SETTINGS, *settings, f"training.seed={seed}"])
    split = np.where(test, "test", "train")
    known = replace(events, videos=events.videos.assign(split=split))
    with tempfile.TemporaryDirectory() as folder:
        run = train(recipe, data=known, features=store, out=Path(folder, "run"), report=False)
        made = embed(run, events.select(mask=test), Path(folder, "embedded"), features=store)
        return [made.get(v).features for v in events.videos["video"][test]]


def figures(hits: np.ndarray, sessions: np.ndarray) -> dict[str, Any]:
    low, high = bootstrap(lambda values: float(values.mean()), hits, groups=sessions, n=5000)
    return {"ap@5": round(float(hits.mean()), 3), "interval95": [round(low, 3), round(high, 3)]}


def measure(
    events: Events, store: FeatureStore, seeds: list[int], settings: list[str]
) -> dict[str, Any]:
    labels = events.rows["label"].to_numpy(dtype=str)
    sessions = events.videos["group"].to_numpy(dtype=str)
    frozen = [store.get(v).features.astype(np.float32) for v in events.videos["video"]]
    group, _ = folds(events, GROUPS)
    sides = ["frozen", "standardised", *(f"scl_{seed}" for seed in seeds)]
    hits = {s: {how: np.full(len(labels), np.nan) for how in ("rows", "clips")} for s in sides}
    chance = np.empty(len(labels))
    for number in range(GROUPS):
        test = group == number
        inside = [clip for clip, on in zip(frozen, test, strict=True) if on]
        outside = np.concatenate([clip for clip, on in zip(frozen, test, strict=True) if not on])
        scale = np.maximum(outside.std(axis=0), 1e-6)
        searched = {"frozen": inside, "standardised": [clip / scale for clip in inside]}
        for seed in seeds:
            searched[f"scl_{seed}"] = learnt(events, test, store, seed, settings)
        chance[test] = by_chance(labels[test], sessions[test])
        for side, rows in searched.items():
            for how, values in retrieve(rows, labels[test], sessions[test]).items():
                hits[side][how][test] = values
    result: dict[str, Any] = {"chance": figures(chance, sessions)}
    for how in ("rows", "clips"):
        scl = np.mean([hits[f"scl_{seed}"][how] for seed in seeds], axis=0)
        result[how] = {
            "frozen": figures(hits["frozen"][how], sessions),
            "standardised": figures(hits["standardised"][how], sessions),
            "scl": figures(scl, sessions),
            "scl_by_seed": [round(float(hits[f"scl_{s}"][how].mean()), 3) for s in seeds],
            "scl_minus_frozen": figures(scl - hits["frozen"][how], sessions),
            "scl_minus_standardised": figures(scl - hits["standardised"][how], sessions),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "rat_behaviour"
    parser.add_argument("data", nargs="?", type=Path, default=default)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], help="options of the recipe")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if not (args.data / "public.csv").is_file():
        raise SystemExit(f"{args.data} has no public.csv; give the folder of the rat clips.")
    clips = read_clips(args.data)
    events = clips.select(mask=(clips.rows["label"] != HIDDEN).to_numpy())
    encoder = create_encoder("starter")
    with tempfile.TemporaryDirectory() as folder:
        views = replace(views_of(encoder), frames=8)
        store = extract(events, encoder, Path(folder, "store"), views=views, hop=1)
        found = measure(events, store, args.seeds, args.set)
    result = {
        "benchmark": "rat_retrieval",
        "queries": len(events),
        "sessions": int(events.videos["group"].nunique()),
        "seeds": args.seeds,
        "settings": [*SETTINGS, *args.set],
    } | found
    text = json.dumps(result, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
