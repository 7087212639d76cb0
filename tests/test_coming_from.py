"""Every command of docs/coming-from.md: run on generated data, or parsed word by word."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

import actionspace as A
from actionspace.cli import app, main
from actionspace.recipes.loader import load_recipe
from tests.datasets import layouts, untrimmed_layouts
from tests.recipes.small import FAST, TINY, few_videos
from tests.recipes.test_every_localization_recipe import smaller

DOC = (Path(__file__).resolve().parents[1] / "docs" / "coming-from.md").read_text(encoding="utf-8")
SMALL = [TINY, *FAST]
#: Sources of phases, of which there are none in the sandbox.
FRAMEWISE = ("pouring", "pennaction", "finegym", "phases", "kinetics")


def commands() -> list[str]:
    """The commands in the right-hand columns, in order, each once."""
    found = []
    for line in DOC.splitlines():
        if line.startswith("| "):
            found += re.findall(r"`(actionspace [^`]*)`", line.split(" | ", 1)[1])
    return list(dict.fromkeys(found))


def is_dry(words: list[str]) -> bool:
    """Published weights or a whole data set are needed, which no test can fetch."""
    published = words[0] == "train" and words[1] != "linear_probe"
    return (
        published
        or words[0] == "submit"  # tests/recognition/test_epic.py and localization/test_epic.py do
        or words[0] == "calibrate"  # tests/localization/test_calibrate.py does
        or any(w.startswith(FRAMEWISE) for w in words)  # tests/datasets/test_framewise.py does
        or "submission.zip" in words  # tests/localization/test_epic.py does
        or "split=published" in words
        or any(w.endswith(("_published", ".tar.gz")) for w in words)  # see tests/localization
        or any(w.startswith("raw=") for w in words)  # tests/datasets/test_untrimmed.py does
        or any(w.startswith("weights=") or "checkpoints/" in w for w in words)
    )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sources, a manifest, a trained run and a long video, as the table assumes."""
    folder = tmp_path_factory.mktemp("coming")
    with few_videos():
        for name in ("mammalnet", "chimpbehave", "kinetics700-diff", "ucf50", "ucf101", "epic100"):
            layouts.make(name, folder / "sources" / name)
        layouts.epic100_frames(folder / "sources" / "epic100_frames")
        layouts.epic100_flow(folder / "sources" / "epic100_flow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("prepare chimpbehave sources/chimpbehave fold=1 --out manifest.csv")
        run("train linear_probe data=manifest.csv --out runs/mine")
    for name in ("rgb", "flow"):  # what the recipes of EPIC-KITCHENS leave, see test_every_recipe
        shutil.copytree(folder / "runs" / "mine", folder / "runs" / name)
    localization(folder)
    videos = sorted((folder / "sources" / "chimpbehave").rglob("*.mp4"))
    (folder / "long_video.mp4").write_bytes(videos[0].read_bytes())
    (folder / "videos").mkdir()
    (folder / "videos" / "a.mp4").write_bytes(videos[1].read_bytes())
    return folder


def localization(folder: Path) -> None:
    """Sources of untrimmed videos, a small run, under every name it has, and what others found."""
    for name, make in untrimmed_layouts.LAYOUTS.items():
        make(folder / "sources" / name.replace("-", "_").removesuffix("_mq"))
    source, manifest = folder / "sources" / "thumos14", folder / "thumos14.csv"
    A.prepare("thumos14", source, manifest, features="i3d_features")
    small = [*smaller(load_recipe("thumos14_i3d")), "evaluation.bootstrap=20"]  # type: ignore[arg-type]
    small += ["training.epochs=2", "training.checkpoint.every_epochs=1"]
    first = folder / "runs" / "thumos14"
    A.train("thumos14_i3d", data=manifest, out=first, overrides=small)
    for name in ("activitynet13", "activitynet13_i3d", "verbs", "nouns", "ego4d"):
        shutil.copytree(first, folder / "runs" / name)
    found = A.read_events(manifest).select(split="test").rows
    columns = {
        "video-id": found["video"].tolist(),
        "t-start": found["start"].tolist(),
        "t-end": found["end"].tolist(),
        "label": [0] * len(found),
        "score": [0.5] * len(found),
    }
    (folder / "eval_results.json").write_text(json.dumps(columns), encoding="utf-8")


def same(words: list[str]) -> str:
    """What a command does, wherever it puts it."""
    return re.sub(r" --out \S+", "", shlex.join(words))


def once() -> list[str]:
    """One command of each that do the same; the others are parsed, as are dry ones."""
    first: dict[str, str] = {}
    for command in commands():
        first.setdefault(same(shlex.split(command)), command)
    return list(first.values())


def run(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "train":
        words += SMALL
    if words[0] == "extract":
        words[words.index("starter")] = TINY.removeprefix("encoder=")
    try:
        main(words)
    except SystemExit as stop:
        assert stop.code in (0, None), f"{command} exited {stop.code}"


def parse(words: list[str]) -> None:
    """Check verb and options as the command line would, recipe and overrides as train would."""
    command = typer.main.get_command(app)
    verb = command.get_command(None, words[0])  # type: ignore[attr-defined]
    assert verb is not None, words
    verb.make_context(words[0], words[1:])
    if words[0] == "train":
        load_recipe(words[1], [w for w in words[2:] if "=" in w])


def test_there_are_commands() -> None:
    assert len(commands()) > 25


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_command(command: str, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    words = shlex.split(command)[1:]
    parse(list(words))
    if not is_dry(words) and command in once():
        run(shlex.join(words))


def test_the_results_table_says_what_the_recipes_say() -> None:
    rows = re.findall(r"^\|[^|]*\|[^|]*\| `(\w+_linear_probe)` \|(.*)\|$", DOC, re.MULTILINE)
    assert len(rows) == 5
    for name, cells in rows:
        top1, top5, mean, hours, trainable = (c.strip() for c in cells.split("|"))
        published = load_recipe(name).published
        assert published is not None
        figures: dict[str, float] = {}
        for figure in published.figures:
            figures.setdefault(figure.metric, figure.value)
        assert float(top1) == figures["top1_accuracy"]
        assert float(mean) == figures["mean_class_accuracy"]
        assert (float(top5) if top5 else None) == figures.get("top5_accuracy")
        assert float(hours) == published.training_hours
        assert int(trainable.replace(",", "")) == published.trainable_parameters


def test_the_tables_of_localization_say_what_the_recipes_say() -> None:
    """Thresholds in the head, in rows the figures at them and their mean."""
    part = DOC.split("## ActionFormer")[1].split("### Results tables")[1].split("\n#")[0]
    seen = 0
    for table in part.split("| recipe |")[1:]:
        front = "map" if seen < 11 else "recall1x"
        head, *rows = [line for line in table.splitlines() if "|" in line and "---" not in line]
        thresholds = [float(c) for c in head.split("|") if c.strip().startswith("0.")]
        for row in rows:
            name, *cells = [c.strip(" `") for c in row.strip("|").split("|")]
            published = load_recipe(name).published
            assert published is not None
            figures = {f.metric: f.value for f in published.figures}
            told = [float(c) for c in cells]
            at = [figures[f"{front}@{t:.2f}"] for t in thresholds]
            assert told[:-1] == at
            assert told[-1] == figures.get(front, pytest.approx(sum(at) / len(at), abs=0.015))
            seen += 1
    assert seen == 11 + 6
