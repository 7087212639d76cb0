"""Reading the golden cases of CARL: whatever the groups' JSON files list, each once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import golden_dirs


@dataclass(frozen=True)
class Case:
    """A case of a group: ``entry`` is its part of the JSON file, ``file`` holds its tensors.

    ``file`` is ``None`` for a group that has no tensors. ``values`` may be empty.
    """

    id: str
    entry: dict[str, Any]
    file: Path | None

    @property
    def name(self) -> str:
        return str(self.entry["case"])

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.entry.get("params", {}))

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.entry.get("values", {}))

    def tensors(self, case: str | None = None) -> dict[str, Any]:
        """Torch tensors by name, of this case or of another one in the same file."""
        from safetensors import safe_open

        if self.file is None:
            return {}
        prefix = f"{case or self.name}/"
        with safe_open(self.file, "pt") as file:
            # Cases may lie below one another ("base/train", "base/train/after").
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
            return {key.removeprefix(prefix): file.get_tensor(key) for key in keys}


def cases(group: str) -> list[Case]:
    """Return the cases of ``<group>.json`` whose file of tensors, if they need one, is there."""
    found: dict[str, Case] = {}
    for folder in (root / "carl" for root in golden_dirs()):
        path = folder / f"{group}.json"
        if not path.is_file():
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        name = content.get("tensor_file")
        file = folder / name if name else None
        if file is None or file.is_file():
            for entry in content["cases"]:
                case = Case(f"carl-{group}-{entry['case']}", entry, file)
                found.setdefault(case.id, case)
    return list(found.values())


def parametrize(found: list[Case], argument: str = "case") -> pytest.MarkDecorator:
    """Run a test for each case, or once as skipped where there is none."""
    missing = pytest.param(None, id="none", marks=pytest.mark.skip(reason="no golden/carl here"))
    return pytest.mark.parametrize(
        argument, [pytest.param(case, id=case.id) for case in found] or [missing]
    )
