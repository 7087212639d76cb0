"""Refresh the exact pins in pyproject.toml: `uv run python scripts/refresh_pins.py`.

`uv.lock` records download addresses, so it stays out of the repository; the pins live in
`[tool.uv] constraint-dependencies`, which `uv sync` and `uv run` obey just as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
BLOCK = re.compile(r"# pins: begin\n.*?# pins: end\n", re.DOTALL)


def resolved() -> list[str]:
    """Resolve anew without the present pins and return one requirement per package."""
    text = PYPROJECT.read_text(encoding="utf-8")
    PYPROJECT.write_text(BLOCK.sub("", text), encoding="utf-8")
    try:
        subprocess.run(["uv", "lock", "--upgrade", "--quiet"], check=True, cwd=PYPROJECT.parent)
        export = ["uv", "export", "--quiet", "--no-hashes", "--no-annotate", "--no-header"]
        done = subprocess.run(
            [*export, "--no-emit-project", "--all-groups"],
            check=True,
            cwd=PYPROJECT.parent,
            capture_output=True,
            text=True,
        )
    finally:
        PYPROJECT.write_text(text, encoding="utf-8")
    return [line.strip() for line in done.stdout.splitlines() if "==" in line]


def main() -> None:
    pins = resolved()
    lines = "".join(f"  '{pin}',\n" if '"' in pin else f'  "{pin}",\n' for pin in pins)
    block = f"# pins: begin\n[tool.uv]\nconstraint-dependencies = [\n{lines}]\n# pins: end\n"
    text = PYPROJECT.read_text(encoding="utf-8")
    text = BLOCK.sub(lambda _: block, text) if BLOCK.search(text) else f"{text}\n{block}"
    PYPROJECT.write_text(text, encoding="utf-8")
    print(f"{len(pins)} pins written to {PYPROJECT.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
