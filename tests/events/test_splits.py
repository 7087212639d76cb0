from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actionspace.errors import DataError, UsageError
from actionspace.events.splits import folds, notes, single_group_classes, split
from actionspace.events.table import Events


def events_of(groups: dict[str | None, str]) -> Events:
    """One video per letter: ``{"ada": "xxy"}`` = two videos of x and one of y, all of ada."""
    rows: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    for group, letters in groups.items():
        for i, letter in enumerate(letters):
            name = f"{group}/{i}.mp4"
            videos.append({"video": name, "group": group})
            if letter != "-":
                rows.append({"video": name, "label": letter})
    return Events.from_frames(rows, videos)


many = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.text("xyz-", min_size=1, max_size=6),
    min_size=3, max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=25, database=None)
@given(many, st.integers(0, 3))
def test_no_group_straddles_and_every_video_is_assigned(groups: Any, seed: int) -> None:
    events = events_of(groups)
    done = split(events, seed=seed)
    assert set(done.videos["split"]) <= {"train", "val", "test"}
    assert done.videos.groupby("group")["split"].nunique().max() == 1
    assert "train" in set(done.videos["split"])
    assert split(events, seed=seed).equals(done)
    for name, group in single_group_classes(events).items():
        home = done.videos["split"][done.videos["group"] == group]
        assert set(home) == {"train"}, name
    for name in events.classes():
        assert name in done.select(split="train").classes()


@settings(deadline=None, max_examples=25, database=None)
@given(many, st.integers(2, 3), st.integers(0, 3))
def test_folds_are_a_partition_by_group(groups: Any, k: int, seed: int) -> None:
    events = events_of(groups)
    number, _ = folds(events, k, seed=seed)
    assert number.dtype == np.int64 and len(number) == len(events.videos)
    assert set(number) == set(range(k))
    assert events.videos.assign(f=number).groupby("group")["f"].nunique().max() == 1
    assert (folds(events, k, seed=seed)[0] == number).all()


def test_classes_get_their_share() -> None:
    events = events_of({f"g{i}": "xxxyz" for i in range(20)})
    done = split(events)
    counts = Counter(done.videos["split"])
    assert (counts["train"], counts["val"], counts["test"]) == (70, 15, 15)
    assert split(events, ratio=(1, 1)).videos["split"].value_counts().to_dict() == {
        "train": 50,
        "test": 50,
    }
    number, _ = folds(events, 4)
    assert Counter(number) == dict.fromkeys(range(4), 25)


def test_classes_are_balanced_where_groups_differ() -> None:
    """Groups of one class each: every part gets some of every class."""
    events = events_of({f"{c}{i}": c * (1 + i % 3) for c in "xyz" for i in range(10)})
    done = split(events, ratio=(60, 20, 20))
    labels = done.rows["label"].to_numpy()
    where = done.rows["video"].map(done.videos.set_index("video")["split"]).to_numpy()
    for name in "xyz":
        shares = Counter(where[labels == name])
        assert abs(shares["train"] / (labels == name).sum() - 0.6) < 0.11
        assert min(shares["val"], shares["test"]) > 0


def test_videos_without_a_group_stand_alone() -> None:
    events = events_of({None: "xxxxyyyyxxxxyyyyxxxx"})
    assert set(split(events).videos["split"]) == {"train", "val", "test"}
    assert len(set(folds(events, 5, by="video")[0])) == 5


def test_a_class_of_one_group_stays_in_train_and_is_named() -> None:
    events = events_of({"only": "nnnx", "a": "xy", "b": "xy", "c": "xy", "d": "xy"})
    assert single_group_classes(events) == {"n": "only"}
    for seed in range(5):
        done = split(events, ratio=(10, 45, 45), seed=seed)
        assert set(done.videos["split"][done.videos["group"] == "only"]) == {"train"}
    assert folds(events, 3)[1] == notes(events)
    assert "'n' lives in one group only ('only')" in notes(events)[0]


def test_another_seed_is_another_split() -> None:
    events = events_of({f"g{i}": "xy" for i in range(12)})
    assert any(not split(events, seed=s).equals(split(events)) for s in range(1, 4))


def test_wrong_use() -> None:
    events = events_of({"a": "x", "b": "y"})
    with pytest.raises(UsageError, match="Did you mean 'group'"):
        split(events, by="groups")
    with pytest.raises(UsageError, match="train:val:test"):
        split(events, ratio=(0, 1, 1))
    with pytest.raises(UsageError, match="there are 2 groups"):
        folds(events, 3)
    with pytest.raises(DataError, match="no videos"):
        split(Events.from_frames([]))
