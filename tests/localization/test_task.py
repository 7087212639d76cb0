"""The task of the trainer: what is learnt does not depend on how a step is cut up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from actionspace.heads.focal import focal_loss
from actionspace.localization.data.samples import FeatureSamples
from actionspace.localization.data.source import FeatureFiles, open_source
from actionspace.localization.data.truncate import Truncation
from actionspace.localization.fit import train
from actionspace.localization.learning.assign import assign, counted
from actionspace.localization.learning.steps import StepSamples, count_positives
from actionspace.localization.network.padding import padded_length
from actionspace.localization.network.points import pyramid_points
from actionspace.localization.task import LocalizationTask, Localizer
from actionspace.training.plan import epoch_batches, epoch_order, epoch_steps
from tests.localization import untrimmed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrimmed")
    untrimmed.make(folder)
    return folder


def samples(folder: Path) -> FeatureSamples:
    from actionspace.events import io

    events = io.read(folder / "events.csv")
    model = untrimmed.recipe().model
    return FeatureSamples(
        events,
        open_source(events, [folder / "features"], FeatureFiles(stride=untrimmed.STRIDE)),
        untrimmed.CLASSES,
        lambda rows: padded_length(model, rows),
        train=Truncation(60),
        seed=3,
    )


def test_an_outline_is_the_sample_without_its_values(folder: Path) -> None:
    found = samples(folder)
    for index in (0, 5):
        for epoch in (0, 1):
            bare, full = found.outline(index, epoch), found.load(index, epoch)
            assert len(bare) == len(full) <= 60
            assert bare.features.shape[0] == 0
            torch.testing.assert_close(bare.segments, full.segments)
            assert bare.grid == full.grid


def test_positives_are_those_the_network_learns(folder: Path) -> None:
    found, recipe = samples(folder), untrimmed.recipe()
    parts = [found.load(i, 2) for i in range(4)]
    last, end = parts[3], len(parts[3])  # an event that goes on after the features have ended
    beyond = torch.tensor([[end - 4.0, end + 6.0]])
    parts[3] = replace(last, segments=beyond, labels=last.labels[:1])
    batch = found.collate(parts)
    said = Localizer(recipe, untrimmed.DIM, 2).eval()(batch.features, batch.mask)
    points = pyramid_points(recipe.model, batch.features.shape[-1], torch.device("cpu"))
    targets = assign(points, batch.truth, 2, recipe.loss)
    learnt = (targets.learnt & said.mask).sum(dim=1).tolist()
    assert [(n,) for n in learnt] == [
        count_positives(part, recipe.model, recipe.loss) for part in parts
    ]
    assert sum(learnt) > 10


def test_time_that_does_not_count_teaches_nothing(folder: Path) -> None:
    """But events in it: their points, and no others there, are in the class loss."""
    recipe = untrimmed.recipe()
    steps = StepSamples(samples(folder), recipe.training, recipe.model, recipe.loss)
    data, facts = steps.collate([steps.load(i, 0) for i in range(2)])
    assert data.uncounted is None
    torch.manual_seed(0)
    task = LocalizationTask(recipe, Localizer(recipe, untrimmed.DIM, 2), steps, None)
    task.model.eval()
    torch.nn.init.zeros_(
        task.model.network.cls_head.cls_head.conv.bias
    )  # so that each point has a say
    points = pyramid_points(recipe.model, data.features.shape[-1], torch.device("cpu"))
    targets = assign(points, data.truth, 2, recipe.loss)
    spans = torch.tensor([[[10.0, 30.0], [25.0, 40.0]], [[0.0, 0.0], [-torch.inf, torch.inf]]])
    counts = counted(points, targets, spans)
    time = points[:, 0]
    assert torch.equal(counts[0], targets.learnt[0] | ~((time >= 10) & (time < 40)))
    assert torch.equal(counts[1], targets.learnt[1]) and targets.learnt[1].any()

    def losses(uncounted: torch.Tensor | None) -> dict[str, float]:
        found = task.step(task.model, (replace(data, uncounted=uncounted), facts))
        return {name: value.item() for name, value in found.items()}

    every, some = losses(None), losses(spans)
    said = task.model(data.features, data.mask, targets.learnt)
    each = focal_loss(said.logits, targets.classes).sum(-1)[said.mask & counts]
    wanted = each.sum() / task.model.loss.normalizer / (2 / facts.samples)
    assert some["class_loss"] == pytest.approx(wanted.item(), rel=1e-6)
    assert some["class_loss"] < 0.9 * every["class_loss"]
    assert some["regression_loss"] == every["regression_loss"]
    assert losses(torch.zeros(2, 1, 2)) == every


def test_every_part_of_a_step_knows_all_of_it(folder: Path) -> None:
    found, recipe = samples(folder), untrimmed.recipe(training={"batch_size": 5, "seed": 7})
    steps = StepSamples(found, recipe.training, recipe.model, recipe.loss)
    order = epoch_order(len(found), 7, 1)
    facts = [steps.load(int(i), 1)[1] for i in order]
    for k, step in enumerate(epoch_steps(epoch_batches(len(found), 5, 7, 1), 5)):
        mine = facts[5 * k : 5 * (k + 1)]
        assert {fact.number for fact in mine} == {3 + k}
        assert {fact.samples for fact in mine} == {step.samples}
        wanted = sum(
            sum(count_positives(found.load(int(i), 1), recipe.model, recipe.loss))
            for i in order[5 * k : 5 * (k + 1)]
        )
        assert {fact.positives for fact in mine} == {(wanted,)}


def test_accumulated_passes_learn_what_one_pass_learns(folder: Path, tmp_path: Path) -> None:
    weights, notes = [], []
    for size in (4, 1):
        cut = {"epochs": 3, "batch_size": 4, "micro_batch_size": size, "evaluate_every": 9}
        plain = {"optimizer": {"name": "sgd", "lr": 0.05}, "clip_norm": None}  # sizes show
        recipe = untrimmed.recipe(training=cut | plain)
        out = tmp_path / str(size)
        run = train(
            recipe,
            out=out,
            data=folder / "events.csv",
            features=folder / "features",
            report=False,
        )
        weights.append(load_file(out / "weights.safetensors"))
        state = torch.load(out / "state.pt", weights_only=True)
        notes.append(float(state["model"]["loss.normalizer"]))
        assert run.finished
    assert notes[0] == pytest.approx(notes[1], rel=1e-6)
    assert notes[0] != 20.0
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-3, atol=2e-4)
