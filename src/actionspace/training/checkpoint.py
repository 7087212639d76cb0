"""The state a training goes on from, and weights that are kept.

``state.pt`` holds everything the next step depends on. It is written beside the one before and
takes its place whole; that one stays as ``state-before.pt``, in case the disk lies. Weights that
are kept (the best, or every n-th epoch) lie in ``checkpoints/`` as safetensors.
"""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actionspace.errors import RunError
from actionspace.paths import atomic_path, plain
from actionspace.training.run import STATES, Run

log = logging.getLogger("actionspace")

FORMAT = 1
STATE, BEFORE = STATES


def save_state(run: Run, state: Mapping[str, Any]) -> None:
    """Write the state atomically, keeping the one before."""
    path = run.path / STATE
    with atomic_path(path) as tmp:
        torch.save({"format": FORMAT, **state}, tmp)
        if path.is_file():
            os.replace(path, run.path / BEFORE)  # noqa: PTH105 (one rename, then the other)


def load_state(run: Run) -> dict[str, Any]:
    """Return the newest whole state of a run, on the CPU.

    A damaged one is named in the log and passed over.

    Raises:
        RunError: there is none, or none is whole.
    """
    broken: list[str] = []
    for name in (STATE, BEFORE):
        path = run.path / name
        if not path.is_file():
            continue
        state = _read(path)
        if state is None:
            broken.append(name)
            continue
        if broken:
            log.warning(f"{run.path / broken[0]} is damaged; going on from {name}.")
        return state
    if broken:
        raise RunError(
            f"{run.path}: {' and '.join(broken)} cannot be read, they are damaged. Start anew "
            "(without --resume) in another folder."
        )
    raise RunError(
        f"{run.path} has no {STATE}, so there is nothing to resume. Train it without --resume."
    )


def _read(path: Path) -> dict[str, Any] | None:
    """Return the state in a file, None if the file is damaged.

    Raises:
        RunError: it is whole, but of another version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                return None
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # whatever a damaged archive makes of itself
        return None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is no state of this version (format {FORMAT}); train anew.")
    return state


def check_identity(run: Run, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with another recipe, other data or another encoder.

    Raises:
        RunError: naming what differs.
    """
    before, now = _flat(plain(stored)), _flat(plain(dict(wanted)))
    differs = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if differs:
        shown = "; ".join(f"{k}: {before.get(k)} then, {now.get(k)} now" for k in differs[:4])
        more = f" and {len(differs) - 4} more" if len(differs) > 4 else ""
        raise RunError(
            f"{run.path} was trained with other settings, so it cannot be resumed with these "
            f"({shown}{more}). Repeat its command, or train anew in another folder."
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        key: leaf
        for name, inner in value.items()
        for key, leaf in _flat(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read weights that were kept.

    Raises:
        RunError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as e:
        raise RunError(f"{path} cannot be read: {e}. Train the run again.") from e
