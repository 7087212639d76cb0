"""What was run on what: the facts a reader needs to trust, compare or repeat a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.report.figures_svg import span_text

if TYPE_CHECKING:
    from actionspace.events.table import Events

SPLITS = ("train", "val", "test")
SETTINGS = {
    "name": "name",
    "data set": "dataset",
    "folds": "folds",
    "clips from": "clips.rows",
    "hop": "clips.hop",
    "test clips": "clips.test.clips",
    "geometry": "clips.test.geometry",
    "resize": "clips.resize",
    "precision": "clips.precision",
    "label column": "head.column",
    "class weight": "head.class_weight",
    "refit on all": "head.refit",
    "views averaged by": "evaluation.average",
    "bootstrap": "evaluation.bootstrap",
    "nothing happening": "predict.background",
    "smoothing (s)": "predict.smooth",
}
TRAINING = {
    "batch size": "batch_size",
    "optimiser": "optimizer.name",
    "learning rate": "optimizer.lr",
    "schedule": "schedule.name",
    "warm-up epochs": "schedule.warmup_epochs",
    "average of weights": "ema.decay",
    "seed": "seed",
}
ALL, NONE = "all folds", "no split"
MOST_IN_A_LIST = 8


@dataclass(frozen=True)
class Facts:
    """One card of facts: pairs of name and value, in order."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ClassCount:
    """How many events of a class each split holds, in the order of the splits."""

    name: str
    colour: int
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Events of the class in all splits."""
        return sum(self.counts)


@dataclass(frozen=True)
class Distribution:
    """Events per class and split; videos and groups per split beneath.

    ``leaking`` are the groups that lie in more than one split.
    """

    splits: tuple[str, ...]
    rows: tuple[ClassCount, ...]
    videos: tuple[int, ...]
    groups: tuple[int, ...]
    leaking: tuple[str, ...]

    @property
    def apart(self) -> bool:
        """Whether there is a training split that shares no group with another."""
        return "train" in self.splits and not self.leaking

    @property
    def most(self) -> int:
        """The largest count in the table, at least 1."""
        return max((c for row in self.rows for c in row.counts), default=0) or 1


def facts(
    config: Mapping[str, Any], environment: Mapping[str, Any], metrics: Mapping[str, Any]
) -> list[Facts]:
    """Return the cards of facts; what a run does not say is left out."""
    cards = [
        Facts("Encoder", _pairs(_encoder(config, environment))),
        Facts("Recipe", _pairs(_recipe(config))),
        Facts("Training", _pairs(_training(config, environment))),
        Facts("Machine", _pairs(_machine(environment))),
        Facts("Data", _pairs(_data(config, environment))),
        Facts("Protocol", _pairs(_protocol(metrics))),
        Facts("Versions", _pairs(environment.get("versions") or {})),
    ]
    return [card for card in cards if card.pairs]


def command(config: Mapping[str, Any], environment: Mapping[str, Any], out: Path) -> str:
    """Return the command that makes this run again: the recorded one, else from its recipe file.

    Args:
        config: the resolved recipe.
        environment: what the run ran on; a ``command`` in it wins.
        out: the run folder.
    """
    recorded = environment.get("command")
    if isinstance(recorded, str) and recorded:
        return recorded
    if isinstance(recorded, Sequence) and recorded:
        return shlex.join(str(part) for part in recorded)
    if not config:
        return ""
    data = [] if config.get("data") else ["data=MANIFEST"]
    recipe, again = out / "config.yaml", out.with_name(f"{out.name}-again")
    return shlex.join(["actionspace", "train", str(recipe), *data, "--out", str(again)])


def skipped(*sources: Mapping[str, Any]) -> dict[str, str]:
    """Return the videos that were left out, with reasons, from wherever a run lists them."""
    found: dict[str, str] = {}
    for source in sources:
        listed = source.get("skipped")
        if isinstance(listed, Mapping):
            found |= {str(video): str(reason) for video, reason in listed.items()}
    return dict(sorted(found.items()))


def distribution(
    events: Events, head: str, classes: Sequence[str], folds: bool = False
) -> Distribution:
    """Count events per class and split.

    Args:
        events: the manifest of the run.
        head: which head's labels are counted.
        classes: the model's classes; others of the manifest follow after them.
        folds: the splits of the manifest were not used; all videos count as one.
    """
    from actionspace.events.table import split_labels

    split_of = {
        str(video): ALL if folds else str(split) if isinstance(split, str) and split else NONE
        for video, split in zip(events.videos["video"], events.videos["split"], strict=True)
    }
    known = [s for s in SPLITS if s in split_of.values()]
    splits = known + sorted(set(split_of.values()) - set(known))
    names = list(dict.fromkeys([*classes, *events.classes(head)]))
    counts = {name: dict.fromkeys(splits, 0) for name in names}
    rows = events.rows[events.rows["status"] == "event"]
    for video, text in zip(rows["video"], rows[head], strict=True):
        for name in split_labels(text):
            counts[name][split_of[str(video)]] += 1
    videos = events.videos.assign(split=[split_of[str(v)] for v in events.videos["video"]])
    apart = videos.dropna(subset="group").groupby("group")["split"].nunique()
    by_split = [videos[videos["split"] == s] for s in splits]
    return Distribution(
        tuple(splits),
        tuple(
            ClassCount(name, i, tuple(counts[name][s] for s in splits))
            for i, name in enumerate(names)
        ),
        tuple(len(v) for v in by_split),
        tuple(int(v["group"].nunique()) for v in by_split),
        tuple(sorted(str(g) for g in apart.index[apart > 1])),
    )


def _encoder(config: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    about = environment.get("encoder")
    found = dict(about) if isinstance(about, Mapping) else {"name": about}
    return _flat(
        {
            **found,
            "name": found.get("name") or config.get("encoder"),
            "licence": found.get("licence") or environment.get("licence"),
            "weights": config.get("weights"),
            "trained here": environment.get("trainable_parameters"),
        }
    )


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that change results most; the page holds the whole recipe besides."""
    found = _flat(config)
    return {name: found.get(key) for name, key in SETTINGS.items()}


def _training(config: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long and how a run was trained; nothing of one that was fitted by a solver."""
    if "steps" not in environment:
        return {}
    about = config.get("training")
    found = _flat(about) if isinstance(about, Mapping) else {}
    counts = ("epochs", "best_epoch", "steps", "sessions", "processes", "nodes", "precision")
    seconds = environment.get("training_seconds")
    return {
        **{name: environment.get(name) for name in counts},
        "training time": span_text(seconds) if isinstance(seconds, int | float) else None,
        **{name: found.get(key) for name, key in TRAINING.items()},
    }


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    wall, memory = environment.get("wall_seconds"), environment.get("peak_memory_bytes")
    gpu = environment.get("peak_gpu_memory_bytes")
    found = {
        "device": environment.get("device"),
        "torch device": environment.get("torch_device"),
        "system": environment.get("platform"),
        "cores": environment.get("cpu_count"),
        "threads": environment.get("threads"),
        "wall time": span_text(wall) if isinstance(wall, int | float) else None,
        "peak memory": f"{memory / 2**30:.2f} GiB" if memory else None,
        "peak GPU memory": f"{gpu / 2**30:.2f} GiB" if gpu else None,
    }
    parts = environment.get("parts_seconds")
    if isinstance(parts, Mapping):
        found |= {f"· {name}": span_text(float(s)) for name, s in parts.items()}
    return found


def _data(config: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    about = environment.get("data")
    found = dict(about) if isinstance(about, Mapping) else {}
    if isinstance(found.get("classes"), list):
        found["classes"] = len(found["classes"])
    found = {"manifest": config.get("data"), **found}
    found.setdefault("hash", environment.get("data_hash"))
    found.setdefault("features", config.get("features"))
    return _flat(found)


def _protocol(metrics: Mapping[str, Any]) -> dict[str, Any]:
    about = dict(metrics.get("protocol") or {})
    if isinstance(about.get("classes"), list):
        about["classes"] = len(about["classes"])
    return {name.removeprefix("rules."): value for name, value in _flat(about).items()}


def _flat(values: Mapping[str, Any], depth: int = 2, prefix: str = "") -> dict[str, Any]:
    """Return nested settings on one level, names joined by a dot; empty ones are left out."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth > 0:
            found |= _flat(value, depth - 1, f"{name}.")
        elif isinstance(value, list | tuple) and len(value) > MOST_IN_A_LIST:
            found[name] = f"{len(value)}: {', '.join(str(v) for v in value[:3])}, …"
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(str(v) for v in value)
        elif not isinstance(value, Mapping):
            found[name] = value
    return found


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int) and abs(value) >= 10_000:
            return f"{value:,}".replace(",", "\u202f")
        return str(value)

    return tuple(
        (str(key).replace("_", " "), text(value))
        for key, value in values.items()
        if value is not None and value != ""
    )
