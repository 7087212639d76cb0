"""Reading the golden cases of temporal localization: whatever the manifests list, each once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import golden_dirs


@dataclass(frozen=True)
class Case:
    id: str
    folder: Path
    entry: dict[str, Any]

    def file(self, key: str) -> Path:
        return self.folder / str(self.entry[key])


def cases(kind: str, *files: str, area: str = "tal") -> list[Case]:
    """Cases of a kind in any ``manifest_*.json`` whose tensors, and ``files``, are there."""
    found: dict[str, Case] = {}
    for folder in (root / area for root in golden_dirs()):
        for manifest in sorted(folder.glob("manifest_*.json")):
            for entry in json.loads(manifest.read_text(encoding="utf-8")).get("cases", []):
                case = Case(str(entry["id"]), folder, entry)
                needed = [key for key in ("io", *files) if key in entry]
                if entry["kind"] == kind and all(
                    entry[k] and case.file(k).is_file() for k in needed
                ):
                    found.setdefault(case.id, case)
    return list(found.values())


def runs(kind: str) -> list[tuple[Case, dict[str, Any]]]:
    """Every run of the cases of a kind."""
    return [(case, run) for case in cases(kind) for run in case.entry["runs"]]
