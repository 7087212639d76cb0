"""From a published data set as it is unpacked to a manifest."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

from actionspace.datasets.class_order import write_order
from actionspace.errors import DataError, UsageError, did_you_mean
from actionspace.events.columns import feature_files, is_absolute, text_column
from actionspace.events.io import write
from actionspace.events.table import Events


@dataclass(frozen=True)
class DatasetInfo:
    """What ``actionspace list datasets`` says of a data set; ``classes`` are of its first head."""

    name: str
    description: str
    classes: int
    licence: str
    download: str
    options: str


_DATASETS = (
    DatasetInfo(
        "mammalnet",
        "MammalNet: 18,346 trimmed YouTube clips of mammals, 12 behaviours, 173 genera",
        12,
        "videos belong to their YouTube authors; annotation as published by the MammalNet authors",
        "annotation.tar and trimmed_videos.tar.gz of MammalNet, unpacked into one folder",
        "shots=zero|one|five",
    ),
    DatasetInfo(
        "chimpbehave",
        "ChimpBehave (and PanAf500): 20-frame clips of zoo (wild) chimpanzees, 7 behaviours",
        7,
        "lists MIT; videos on the terms of the ChimpBehave and PanAf authors",
        "cross_validation_annotations/ of github.com/MitchFuchs/ChimpBehave and the mini-clips, or "
        "the videos with labels.csv and boxes (cut=true)",
        "fold=1..5|ood|uas subset=chimpbehave|panaf classes=all|head cut=true",
    ),
    DatasetInfo(
        "kinetics700-diff",
        "the 103 classes of Kinetics-700 that Kinetics-600 lacks",
        103,
        "annotation CC BY 4.0; videos belong to their YouTube authors",
        "Kinetics-700 clips of those classes in {train,val}/<class>/, or with the official csv "
        "files, or with k700_diff_{train,val}.txt",
        "val_as_test=false",
    ),
    DatasetInfo(
        "ucf50",
        "UCF50: 6,681 clips of 50 actions, cut from about 25 recordings each",
        50,
        "clips belong to their YouTube authors; on the terms of UCF CRCV",
        "the class folders, unpacked (or download=true: from Kaggle, with kagglehub installed)",
        "split=groups|published|numbers|leave-one-out seed=N fold=N order=sorted download=true",
    ),
    DatasetInfo(
        "ucf101",
        "UCF101: 13,320 clips of 101 actions, three official pairs of lists",
        101,
        "clips belong to their YouTube authors; on the terms of UCF CRCV",
        "UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip, unpacked into one folder",
        "fold=1..3",
    ),
    DatasetInfo(
        "kinetics",
        "Kinetics-400, -600 or -700: YouTube clips of human actions",
        700,
        "annotation CC BY 4.0; videos belong to their YouTube authors",
        "the clips with the official csv files, with lists {train,val}*.txt and a label map, or "
        "in {train,val}/<class>/",
        "val_as_test=false",
    ),
    DatasetInfo(
        "epic100",
        "EPIC-KITCHENS-100: about 90,000 segments of kitchen work; heads verb, noun and action",
        97,
        "CC BY-NC 4.0 (annotation and videos): not for commercial use",
        "EPIC_100_*.csv of github.com/epic-kitchens/epic-kitchens-100-annotations, and the videos "
        "or the rgb_frames or flow_frames",
        "inputs=videos|rgb|flow challenge=true val_as_test=false participants=P01,P02",
    ),
    DatasetInfo(
        "thumos14",
        "THUMOS14: when which of 20 sports happens in 413 untrimmed videos",
        20,
        "videos belong to their YouTube authors; annotation as published by the THUMOS authors",
        "thumos14.json and i3d_features/ of ActionFormer's thumos.tar.gz, or the official folders "
        "of <Class>_{val,test}.txt",
        "features=i3d_features missing=raise leave_out=270,1292,1496",
    ),
    DatasetInfo(
        "activitynet13",
        "ActivityNet 1.3: when which of 200 activities happens in 20,000 untrimmed videos",
        200,
        "annotation MIT; videos belong to their YouTube authors",
        "activity_net.v1-3.min.json, or anet1.3_{tsp,i3d}_filtered.json of ActionFormer's "
        "archives, with tsp_features/ or i3d_features/",
        "features=tsp_features annotation=official|tsp|i3d|bsn missing=raise val_as_test=false",
    ),
    DatasetInfo(
        "hacs",
        "HACS Segments: when which of 200 activities happens in 50,000 untrimmed videos",
        200,
        "annotation on the terms of the HACS authors; videos belong to their YouTube authors",
        "HACS_segments_v1.1.1.json, or the two that TriDet's repository has, with i3d_feature/ or "
        "slowfast_feature/ (a folder for each split; pickles made arrays)",
        "features=i3d_feature annotation=i3d|slowfast missing=raise val_as_test=false",
    ),
    DatasetInfo(
        "epic100-detection",
        "EPIC-KITCHENS-100 detection: when which verb and noun happens in 633 untrimmed videos",
        97,
        "CC BY-NC 4.0 (annotation and videos): not for commercial use",
        "epic_kitchens_100_{verb,noun}.json and features/ of ActionFormer's epic_kitchens.tar.gz, "
        "or the EPIC_100_*.csv",
        "head=verb|noun features=features missing=skip val_as_test=false",
    ),
    DatasetInfo(
        "ego4d-mq",
        "Ego4D Moment Queries: when which of 110 activities happens in egocentric clips",
        110,
        "Ego4D licence, to be signed by each user",
        "ego4d.json as converted for ActionFormer, or moments_{train,val}.json and the features of "
        "whole videos as Ego4D publishes them",
        "features=slowfast_features,egovlp_features raw=slowfast8x8_r101_k400 missing=raise "
        "val_as_test=false",
    ),
    DatasetInfo(
        "multithumos",
        "MultiTHUMOS: the videos of THUMOS14 with dense labels of 65 classes",
        65,
        "annotation MIT; videos belong to their YouTube authors",
        "multithumos.json, or annotations/ and class_list.txt of the official archive, with "
        "THUMOS14's features",
        "features=i3d_features missing=raise",
    ),
    DatasetInfo(
        "pouring",
        "Pouring: 84 videos of pouring, five phases for each frame",
        5,
        "on the terms of its authors (Google, time-contrastive networks)",
        "train.pkl, val.pkl and videos/ as CARL publishes them, or TCC's pouring_*.tfrecord",
        "missing=raise mismatch=raise val_as_test=false",
    ),
    DatasetInfo(
        "pennaction",
        "Penn Action: 2,106 videos of 13 actions, 2 to 6 phases for each frame",
        6,
        "on the terms of the Penn Action authors; phase labels on those of TCC's",
        "train.pkl, val.pkl and videos/ as CARL publishes them; TFRecords; or Penn_Action.tar.gz "
        "and the phase labels, unpacked into one folder",
        "action=squat missing=raise mismatch=raise val_as_test=false",
    ),
    *(
        DatasetInfo(
            f"finegym{gym}",
            f"FineGym: events of gymnastics, frame by frame one of {gym} elements or none",
            gym,
            "annotation CC BY-NC 4.0: not for commercial use; videos belong to their authors",
            f"gym{gym}_*.pkl and processed_videos/ as CARL publishes them, or "
            f"finegym_annotation_info_v1.0.json, gym{gym}_*_element*.txt and the raw videos",
            "additional=true missing=raise mismatch=raise val_as_test=false",
        )
        for gym in (99, 288)
    ),
    DatasetInfo(
        "phases",
        "Your own videos with phases that one or several annotators marked",
        0,
        "yours",
        "videos and labels.json: {video: {annotator: {phase: [[start, end]]}}} in microseconds, as "
        "for TCC's tools",
        "labels=labels.json unit=1e-6",
    ),
)

_MODULES = {
    "mammalnet": "mammalnet",
    "chimpbehave": "chimpbehave",
    "kinetics700-diff": "kinetics700_diff",
    "ucf50": "ucf50",
    "ucf101": "ucf101",
    "kinetics": "kinetics",
    "epic100": "epic100",
    "thumos14": "thumos14",
    "activitynet13": "activitynet13",
    "epic100-detection": "epic100_detection",
    "hacs": "hacs",
    "ego4d-mq": "ego4d_mq",
    "multithumos": "multithumos",
    "pouring": "pouring",
    "pennaction": "pennaction",
    "finegym99": "finegym99",
    "finegym288": "finegym288",
    "phases": "phase_labels",
}


def list_datasets(pattern: str = "*") -> list[DatasetInfo]:
    """Return the data sets whose name fits a shell pattern."""
    return [info for info in _DATASETS if fnmatch(info.name, pattern)]


def class_names(name: str) -> tuple[str, ...]:
    """Return a data set's classes in the order of their ids, () where its own files name them.

    Raises:
        UsageError: there is no such data set.
    """
    classes: tuple[str, ...] = getattr(_module(name), "CLASSES", ())
    return classes


def dataset_events(name: str, source: str | Path, **options: Any) -> Events:
    """Return the manifest of a data set unpacked under ``source`` (its root).

    Raises:
        UsageError: unknown data set or option.
        DataError: the folder does not hold what the data set has; file and row are named.
    """
    source = Path(source)
    manifest: Callable[..., Events] = _module(name).manifest
    known = [p for p in inspect.signature(manifest).parameters if p != "source"]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) or f" It has: {', '.join(known)}."
            raise UsageError(f"The data set '{name}' has no option '{option}'.{hint}")
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; give the folder '{name}' was unpacked into.")
    return manifest(source, **options)


def prepare(name: str, source: str | Path, out: str | Path | None = None, **options: Any) -> Path:
    """Write the manifest of a data set and return its path.

    ``out`` is a ``.csv`` or ``.parquet`` file or a folder; None = ``source/manifest.csv``. Video
    paths are written relative to it; if it does not lie above the videos, reading it needs
    ``root=source``.

    Raises:
        UsageError: unknown data set or option.
        DataError: the folder does not hold what the data set has.
    """
    source = Path(source)
    events = dataset_events(name, source, **options)
    out = Path(out) if out is not None else source / "manifest.csv"
    path = write(_from_above(events, source, out), out)
    order: Callable[..., dict[str, list[str]]] | None = getattr(_module(name), "classes", None)
    if order is not None:
        asked = inspect.signature(order).parameters
        write_order(path, order(source, **{k: v for k, v in options.items() if k in asked}))
    return path


def _from_above(events: Events, source: Path, out: Path) -> Events:
    """Return the events with features found from a manifest that lies above the source.

    Like the root's videos, they are written relative to the folder from which the manifest is read.
    """
    folder = (out if out.suffix == "" else out.parent).resolve()
    source = source.resolve()
    if source == folder or not source.is_relative_to(folder):
        return events
    lead = source.relative_to(folder).as_posix()
    moved = [
        ";".join(f if is_absolute(f) else f"{lead}/{f}" for f in feature_files(text)) or None
        for text in events.videos["features"]
    ]
    return replace(events, videos=events.videos.assign(features=text_column(moved)))


def _module(name: str) -> Any:
    if name not in _MODULES:
        hint = did_you_mean(name, _MODULES) or f" There is: {', '.join(_MODULES)}."
        raise UsageError(f"There is no data set '{name}'.{hint}")
    return import_module(f"actionspace.datasets.{_MODULES[name]}")
