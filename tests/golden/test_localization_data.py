"""Samples and random windows as the original ActionFormer makes them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.datasets import untrimmed
from actionspace.events.table import Events
from actionspace.features.foreign import open_features
from actionspace.features.joined import JoinedFeatures
from actionspace.localization.data.samples import FeatureSamples, RowOptions
from actionspace.localization.data.truncate import Truncation, truncate
from tests.conftest import golden_dirs

SPLITS = {"training": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Case:
    folder: Path
    entry: dict[str, Any]

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        from safetensors.numpy import load_file

        return load_file(self.folder / self.entry[name])


def _cases(kind: str, file: str) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for root in golden_dirs():
        path = root / "tal" / "manifest_misc.json"
        if path.is_file():
            for entry in json.loads(path.read_text(encoding="utf-8"))["cases"]:
                if entry.get("kind") == kind and (path.parent / entry[file]).is_file():
                    found.setdefault(f"tal-{entry['id']}", Case(path.parent, entry))
    return found


DATASETS = _cases("dataset", "expected")
TRUNCATIONS = _cases("truncate", "io")


def _features(case: Case, events: Events) -> Any:
    o = case.entry["options"]
    folders = [case.folder / f for f in case.entry["feat_folders"]]
    fps = o["default_fps"] or dict(zip(events.videos["video"], events.videos["fps"], strict=True))
    when: dict[str, Any] = {"stride": o["feat_stride"], "window": o["num_frames"], "fps": fps}
    if o["feat_stride"] <= 0:
        lasting = zip(events.videos["video"], events.videos["duration"], strict=True)
        when = {"duration": dict(lasting)}
    parts = [open_features(f, **when, prefix=o["file_prefix"] or "") for f in folders]
    return parts[0] if len(parts) == 1 else JoinedFeatures(parts)


def _samples(case: Case, o: dict[str, Any]) -> FeatureSamples:
    wanted = {SPLITS[s]: SPLITS[s] for s in case.entry["split"]}
    source = case.folder / case.entry["folder"]
    events = untrimmed.database(source / "annot.json", source, wanted)
    events = untrimmed.finish(
        events, source, features=",".join(Path(f).name for f in case.entry["feat_folders"])
    )
    classes = untrimmed.in_order(case.entry["label_dict"])
    anet = case.entry["dataset_name"] == "anet"
    return FeatureSamples(
        events,
        _features(case, events),
        classes if o["num_classes"] > 1 else ["anything"],
        lambda longest: longest,
        rows=RowOptions(o["downsample_rate"], o["max_seq_len"] if o["force_upsampling"] else None),
        train=Truncation(o["max_seq_len"], o["trunc_thresh"], o["crop_ratio"])
        if case.entry["is_training"]
        else None,
        inside=anet,
    )


@pytest.mark.skipif(not DATASETS, reason="no golden/tal data sets here")
@pytest.mark.parametrize("case", DATASETS.values(), ids=list(DATASETS))
def test_samples(case: Case) -> None:
    o = case.entry["options"]
    samples = _samples(case, o)
    assert samples.videos == [item["video_id"] for item in case.entry["items"]]
    source = case.folder / case.entry["folder"]
    ids = untrimmed.class_ids(source / "annot.json")
    assert ids == case.entry["label_dict"]
    named = untrimmed.in_order(ids, o["num_classes"])
    empty = [i for i, name in enumerate(named) if name not in ids]
    assert empty == case.entry["empty_label_ids"]
    expected = case.tensors("expected")
    drawn = random.Random(1234)
    for index, item in enumerate(case.entry["items"]):
        ours = samples.draw(index, drawn.randint)
        theirs = {k: expected[item["prefix"] + k] for k in ("feats", "segments", "labels")}
        np.testing.assert_allclose(ours.features, theirs["feats"], atol=2e-6)
        np.testing.assert_allclose(ours.segments, theirs["segments"], atol=1e-5)
        np.testing.assert_array_equal(ours.labels, theirs["labels"])
        assert ours.grid.step == pytest.approx(item["feat_stride"] / item["fps"])
        assert ours.grid.offset == pytest.approx(
            0.5 * item["feat_num_frames"] / item["feat_stride"]
        )
        assert ours.duration == item["duration"]


def _replay(calls: list[list[int]]) -> Callable[[int, int], int]:
    script = iter(calls)

    def randint(low: int, high: int) -> int:
        asked_low, asked_high, value = next(script)
        assert (low, high) == (asked_low, asked_high)
        return value

    return randint


@pytest.mark.skipif(not TRUNCATIONS, reason="no golden/tal truncation here")
@pytest.mark.parametrize("case", TRUNCATIONS.values(), ids=list(TRUNCATIONS))
def test_truncation(case: Case) -> None:
    tensors = case.tensors("io")
    for run in case.entry["runs"]:
        given = {k: torch.from_numpy(tensors[run["prefix"] + k]) for k in ("feats", "segments")}
        ratio = run["crop_ratio"]
        how = Truncation(
            run["max_seq_len"],
            run["trunc_thresh"],
            ratio and (ratio[0], ratio[1]),
            whole=run.get("no_trunc", False),
        )
        randint = _replay(run["randint_calls"])
        window = truncate(run["T"], given["segments"], run["offset"], how, randint)
        out = {k: tensors[f"{run['prefix']}out_{k}"] for k in ("feats", "segments", "labels")}
        np.testing.assert_array_equal(given["feats"][:, window.start : window.stop], out["feats"])
        np.testing.assert_allclose(window.segments, out["segments"], atol=1e-6)
        labels = tensors[f"{run['prefix']}labels"]
        np.testing.assert_array_equal(labels[window.kept.numpy()], out["labels"])
