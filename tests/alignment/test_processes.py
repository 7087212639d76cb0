"""Networks with weights that never get a gradient, and steps of one action, in two processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actionspace.alignment.fit import _refuse_lonely
from actionspace.errors import UsageError
from tests.alignment import phased
from tests.alignment.process_worker import NETWORKS, work
from tests.processes import ONE_NODE, torchrun


@pytest.mark.slow
def test_two_processes_train_networks_that_are_used_in_part(tmp_path: Path) -> None:
    child = torchrun(tmp_path, ONE_NODE, work, tmp_path)
    assert child.end() == 0, child.err.read_text()
    for name in NETWORKS:
        ranks = [json.loads((tmp_path / f"{name}-rank{k}.json").read_text()) for k in range(2)]
        assert ranks[0]["sums"] == ranks[1]["sums"]
        assert ranks[0]["actions"] == ranks[1]["actions"]  # both share each step's action
        assert len(ranks[0]["actions"]) == 6
        assert all(len(actions) == 1 for actions in ranks[0]["actions"])


def test_processes_with_one_video_each_are_refused() -> None:
    pairs = phased.recipe(loss={"name": "tcc"}, training={"batch_size": 2})
    _refuse_lonely(pairs, 1)
    with pytest.raises(UsageError, match="batch_size=4 or more"):
        _refuse_lonely(pairs, 2)
    _refuse_lonely(phased.recipe(training={"batch_size": 2}), 2)  # scl compares views
