"""Refresh the exact pins in pyproject.toml: `uv run python scripts/refresh_pins.py`.

`uv.lock` records download addresses, so it stays out of the repository; the pins live in
`[tool.uv] constraint-dependencies`, which `uv sync` and `uv run` obey just as well.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
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


def build_tools() -> list[str]:
    """Resolve what builds the wheel."""
    needs = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["build-system"]["requires"]
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--universal"]
    command += ["--python-version", "3.11", "-"]
    done = subprocess.run(
        command, input="\n".join(needs), check=True, capture_output=True, text=True
    )
    return [line.strip() for line in done.stdout.splitlines() if "==" in line]


def listed(key: str, pins: list[str]) -> str:
    """Return a TOML array, one requirement per line."""
    lines = "".join(f"  '{pin}',\n" if '"' in pin else f'  "{pin}",\n' for pin in pins)
    return f"{key} = [\n{lines}]\n"


def main() -> None:
    pins, tools = resolved(), build_tools()
    block = (
        "# pins: begin\n[tool.uv]\n"
        + listed("constraint-dependencies", pins)
        + listed("build-constraint-dependencies", tools)
        + "# pins: end\n"
    )
    text = PYPROJECT.read_text(encoding="utf-8")
    text = BLOCK.sub(lambda _: block, text) if BLOCK.search(text) else f"{text}\n{block}"
    PYPROJECT.write_text(text, encoding="utf-8")
    print(f"{len(pins)} pins written to {PYPROJECT.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
