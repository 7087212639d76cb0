"""What a leaderboard leaves on disk, and what it finds there when it goes on."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actionspace.errors import DataError
from actionspace.paths import plain, read_json, sha256_json, write_json, write_text
from actionspace.training.run import RUNS

RESULTS = "leaderboard.json"


class Kept:
    """Finished parts in a folder, a JSON file each, found again by what they were made from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str, made_from: Any) -> Any:
        """Return a part, or None where there is none that was made from the same."""
        with contextlib.suppress(DataError):
            found = read_json(self._place(name, made_from))
            if isinstance(found, dict):
                return found.get("value")
        return None

    def put(self, name: str, made_from: Any, value: Any) -> None:
        """Write a part, whole or not at all."""
        whole = {"name": name, "made_from": made_from, "value": value}
        write_text(self._place(name, made_from), json.dumps(plain(whole)))

    def _place(self, name: str, made_from: Any) -> Path:
        readable = re.sub(r"[^\w.-]+", "_", name)[-60:]
        return self.folder / f"{readable}-{sha256_json([name, made_from])[:16]}.json"


def next_folder() -> Path:
    """Return the first of ``runs/probe``, ``runs/probe-2`` ... without a finished leaderboard."""
    path, n = RUNS / "probe", 1
    while (path / RESULTS).is_file():
        n += 1
        path = RUNS / f"probe-{n}"
    return path


def write_results(folder: Path, board: Mapping[str, Any]) -> None:
    """Write ``leaderboard.json``, and its table as ``leaderboard.csv``."""
    write_text(folder / "leaderboard.csv", _csv(board["rows"]))
    write_json(folder / RESULTS, board)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    flat = [_flat(row) for row in rows]
    writer = csv.DictWriter(text, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose intervals are two columns each, and whose lists are one text."""
    out: dict[str, Any] = {}
    for name, value in plain(row).items():
        if name.endswith("_ci"):
            out |= {f"{name[:-3]}_low": value[0], f"{name[:-3]}_high": value[1]}
        elif isinstance(value, (list, dict)):
            out[name] = json.dumps(value)
        else:
            out[name] = value
    return out
