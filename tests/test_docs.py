"""The Python of docs/own-videos.md runs, and links between documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from actionspace.events.table import Events

REPO = Path(__file__).resolve().parents[1]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    for target in targets + re.findall(r'src(?:set)?="([^"]+)"', text):
        assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_two_annotators_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.DataFrame(
        {"video": "a.mp4", "start": [0.0, 100.0], "end": [50.0, 300.0], "label": ["run", "rest"]}
    )
    videos = pd.DataFrame({"video": ["a.mp4"], "duration": [600.0]})
    Events.from_frames(rows, videos, tmp_path).to_boris(tmp_path / "anna.boris")
    other = rows.assign(end=[60.0, 290.0])
    Events.from_frames(other, videos, tmp_path).to_boris(tmp_path / "ben.boris")
    monkeypatch.chdir(tmp_path)
    page = (REPO / "docs" / "own-videos.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {})
    agreement = float(capsys.readouterr().out)
    expected_agreement = 1 - 20 / 600
    assert 0.9 < agreement < expected_agreement
