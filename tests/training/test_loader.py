"""Batches in order whatever the threads do; bad samples leave them; nothing hangs or leaks."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actionspace.errors import DataError, VideoError
from actionspace.training import loader as loader_module
from actionspace.training.loader import Loader, choose_workers
from actionspace.training.plan import Pass, epoch_batches, epoch_steps, flatten
from actionspace.training.task import Batch

CPU = torch.device("cpu")


@dataclass
class Numbers:
    """Samples whose value is ``epoch * 1000 + index``; loading may be slow, fail or hang."""

    n: int
    bad: frozenset[int] = frozenset()
    before: Callable[[int], None] = lambda index: None
    loads: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.n

    def name(self, index: int) -> str:
        return f"clip{index}.mp4"

    def load(self, index: int, epoch: int) -> int:
        self.loads.append(index)
        self.before(index)
        if index in self.bad:
            raise VideoError(f"clip{index}.mp4: the file is empty.")
        return epoch * 1000 + index

    def collate(self, samples: Sequence[Any]) -> Tensor:
        return torch.tensor(samples)


def cut(n: int, size: int) -> list[Pass]:
    numbers = np.arange(n, dtype=np.int64)
    return [Pass(numbers[i : i + size]) for i in range(0, n, size)]


def blocked(release: threading.Event, at: Sequence[int]) -> Callable[[int], None]:
    """Hang in some samples until released."""

    def before(index: int) -> None:
        if index in at:
            release.wait(20)

    return before


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "actionspace-sample"]


def gone(what: Callable[[], bool], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def told(batches: Sequence[Batch]) -> list[tuple[Any, ...]]:
    return [(b.data.tolist(), b.indices.tolist(), b.weight, b.missing) for b in batches]


@settings(max_examples=25)
@given(
    n=st.integers(1, 20),  # so that substitutes never run out
    size=st.integers(1, 7),
    share=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 1000),
)
def test_batches_do_not_depend_on_threads(n: int, size: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bad = frozenset(np.flatnonzero(rng.random(n) < share).tolist()) - {int(rng.integers(n))}
    delay = rng.random(n) * 0.002
    steps = epoch_steps(epoch_batches(n, 2 * size, seed, 2), size, rank=seed % 2, world=2)
    passes = flatten(steps)
    seen = []
    for workers in (0, 1, 4):
        samples = Numbers(n, bad, before=lambda i: time.sleep(delay[i]))
        loader = Loader(samples, device=CPU, workers=workers)
        batches = list(loader.stream(passes, 2))
        seen.append(told(batches))
        assert set(loader.skipped) <= bad
    assert seen[0] == seen[1] == seen[2]
    assert not threads()
    for one, (data, indices, weight, missing) in zip(passes, seen[0], strict=True):
        asked = one.indices.tolist()
        good = [i for i in asked if i not in bad]
        assert data == [2000 + i for i in indices] and not bad & set(indices)
        assert weight == (0 if one.filler else len(good))
        assert missing == (0 if one.filler else len(asked) - len(good))
        assert indices == good if good else len(indices) == 1


def test_a_table_is_gathered_without_threads() -> None:
    class Table(Numbers):
        def gather(self, indices: np.ndarray, epoch: int) -> Tensor:
            assert not threads()
            return torch.from_numpy(1000 * epoch + indices)

    table = Table(10)
    passes = [*cut(10, 4), Pass(np.array([3]), filler=True)]
    found = told(list(Loader(table, device=CPU, workers=4).stream(passes, 1)))
    assert [f[0] for f in found] == [
        [1000, 1001, 1002, 1003],
        [1004, 1005, 1006, 1007],
        [1008, 1009],
        [1003],
    ]
    assert [f[2:] for f in found] == [(4, 0), (4, 0), (2, 0), (0, 0)] and not table.loads


def test_threads_run_ahead_but_not_far() -> None:
    samples = Numbers(400)
    loader = Loader(samples, device=CPU, workers=2)
    most = 0
    for number, _ in enumerate(loader.stream(cut(400, 4), 0)):
        time.sleep(0.002)
        most = max(most, len(samples.loads) - 4 * (number + 1))
    assert 4 <= most <= 2 * 4 + 2
    assert sorted(samples.loads) == list(range(400))


def test_batches_that_were_used_are_forgotten() -> None:
    loader = Loader(Numbers(12), device=CPU, workers=1)
    stream = loader.stream(cut(12, 2), 0)
    refs = [weakref.ref(next(stream).data) for _ in range(4)]
    gc.collect()
    assert [r() is None for r in refs[:3]] == [True] * 3
    stream.close()


def test_a_bad_sample_is_said_once_and_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    samples = Numbers(6, frozenset({1, 4}))
    loader = Loader(samples, device=CPU, workers=2)
    with caplog.at_level(logging.WARNING, "actionspace"):
        for epoch in range(3):
            batches = list(loader.stream(cut(6, 3), epoch))
            assert [b.missing for b in batches] == [1, 1]
    assert samples.loads.count(1) == samples.loads.count(4) == 1
    assert samples.loads.count(0) == 3
    lines = [r.getMessage() for r in caplog.records]
    assert sorted(lines) == [
        f"Left out: clip{i}.mp4 (clip{i}.mp4: the file is empty.)" for i in (1, 4)
    ]
    assert loader.skipped == {i: f"clip{i}.mp4: the file is empty." for i in (1, 4)}


def test_the_policy_raise_names_the_sample_at_its_turn() -> None:
    seen = []
    with pytest.raises(
        DataError, match=r"clip5.mp4 cannot be loaded: .* is empty.*policy=skip"
    ) as e:
        for batch in Loader(
            Numbers(9, frozenset({5, 7})), device=CPU, workers=3, policy="raise"
        ).stream(cut(9, 2), 0):
            seen += batch.indices.tolist()
    assert seen == [0, 1, 2, 3] and isinstance(e.value.__cause__, VideoError)
    assert gone(lambda: not threads())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bug_is_raised_whatever_the_policy(workers: int) -> None:
    def wrong(index: int) -> None:
        if index == 3:
            raise KeyError("a bug")

    seen = []
    with pytest.raises(KeyError) as e:
        for batch in Loader(Numbers(8, before=wrong), device=CPU, workers=workers).stream(
            cut(8, 2), 0
        ):
            seen += batch.indices.tolist()
    assert seen == [0, 1] and "clip3.mp4" in e.value.__notes__[0]


def test_an_error_in_collate_is_raised() -> None:
    class Ragged(Numbers):
        def collate(self, samples: Sequence[Any]) -> Tensor:
            raise ValueError("not of one size")

    with pytest.raises(ValueError, match="not of one size"):
        list(Loader(Ragged(4), device=CPU, workers=2).stream(cut(4, 2), 0))


@pytest.mark.parametrize("workers", [0, 2])
def test_if_nothing_can_be_loaded_it_ends(workers: int) -> None:
    for n in (3, 1000):
        samples = Numbers(n, frozenset(range(n)))
        with pytest.raises(DataError, match=r"0.mp4: clip0.mp4: the file is empty.*manifest"):
            list(Loader(samples, device=CPU, workers=workers).stream(cut(n, 2), 0))
        assert len(samples.loads) < 150


def test_a_broken_folder_of_neighbours_does_not_end_it() -> None:
    samples = Numbers(400, frozenset(range(100, 300)))
    batches = list(Loader(samples, device=CPU, workers=2).stream(cut(400, 1), 0))
    assert sum(b.weight for b in batches) == sum(b.missing for b in batches) == 200
    assert all(len(b.data) == 1 for b in batches)


def test_a_load_that_hangs_is_given_up() -> None:
    release = threading.Event()
    samples = Numbers(9, before=blocked(release, (2, 3, 8)))
    loader = Loader(samples, device=CPU, workers=2, time_limit=0.5)
    began = time.monotonic()
    batches = list(loader.stream(cut(9, 3), 0))  # both threads hang: others take their place
    assert time.monotonic() - began < 10
    assert [b.indices.tolist() for b in batches] == [[0, 1], [4, 5], [6, 7]]
    assert set(loader.skipped) == {2, 3, 8} and "has not ended for" in loader.skipped[2]
    assert len(threads()) == 3  # nobody can stop them
    release.set()
    assert gone(lambda: not threads())
    with pytest.raises(DataError, match=r"clip0.mp4 cannot be loaded: Loading it has not ended"):
        release.clear()
        strict = Numbers(2, before=blocked(release, (0,)))
        list(
            Loader(strict, device=CPU, workers=1, policy="raise", time_limit=0.5).stream(
                cut(2, 1), 0
            )
        )
    release.set()
    assert gone(lambda: not threads())


def test_a_thread_that_comes_back_late_is_not_kept() -> None:
    release = threading.Event()
    samples = Numbers(40, before=blocked(release, (0,)))
    stream = Loader(samples, device=CPU, workers=1, time_limit=0.5).stream(cut(40, 2), 0)
    assert next(stream).indices.tolist() == [1] and len(threads()) == 2
    release.set()
    assert gone(lambda: len(threads()) == 1)
    assert [b.weight for b in stream] == [2] * 19


def test_waiting_in_the_queue_is_not_silence() -> None:
    samples = Numbers(8, before=lambda i: time.sleep(0.15))
    loader = Loader(samples, device=CPU, workers=1, time_limit=0.8)  # all of them take 1.2 s
    for _ in loader.stream(cut(8, 1), 0):
        time.sleep(0.16)
    list(loader.stream(cut(8, 8), 1))
    assert not loader.skipped


def test_closing_early_stops_the_threads() -> None:
    samples = Numbers(1000, before=lambda i: time.sleep(0.01))
    stream = Loader(samples, device=CPU, workers=4).stream(cut(1000, 8), 0)
    next(stream)
    assert len(threads()) == 4
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 3 and not threads()
    assert len(samples.loads) <= 3 * 8 + 2 * 4
    next(forgotten := Loader(samples, device=CPU, workers=4).stream(cut(1000, 8), 0))
    del forgotten
    gc.collect()
    assert gone(lambda: not threads())


def test_the_consumer_can_be_interrupted() -> None:
    import _thread

    release = threading.Event()
    samples = Numbers(4, before=blocked(release, range(4)))
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    began = time.monotonic()
    threading.Timer(0.4, release.set).start()
    with pytest.raises(KeyboardInterrupt):
        list(Loader(samples, device=CPU, workers=2).stream(cut(4, 2), 0))
    assert time.monotonic() - began < 2 and gone(lambda: not threads())


def test_time_spent_waiting_is_counted() -> None:
    for workers in (0, 1):
        loader = Loader(Numbers(5, before=lambda i: time.sleep(0.02)), device=CPU, workers=workers)
        for _ in loader.stream(cut(5, 1), 0):
            pass
        assert 0.08 < loader.wait_seconds < 1
    loader = Loader(Numbers(5, before=lambda i: time.sleep(0.005)), device=CPU, workers=1)
    for _ in loader.stream(cut(5, 1), 0):
        time.sleep(0.03)
    assert loader.wait_seconds < 0.1


class Pair(NamedTuple):
    a: Tensor
    b: str


@dataclass(frozen=True)
class Box:
    x: Tensor
    notes: list[Tensor]
    total: float = field(init=False, default=1.0)


class Nested(Numbers):
    def collate(self, samples: Sequence[Any]) -> dict[str, Any]:
        x = torch.tensor(samples)
        return {"pair": Pair(x, "name"), "box": Box(x, [x, x + 1]), "plain": (x, None, 3)}


def nested_on(device: torch.device) -> Any:
    return next(Loader(Nested(4), device=device, workers=1).stream(cut(4, 4), 0)).data


def test_nested_batches_move_whole() -> None:
    data = nested_on(torch.device("meta"))
    assert data["pair"].a.is_meta and data["pair"].b == "name" and type(data["pair"]) is Pair
    assert data["box"].x.is_meta and all(t.is_meta for t in data["box"].notes)
    assert data["plain"][0].is_meta and data["plain"][1:] == (None, 3)


@pytest.mark.gpu
def test_batches_come_to_the_gpu() -> None:
    data = nested_on(torch.device("cuda"))
    assert data["pair"].a.device == torch.device("cuda", 0)
    assert data["box"].notes[1].tolist() == [1, 2, 3, 4]


def test_workers_are_chosen_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_workers(3) == (3, "Samples are prepared by 3 threads (as asked).")
    assert choose_workers(0) == (0, "Samples are prepared by the main thread (as asked).")
    monkeypatch.setattr(loader_module, "usable_cores", lambda: 8)
    assert choose_workers(None) == (8, "Samples are prepared by 8 threads (auto: 8 cores).")
    sentence = "Samples are prepared by 2 threads (auto: 8 cores for 4 processes)."
    assert choose_workers(None, processes=4) == (2, sentence)
    assert choose_workers(None, processes=99)[0] == 1
