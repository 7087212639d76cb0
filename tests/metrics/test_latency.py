"""Latency: what is timed, what is waited for, what is said."""

from __future__ import annotations

import time

import pytest

from actionspace.errors import UsageError
from actionspace.metrics.latency import measure_latency


def test_slow_calls_show_in_the_95th_percentile_and_warm_up_does_not() -> None:
    made = []

    def call() -> None:
        made.append(len(made))
        time.sleep(0.15 if len(made) <= 2 else 0.03 if len(made) % 10 == 0 else 0.002)

    found = measure_latency(call, batch_size=4, warmup=2, calls=20)
    assert len(made) == 22 and (found.warmup, found.calls) == (2, 20)
    assert 0.002 <= found.median < 0.02 < found.p95 < 0.14
    assert found.per_clip == found.median / 4
    assert found.as_dict()["batch_size"] == 4 and found.as_dict()["per_clip"] == found.per_clip
    assert "per batch of 4" in str(found) and "cpu" in str(found)


@pytest.mark.gpu
def test_work_that_is_only_queued_is_waited_for() -> None:
    import torch

    a = torch.rand(4096, 4096, device="cuda")

    def call() -> None:
        for _ in range(10):
            a @ a

    for _ in range(3):
        call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    queued = time.perf_counter() - start
    torch.cuda.synchronize()
    assert measure_latency(call, batch_size=1, device="cuda").median > 3 * queued


def test_what_cannot_be_measured() -> None:
    with pytest.raises(UsageError, match="calls=0"):
        measure_latency(lambda: None, batch_size=1, calls=0)
    with pytest.raises(UsageError, match="'tpu'"):
        measure_latency(lambda: None, batch_size=1, device="tpu")
