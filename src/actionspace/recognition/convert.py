"""A published checkpoint as a run that predicts, and a run's encoder as a weight file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from actionspace.errors import UsageError, WeightsError
from actionspace.heads.linear import LinearHead
from actionspace.recognition.adapted import save_whole
from actionspace.recognition.encode import Encoding
from actionspace.recognition.evaluate import encoding_of, recipe_of
from actionspace.recognition.probe import Background, Probe
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.run import Run


def run_from_checkpoint(
    checkpoint: str | os.PathLike[str],
    recipe: RecognitionRecipe,
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    lora_alpha: float | None = None,
    overwrite: bool = False,
) -> Run:
    """Turn a checkpoint with a linear head into a run, ready to predict and evaluate.

    Args:
        checkpoint: a file in a known layout, or the name of published weights.
        recipe: the setting it was trained in: encoder, clips, views.
        out: the run folder.
        classes: class names in the order of the head's outputs; None = those published with the
            weights, else their numbers.
        lora_alpha: of adapters in the file, where it does not say.
        overwrite: replace a finished run.

    Raises:
        WeightsError: the file has no head or several, or does not fit the recipe's encoder.
        UsageError: another number of names than the head has outputs.
        RunError: ``out`` is taken.
    """
    from actionspace.encoders.published import WEIGHTS
    from actionspace.encoders.weights import obtain, read_checkpoint

    watch = Stopwatch()
    Run.check_free(out, overwrite=overwrite)
    published = {entry.name: entry for entry in WEIGHTS}.get(os.fspath(checkpoint))
    path = obtain(os.fspath(checkpoint))
    read = read_checkpoint(path, lora_alpha=lora_alpha)
    if not read.head:
        raise WeightsError(f"{path} is a backbone without a classifier; train a probe on it.")
    if "weight" not in read.head:
        heads = ", ".join(sorted({name.partition(".")[0] for name in read.head}))
        raise WeightsError(
            f"{path} has several classifiers ({heads}), a run made by conversion has one. Train on "
            f"its encoder instead: weights={path}."
        )
    weight, bias = (read.head[name].float().numpy() for name in ("weight", "bias"))
    names = list(classes or (published.labels if published else ()) or map(str, range(len(bias))))
    if len(names) != len(bias):
        raise UsageError(f"{path} tells {len(bias)} classes apart; {len(names)} names were given.")
    options = {**recipe.encoder_options, **({"lora_alpha": lora_alpha} if lora_alpha else {})}
    place = os.fspath(checkpoint) if published else str(Path(path).resolve())
    recipe = recipe.model_copy(update={"weights": place, "encoder_options": options})
    encoding = Encoding(recipe)
    about = encoding.describe()
    if about["dim"] != weight.shape[1]:
        raise WeightsError(f"The head of {path} is for {weight.shape[1]} features, not {about}.")
    head = LinearHead(weight.astype(np.float32), bias.astype(np.float32), tuple(names))
    background = Background("none", note="The published head always names a class.")
    run = Run.start(out, overwrite=overwrite)
    run.write_config(recipe)
    probe = Probe(recipe.head.column, head, background)
    probe.save(run, {"encoder": about, "recipe": recipe.name})
    environment = describe(
        device=encoding.device,
        stopwatch=watch,
        trainable_parameters=weight.size + bias.size,
        total_parameters=weight.size + bias.size + int(about["parameters"]),
        extra={"encoder": about, "converted_from": Path(path).name},
    )
    return run.finish(environment)


def weights_from_run(run: Run | str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the encoder of a run, adapters merged, as one file that ``weights=`` takes.

    Args:
        run: a finished run; of mode=lora its first weights must be at hand.
        out: the safetensors file.

    Raises:
        RunError: not a run, or its encoder cannot be had.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    encoder = encoding_of(run, recipe_of(run, device="cpu").model_copy(update={"features": None}))
    save_whole(Path(out), encoder.encoder.backbone)
    return Path(out)
