"""A run without training: classes are told in words, to an encoder that knows words."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.text_create import require_text, text_encoder_of
from actionspace.errors import UsageError
from actionspace.heads.linear import LinearHead
from actionspace.recognition import data as manifest
from actionspace.recognition.descriptions import Descriptions, check_described, text_head, told
from actionspace.recognition.encode import Encoding, adopt
from actionspace.recognition.evaluate import measure_all, predict_split
from actionspace.recognition.probe import Background, Probe, save_probes
from actionspace.recognition.recipe import PredictConfig, RecognitionRecipe
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.places import places
from actionspace.training.predictions import Predictions, write_predictions
from actionspace.training.run import Run

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.events.table import Events
    from actionspace.features.foreign import Features


@dataclass(frozen=True)
class _Asked:
    """What is to be told apart: texts by class, in which column, and what came of checking it."""

    descriptions: Descriptions
    column: str
    multi_label: bool
    labelled: bool
    notes: list[str]


def zero_shot(
    recipe: RecognitionRecipe,
    *,
    out: str | os.PathLike[str],
    data: str | os.PathLike[str] | Events | None = None,
    features: Features | str | os.PathLike[str] | None = None,
    encoder: Encoder | None = None,
    overwrite: bool = False,
    report: bool = True,
) -> Run:
    """Leave a run whose head is what the descriptions of the classes say; nothing is learnt.

    With a manifest it is evaluated on its test split or, as nothing is learnt from any of it, on
    all of one without splits.

    Args:
        recipe: of mode zero_shot.
        out: the run folder.
        data: manifest to predict, and where it has labels to be evaluated on; None = none.
        features: a store of the encoder's vectors in the space of texts, in place of the encoder.
        encoder: an encoder made already, in place of ``recipe.encoder``.
        overwrite: replace a finished run.
        report: write ``report.html``.

    Raises:
        ConfigError, DataError: descriptions are missing, empty, or not of the manifest's classes.
        UsageError: the encoder knows no text, or its vectors are not in the space of texts.
        WeightsError: the text half of the encoder is not here.
        RunError: ``out`` holds a finished run or something else.
    """
    watch = Stopwatch()
    Run.check_free(out, overwrite=overwrite)
    events = None if data is None else manifest.load(data, recipe.root)
    asked = _ask(recipe, events)
    if encoder is None and features is None and recipe.features is None:
        require_text(recipe.encoder)
    encoding = Encoding(_joint(recipe), features=features, encoder=encoder)
    recipe = encoding.recipe if encoding.given is None else adopt(encoding.recipe, encoding.given)
    words = recipe.zero_shot.model_copy(update={"descriptions": asked.descriptions})
    recipe = recipe.model_copy(update={**places(data, features, recipe.root), "zero_shot": words})
    encoding.recipe = recipe
    probe = _probe(_head(recipe, encoding, asked), asked, recipe.predict)
    watch.lap("texts")
    predictions, metrics = _evaluate(probe, encoding, events, asked)
    watch.lap("evaluate")
    run = Run.start(out, overwrite=overwrite)
    _save(run, probe, encoding, predictions, metrics)
    about, head = encoding.describe(), probe.head.weight.size + probe.head.bias.size
    environment = describe(
        device=encoding.device,
        stopwatch=watch,
        trainable_parameters=0,
        total_parameters=head + int(about.get("parameters") or 0),
        extra={
            "encoder": about,
            "notes": ["Nothing was learnt; the classes were told in words.", *asked.notes],
            "skipped": predictions.skipped if predictions else {},
        },
    )
    run.finish(environment)
    if report:
        from actionspace.report.html import write_report

        write_report(run.path, events=events)
    return run


def _ask(recipe: RecognitionRecipe, events: Events | None) -> _Asked:
    """Read the descriptions and hold them against the manifest's labels, where it has some."""
    column = recipe.head.column
    if not isinstance(column, str):
        raise UsageError(
            f"mode=zero_shot answers one column, and head.column names {', '.join(column)}. Make a "
            "run for each."
        )
    descriptions = told(recipe.zero_shot.descriptions)
    notes = [f"{name}: {'; '.join(texts)}" for name, texts in descriptions.items()]
    if events is None or column not in events.heads or not manifest.use(events, column).any():
        return _Asked(descriptions, column, bool(recipe.head.multi_label), False, notes)
    if extra := check_described(descriptions, events.classes(column)):
        notes.append(f"Described, but no event of the manifest is of: {', '.join(extra)}.")
    found = manifest.targets(events, column, [*descriptions], recipe.head.multi_label)
    return _Asked(descriptions, column, found.multi_label, True, notes)


def _joint(recipe: RecognitionRecipe) -> RecognitionRecipe:
    """Let the encoder give vectors in the space of texts, if nothing else was said."""
    options = {"pool": "joint"} | recipe.encoder_options
    return recipe.model_copy(update={"encoder_options": options})


def _head(recipe: RecognitionRecipe, encoding: Encoding, asked: _Asked) -> LinearHead:
    given = encoding.given
    about = encoding.encoder.identity if given is None else getattr(given, "fingerprint", {})
    folder = recipe.encoder if Path(recipe.encoder).is_dir() else None
    text = text_encoder_of(about, weights=recipe.weights or folder, device=encoding.device)
    return text_head(text, asked.descriptions, recipe.zero_shot.templates, asked.multi_label)


def _probe(head: LinearHead, asked: _Asked, config: PredictConfig) -> Probe:
    """Return the head with its rule for nothing happening: a described class, or a threshold."""
    label, least = config.background_label, config.threshold
    background = Background(
        "none",
        label,
        f"Something always happens. Describe '{label}' too to tell when nothing does, or predict "
        "with a threshold.",
    )
    if label in head.classes and config.background in ("auto", "trained"):
        background = Background("trained", label, f"Told in words, as the class '{label}'.")
    elif asked.multi_label or least is not None:
        note = f"Nothing happens below a probability of {0.5 if least is None else least:.4g}."
        background = Background("threshold", label, note)
    thresholds = () if least is None else (least,)
    return Probe(asked.column, replace(head, thresholds=thresholds), background)


def _evaluate(
    probe: Probe, encoding: Encoding, events: Events | None, asked: _Asked
) -> tuple[Predictions | None, dict[str, Any]]:
    """Predict the test split, or everything where there are no splits, and measure it."""
    if events is None:
        return None, {}
    splits = events.videos["split"]
    if splits.notna().any() and not (splits == "test").any():
        return None, {}
    predictions = predict_split((probe,), encoding, events, "test")
    if not asked.labelled or predictions.truth is None:
        return predictions, {}
    names = {"average", "bootstrap", "confidence", "unseen"}
    how = encoding.recipe.evaluation.model_dump(include=names)
    return predictions, measure_all(predictions, split="test", **how)


def _save(
    run: Run,
    probe: Probe,
    encoding: Encoding,
    predictions: Predictions | None,
    metrics: dict[str, Any],
) -> None:
    recipe = encoding.recipe
    run.write_config(recipe)
    if predictions is not None:
        write_predictions(predictions, run.predictions_dir / "test")
    if metrics:
        run.write_metrics(metrics)
    save_probes(run, (probe,), {"encoder": encoding.describe(), "recipe": recipe.name})
