"""Records: the same numbers in metrics.csv and TensorBoard, cut back on resume; W&B when asked."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from actionspace.errors import ActionspaceError, RunError, UsageError
from actionspace.training.metrics_csv import MetricsCSV
from actionspace.training.records import Records, learning_rates
from actionspace.training.run import Run

SPEED = {"samples_per_second": 812.34567, "data_wait": 0.031}


def records(run: Run, state=None, **options) -> Records:
    options = {"tensorboard": True, "wandb": None, "main": True, **options}
    return Records(run, state=state, **options)


def steps(to: Records, first: int, last: int, loss: float = 1.0) -> None:
    """Ten steps per epoch: a row every fifth, an evaluation every tenth."""
    for step in range(first, last + 1, 5):
        losses = {"loss": loss / step, "cls": 0.1 + 0.2}
        to.train(step, step / 10, losses, {"lr": 1e-3}, smooth={"loss": loss}, **SPEED)
        if step % 10 == 0:
            picture = np.full((8, 12, 3), (step, 100, 200), np.uint8)
            to.evaluation(
                step,
                step / 10,
                {"top1_accuracy": step / 100},
                {"confusion": lambda drawn=picture: drawn},
            )


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def board(run: Run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sizes = {"scalars": 0, "images": 0}
    return EventAccumulator(str(run.path / "tensorboard"), size_guidance=sizes).Reload()


def scalars(run: Run, tag: str) -> list[tuple[int, float]]:
    return [(e.step, pytest.approx(e.value)) for e in board(run).Scalars(tag)]


def test_rows_columns_and_boards(tmp_path: Path):
    run = Run.start(tmp_path / "run")
    with_records = records(run)
    steps(with_records, 5, 20)
    with_records.close()
    table = rows(run)
    assert list(table[0]) == [
        *(
            "step",
            "epoch",
            "lr",
            "train/loss",
            "train/cls",
            "train_smooth/loss",
            "val/top1_accuracy",
        ),
        *("samples_per_second", "data_wait", "seconds"),
    ]
    assert [r["step"] for r in table] == ["5", "10", "10", "15", "20", "20"]
    assert table[0]["train/cls"] == "0.30000000000000004"  # read back as the same number
    assert table[0]["samples_per_second"] == "812.3457"
    assert table[0]["val/top1_accuracy"] == "" and table[2]["train/loss"] == ""
    assert table[5]["val/top1_accuracy"] == "0.2" and table[5]["epoch"] == "2.0"
    found = board(run)
    assert set(found.Tags()["scalars"]) == {
        *("train/loss", "train/cls", "train_smooth/loss", "lr", "val/top1_accuracy"),
        *("train_speed/samples_per_second", "train_speed/data_wait"),
    }
    assert scalars(run, "train/loss") == [(s, 1 / s) for s in (5, 10, 15, 20)]
    pictures = found.Images("val/confusion")
    assert [(p.step, p.width, p.height) for p in pictures] == [(10, 12, 8), (20, 12, 8)]
    from io import BytesIO

    from PIL import Image

    assert Image.open(BytesIO(pictures[1].encoded_image_string)).getpixel((0, 0)) == (20, 100, 200)


@pytest.mark.parametrize("torn", [False, True])
def test_resumed_records_equal_those_of_an_uninterrupted_training(tmp_path: Path, torn: bool):
    whole = Run.start(tmp_path / "whole")
    at_once = records(whole)
    steps(at_once, 5, 40)
    at_once.close()

    run = Run.start(tmp_path / "run")
    killed = records(run)
    steps(killed, 5, 20)
    state = json.loads(json.dumps(killed.state()))
    assert state["step"] == 20 and state["rows"] == 6
    steps(killed, 25, 35, loss=999.0)  # lost: the process is killed before the next state
    killed._flush()
    if torn:
        with (run.path / "metrics.csv").open("a", encoding="utf-8") as file:
            file.write("40,4.0,0.0")
        for events in (run.path / "tensorboard").iterdir():
            events.write_bytes(events.read_bytes()[:-7])

    again = records(run, state)
    assert [r["step"] for r in rows(run)] == ["5", "10", "10", "15", "20", "20"]
    steps(again, 25, 40)
    again.close()
    killed.close()

    def plain(rows):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert plain(rows(run)) == plain(rows(whole))
    for tag in ("train/loss", "train_smooth/loss", "lr", "val/top1_accuracy"):
        assert scalars(run, tag) == scalars(whole, tag)
    assert [p.step for p in board(run).Images("val/confusion")] == [10, 20, 30, 40]
    seconds = [float(r["seconds"]) for r in rows(run)]
    assert seconds == sorted(seconds)


def test_seconds_of_all_sessions_add_up(tmp_path: Path):
    run = Run.start(tmp_path / "run")
    again = records(run, {"step": 0, "rows": 0, "seconds": 100.0}, tensorboard=False)
    assert 100 <= again.seconds < 110
    assert not (run.path / "tensorboard").exists()


def test_a_table_that_lost_rows_is_said_so(tmp_path: Path, caplog):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b'step,"a,b"\n1,2\n\0\0\0\0\n')
    table = MetricsCSV(path, keep=3)
    assert "lost 2 of its 3 rows" in caplog.text
    table.append({"step": 2, "a,b": float("nan"), "train/loss": 0.5})
    assert path.read_text() == 'step,train/loss,"a,b"\n1,,2\n2,0.5,\n'


def test_a_torn_last_row_is_not_taken_for_a_whole_one(tmp_path: Path, caplog):
    path = tmp_path / "metrics.csv"
    path.write_text("step,train/loss\n1,0.5\n2,0.4")  # it was 0.4375
    assert MetricsCSV(path, keep=2).rows == 1
    assert path.read_text() == "step,train/loss\n1,0.5\n"
    assert "lost 1 of its 2 rows" in caplog.text


def test_only_the_main_process_writes(tmp_path: Path):
    run = Run.start(tmp_path / "run")
    silent = records(run, main=False, wandb="project")
    steps(silent, 5, 20)
    silent.state()
    silent.close()
    assert list(run.path.iterdir()) == []


def test_learning_rates_of_groups():
    def group(lr: float, base: float) -> dict[str, float]:
        return {"lr": lr, "base_lr": base}

    assert learning_rates([group(0.5, 1.0), group(0.5, 1.0)]) == {"lr": 0.5}
    several = [group(0.0, 1e-5), group(0.0, 1e-4), group(0.0, 1e-4), group(0.0, 0.0)]
    assert learning_rates(several) == {"lr/x0.1": 0.0, "lr": 0.0, "lr/x0": 0.0}


def test_a_place_that_cannot_be_written(tmp_path: Path):
    run = Run.start(tmp_path / "run")
    to = records(run, tensorboard=False)
    steps(to, 5, 5)
    (run.path / "metrics.csv").unlink()
    (run.path / "metrics.csv").mkdir()
    with pytest.raises(ActionspaceError, match=r"Cannot write .*metrics\.csv.*--resume"):
        steps(to, 10, 10)
    (run.path / "tensorboard").write_text("in the way")
    with pytest.raises(ActionspaceError, match=r"Cannot write .*tensorboard"):
        records(run, {"step": 0, "rows": 0})


def test_wandb_that_is_not_installed(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # whether it is there or not
    with pytest.raises(UsageError, match=r'wandb=rats .*pip install "actionspace\[wandb\]"'):
        records(Run.start(tmp_path / "run"), wandb="rats")


STAND_IN = """
import json, pathlib
LOG = pathlib.Path(__file__).with_name("log.jsonl")

class errors:
    class Error(Exception): ...

def say(**what):
    with LOG.open("a") as f: f.write(json.dumps(what) + "\\n")

class Image:
    def __init__(self, pixels): self.shape = pixels.shape

class Run:
    def __init__(self, id): self.id = id
    def define_metric(self, name, step_metric=None): say(metric=name, by=step_metric)
    def log(self, values): say(log={k: v if isinstance(v, (int, float)) else v.shape
                                    for k, v in values.items()})
    def finish(self): say(finished=True)

def init(project, dir, name, config, id, resume):
    if project == "forbidden": raise errors.Error("no API key")
    say(project=project, name=name, config=config, id=id, resume=resume)
    return Run(id or "new1")
"""


def test_wandb_gets_the_same_numbers_and_is_resumed(tmp_path: Path, monkeypatch):
    """The package itself cannot be had here; a stand-in with the same calls notes them."""
    (tmp_path / "wandb.py").write_text(STAND_IN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    run = Run.start(tmp_path / "run")
    run.write_config({"epochs": 3})
    with pytest.raises(RunError, match=r"no API key.*WANDB_MODE=offline"):
        records(run, wandb="forbidden")
    first = records(run, wandb="rats", tensorboard=False)
    steps(first, 10, 10)
    state = first.state()
    first.close()
    records(run, state, wandb="rats", tensorboard=False).close()
    monkeypatch.delitem(sys.modules, "wandb")
    said = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    begun = [s for s in said if "project" in s]
    assert [(s["id"], s["resume"]) for s in begun] == [(None, None), ("new1", "allow")]
    assert begun[0]["config"] == {"epochs": 3} and begun[0]["name"] == "run"
    assert {"metric": "*", "by": "step"} in said
    logged = [s["log"] for s in said if "log" in s]
    assert logged[0]["step"] == 10 and logged[0]["train/loss"] == 0.1
    assert logged[1] == {"step": 10, "val/top1_accuracy": 0.1, "val/confusion": [8, 12, 3]}
    assert said[-1] == {"finished": True}
