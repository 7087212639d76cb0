"""Every command and every Python line of the README runs."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from actionspace.cli import main

REPO = Path(__file__).resolve().parents[1]
README = (REPO / "README.md").read_text(encoding="utf-8")
# Run by .ci/run and by tests/demo; running them here would run the suite inside itself.
ELSEWHERE = {"pip install uv && uv run actionspace demo", "pip install uv && uv run pytest"}


def commands(text: str, language: str = "bash") -> list[str]:
    """The lines of all fenced blocks of one language, without comments, continuations joined."""
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and line[0] != "#"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new user's folder: a few labelled clips and one long video."""
    from actionspace.demo import copy_clips
    from actionspace.demo.untrimmed import join_bouts
    from actionspace.events import io

    folder = tmp_path_factory.mktemp("readme")
    copy_clips(folder / "demo")
    clips = io.read(folder / "demo" / "clips.csv")
    few = clips.select(split="train").rows.groupby("label").head(6)["video"].tolist()
    few += clips.select(split="test").rows.groupby("label").tail(3)["video"].tolist()
    for video in set(few):
        (folder / video).parent.mkdir(exist_ok=True)
        shutil.copy(clips.path(video), folder / video)
    kept = clips.select(videos=sorted(set(few)))
    kept.to_csv(folder / "clips.csv")
    join_bouts(kept.select(split="test"), folder).to_csv(folder / "truth.csv")
    (folder / "untrimmed.mp4").rename(folder / "long_video.mp4")
    truth = (folder / "truth.csv").read_text().replace("untrimmed.mp4", "long_video.mp4")
    (folder / "truth.csv").write_text(truth)
    return folder


def test_the_two_commands_are_there() -> None:
    assert set(commands(README)) >= ELSEWHERE


@pytest.mark.slow
def test_every_command_runs(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    ran = 0
    for command in commands(README):
        words = shlex.split(command.removeprefix("uv run "))
        if command in ELSEWHERE or words[0] != "actionspace":
            assert command in ELSEWHERE or words[0] in {"uv", "pip"}, f"not run: {command}"
            continue
        try:
            main(words[1:])
        except SystemExit as stop:
            assert not stop.code, f"{command} exited {stop.code}"
        ran += 1
    assert ran >= 5


@pytest.mark.slow
def test_the_python_lines_run(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    lines = commands(README, "python")
    assert any("import actionspace" in line for line in lines)
    exec("\n".join(lines), {})
