"""The Python of docs/own-videos.md runs, and links between documents lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from actionspace.events.table import Events
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.recipes.loader import load_recipe
from actionspace.recognition.recipe import RecognitionRecipe

REPO = Path(__file__).resolve().parents[1]
PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    for target in targets + re.findall(r'src(?:set)?="([^"]+)"', text):
        assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_commands_of_the_training_page_parse() -> None:
    page = (REPO / "docs" / "training.md").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"actionspace train (\S+)(.*)", page)
    assert len(found) >= 6
    for name, rest in found:
        overrides = [w for w in rest.split("--out")[0].split() if "=" in w]
        assert load_recipe(name, overrides).looped


def test_options_of_the_training_page_exist() -> None:
    page = (REPO / "docs" / "training.md").read_text(encoding="utf-8")
    table = page.split("## Options")[1].split("\n## ")[0]
    seen = 0
    for line in [line for line in table.splitlines() if line.startswith("| `training.")]:
        parent = ""
        for name in re.findall(r"`(training[\w.]+|\.\w+)`", line.split(" | ")[0]):
            full = parent + name if name.startswith(".") else name
            parent = full.rpartition(".")[0]
            model: Any = RecognitionRecipe()
            for part in full.split("."):
                model = getattr(model, part)
            seen += 1
    assert seen > 20


def test_commands_of_the_localization_page_parse() -> None:
    from tests.test_coming_from import parse

    page = (REPO / "docs" / "localization.md").read_text(encoding="utf-8")
    found = [line for line in page.splitlines() if line.startswith("actionspace ")]
    assert len(found) >= 12
    for line in found:
        parse(shlex.split(line)[1:])


def test_options_and_recipes_of_the_localization_page_exist() -> None:
    page = (REPO / "docs" / "localization.md").read_text(encoding="utf-8")
    tables = [line for line in page.splitlines() if line.startswith("| `")]
    names = [name for line in tables for name in re.findall(r"`([\w.]+)`", line.split(" | ")[0])]
    recipes = [name for name in names if re.match(r"(thumos|activitynet|epic100|ego4d)", name)]
    assert len(recipes) == 10  # and `_noun`
    for name in recipes:
        assert isinstance(load_recipe(name), LocalizationRecipe)
    options = [name for name in names if name not in recipes and name != "_noun"]
    assert len(options) > 25
    for name in options:
        model: Any = LocalizationRecipe()
        for part in name.split("."):
            model = getattr(model, part)


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
