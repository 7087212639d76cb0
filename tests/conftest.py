"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

# A loaded machine is slow, not wrong.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

REPO = Path(__file__).resolve().parents[1]
SHARED = REPO.parent / "shared"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per core for folders; none to start where a file is asked for, or names match.

    Each imports torch and every test module anew, so no more than four.
    """
    files = any(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    if files or config.option.keyword or config.option.markexpr:
        return 0
    return min(4, len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests where there is no GPU; where processes share files, hand out long ones first.

    torch is imported only if there are GPU tests.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_items:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's cache folder out of the tests."""
    cache = tmp_path_factory.getbasetemp() / "actionspace-cache"
    monkeypatch.setenv("ACTIONSPACE_CACHE", str(cache))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos and annotations that lies beside a development checkout."""
    path = SHARED / "data"
    if not path.is_dir():
        pytest.skip("the shared data folder is not beside this checkout")
    return path


def golden_dirs() -> list[Path]:
    """Where golden cases are taken from: ``ACTIONSPACE_GOLDEN`` alone, else here and shared."""
    override = os.environ.get("ACTIONSPACE_GOLDEN")
    if override:
        return [Path(override)]
    committed = REPO / "tests" / "golden" / "cases"
    return [d for d in (SHARED / "golden", committed) if d.is_dir()]
