"""The loop: what it learns, what it keeps, how it goes on, how it stops."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from actionspace.errors import DataError, Interrupted, RunError, UsageError
from actionspace.training import plan
from actionspace.training.loop import Outcome, fit
from actionspace.training.options import TrainingConfig
from actionspace.training.run import Run
from tests.training.toy import Blobs, Points, Table

SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
CONSTANT = {"name": "constant"}


def train(task: Blobs, out: Path, *, resume: bool = False, **options: Any) -> Outcome:
    out.mkdir(parents=True, exist_ok=True)
    base = {"epochs": 3, "batch_size": 10, "log_every": 1, "tensorboard": False}
    config = TrainingConfig.model_validate({**base, **options})
    return fit(task, config, Run(out), identity={"data": 1}, device="cpu", resume=resume)


def weights(task: Blobs) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in task.model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open() as f:
        return list(csv.DictReader(f))


def plain_loop(
    task: Blobs, epochs: int, batch: int, leave_out: frozenset[int] = frozenset()
) -> list[float]:
    """SGD with momentum over whole batches, as one would write it."""
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for epoch in range(epochs):
        order = plan.epoch_order(len(task.train), 0, epoch)
        for k in range(0, len(order), batch):
            chosen = [int(i) for i in order[k : k + batch] if int(i) not in leave_out]
            data = task.train.collate([task.train.load(i, epoch) for i in chosen])
            loss = functional.cross_entropy(task.model(data["x"]), data["y"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("micro", [None, 10, 3, 1])
def test_it_learns_what_a_plain_loop_learns_however_a_step_is_cut(micro, tmp_path):
    task, reference = Blobs(Points(43)), Blobs(Points(43))
    train(task, tmp_path, optimizer=SGD, schedule=CONSTANT, micro_batch_size=micro)
    expected = plain_loop(reference, 3, 10)
    recorded = [float(r["train/loss"]) for r in rows(tmp_path)]
    np.testing.assert_allclose(recorded, expected, atol=1e-5)
    for name, value in reference.model.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], value, atol=1e-5, rtol=0)


def test_samples_that_cannot_be_read_leave_the_mean_of_their_step(tmp_path):
    bad = frozenset({3, 11, 40})
    task, reference = Blobs(Points(43, bad=bad)), Blobs(Points(43))
    outcome = train(task, tmp_path, optimizer=SGD, schedule=CONSTANT, micro_batch_size=4)
    plain_loop(reference, 3, 10, leave_out=bad)
    for name, value in reference.model.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], value, atol=1e-5, rtol=0)
    assert sorted(outcome.skipped) == ["point11.mp4", "point3.mp4", "point40.mp4"]
    assert "cannot be read" in outcome.skipped["point3.mp4"]
    assert task.train.loads.count((3, 0)) == 1 and (3, 1) not in task.train.loads


def test_policy_raise_names_the_sample(tmp_path):
    with pytest.raises(DataError, match=r"point11\.mp4"):
        train(Blobs(Points(43, bad=frozenset({11}))), tmp_path, policy="raise")


class Struck(Blobs):
    """A task whose process gets a signal in a certain step."""

    when: int = 0
    how: signal.Signals = signal.SIGTERM
    calls: int = 0

    def step(self, model: Any, batch: Any) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls == self.when:
            os.kill(os.getpid(), self.how)
        return super().step(model, batch)


RICH: dict[str, Any] = {
    "micro_batch_size": 4,
    "clip_norm": 0.5,
    "ema": {"decay": 0.9},
    "optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.1},
    "schedule": {"name": "cosine", "per": "step", "warmup_epochs": 1},
    "log_every": 3,
}


@pytest.mark.parametrize("when", [1, 7, 15, 16, 37])
@pytest.mark.parametrize("kind", [Points, Table])
def test_a_training_that_was_stopped_goes_on_bit_for_bit(kind, when, tmp_path):
    whole = Blobs(kind(43), kind(20, seed=1), dropout=0.3)
    train(whole, tmp_path / "whole", **RICH)
    task = Struck(kind(43), kind(20, seed=1), dropout=0.3)
    task.when = when
    with pytest.raises(Interrupted, match="SIGTERM after step") as stopped:
        train(task, tmp_path / "cut", **RICH)
    assert stopped.value.exit_code == 143 and "--resume" in str(stopped.value)
    again = Blobs(kind(43), kind(20, seed=1), dropout=0.3)
    outcome = train(again, tmp_path / "cut", resume=True, **RICH)
    assert same(weights(whole), weights(again))
    assert outcome.progress.sessions == 2
    keep = [name for name in rows(tmp_path / "whole")[0] if "second" not in name]
    keep.remove("data_wait")
    a, b = rows(tmp_path / "whole"), rows(tmp_path / "cut")
    assert [[r[k] for k in keep] for r in a] == [[r[k] for k in keep] for r in b]
    for name in ("ema.safetensors", "checkpoints/best.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_a_finished_training_resumed_is_finished(tmp_path):
    task = Blobs(Points(43))
    train(task, tmp_path)
    again = Blobs(Points(43))
    assert train(again, tmp_path, resume=True).progress.total == 15
    assert same(weights(task), weights(again))


def test_a_damaged_state_is_passed_over_and_two_are_said(tmp_path, caplog):
    whole = Blobs(Points(43))
    train(whole, tmp_path / "whole")
    out = tmp_path / "cut"
    task = Struck(Points(43))
    task.when = 12
    with pytest.raises(Interrupted):
        train(task, out)
    state = out / "state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    again = Blobs(Points(43))
    train(again, out, resume=True)
    assert "state.pt is damaged; going on from state-before.pt" in caplog.text
    assert same(weights(whole), weights(again))
    for name in ("state.pt", "state-before.pt"):
        (out / name).write_bytes(b"PK")
    with pytest.raises(RunError, match="damaged"):
        train(Blobs(Points(43)), out, resume=True)


def test_nothing_to_resume_and_another_recipe(tmp_path):
    with pytest.raises(RunError, match="nothing to resume"):
        train(Blobs(Points(43)), tmp_path, resume=True)
    train(Blobs(Points(43)), tmp_path, epochs=1)
    with pytest.raises(RunError, match=r"training.optimizer.lr: 0.5 now|training.optimizer.lr"):
        train(Blobs(Points(43)), tmp_path, resume=True, epochs=1, optimizer={"lr": 0.5})
    other = TrainingConfig(epochs=1, batch_size=10, tensorboard=False)
    with pytest.raises(RunError, match="data: 1 then, 2 now"):
        fit(Blobs(Points(43)), other, Run(tmp_path), identity={"data": 2}, resume=True)


def test_a_loss_that_is_no_number_names_its_samples_and_keeps_the_last_state(tmp_path):
    task = Blobs(Points(43, poison=17))
    position = int(np.flatnonzero(plan.epoch_order(43, 0, 0) == 17)[0])
    with pytest.raises(RunError, match=r"not a finite number.*point17\.mp4") as found:
        train(task, tmp_path, checkpoint={"minutes": 0}, micro_batch_size=2)
    assert f"step {position // 10 + 1} " in str(found.value)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["progress"]["total"] == position // 10
    assert all(v.isfinite().all() for v in state["model"].values())


def test_out_of_memory_says_what_to_lower(tmp_path):
    class Hungry(Blobs):
        def step(self, model: Any, batch: Any) -> dict[str, Tensor]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 7 GiB")

    with pytest.raises(RunError, match=r"micro_batch_size=4 \(now 8"):
        train(Hungry(Points(43)), tmp_path, micro_batch_size=8)


def test_the_run_ends_with_the_best_weights_or_the_last(tmp_path):
    def run(keep: str) -> tuple[Blobs, Outcome]:
        task = Blobs(Points(43), Points(30, seed=1))
        # Evaluations get worse on purpose: the loss is called good.
        choice = {"keep": keep, "metric": "loss", "mode": "max", "every_epochs": 1}
        return task, train(task, tmp_path / keep, checkpoint=choice)

    best, outcome = run("best")
    last, _ = run("last")
    assert outcome.progress.best_epoch == 1
    from safetensors.torch import load_file

    kept = tmp_path / "best" / "checkpoints"
    assert same(weights(best), load_file(kept / "epoch_001.safetensors"))
    assert same(weights(last), load_file(tmp_path / "last/checkpoints/epoch_003.safetensors"))
    assert not same(weights(best), weights(last))


def test_early_stop(tmp_path):
    choice = {"metric": "loss", "mode": "max"}
    task = Blobs(Points(43), Points(30, seed=1))
    outcome = train(task, tmp_path, epochs=9, early_stop=2, checkpoint=choice)
    assert outcome.progress.epoch == 3
    assert any("has not become better in 2 evaluations" in note for note in outcome.notes)
    with pytest.raises(RunError, match="Did you mean 'top1_accuracy'"):
        train(task, tmp_path / "b", checkpoint={"metric": "top1_acuracy"})


def test_precisions(tmp_path):
    task = Blobs(Points(43), Points(30, seed=1))
    outcome = train(task, tmp_path, precision="bfloat16", epochs=6, optimizer={"lr": 0.02})
    assert outcome.facts["precision"] == "bfloat16"
    assert outcome.progress.metrics["top1_accuracy"] > 0.6
    assert {p.dtype for p in task.model.parameters()} == {torch.float32}
    with pytest.raises(UsageError, match="float16 needs a GPU"):
        train(task, tmp_path / "b", precision="float16")


def test_no_step_can_be_made(tmp_path):
    with pytest.raises(DataError, match="do not make one step"):
        train(Blobs(Points(3)), tmp_path, drop_last=True)


def test_choices_are_explained(tmp_path):
    notes = " ".join(train(Blobs(Points(43)), tmp_path).notes)
    assert "precision=auto: float32" in notes and "5 steps per epoch" in notes
    assert "Samples are prepared by" in notes
