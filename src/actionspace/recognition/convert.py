"""A published checkpoint as a run that predicts, and a run's encoder as a weight file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import UsageError, WeightsError
from actionspace.heads.linear import LinearHead
from actionspace.recognition.adapted import save_whole
from actionspace.recognition.encode import Encoding
from actionspace.recognition.evaluate import encoding_of, recipe_of
from actionspace.recognition.probe import Background, Probe, save_probes
from actionspace.recognition.recipe import RecognitionRecipe
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.run import Run

if TYPE_CHECKING:
    from torch import Tensor


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
        WeightsError: the file has no head or others than the recipe names, or does not fit its
            encoder.
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
    layers = _layers(read.head, recipe.head.columns, path)
    names = {column: list(map(str, range(len(bias)))) for column, (_, bias) in layers.items()}
    if len(layers) == 1:
        [column], known = layers, classes or (published.labels if published else ())
        names[column] = list(known or names[column])
    elif classes is not None:
        raise UsageError(f"{path} has several classifiers; their classes can only be numbered.")
    for column, (_, bias) in layers.items():
        if len(names[column]) != len(bias):
            raise UsageError(
                f"{path} tells {len(bias)} classes apart; {len(names[column])} names were given."
            )
    options = {**recipe.encoder_options, **({"lora_alpha": lora_alpha} if lora_alpha else {})}
    place = os.fspath(checkpoint) if published else str(Path(path).resolve())
    recipe = recipe.model_copy(update={"weights": place, "encoder_options": options})
    recipe = _frozen(recipe)
    encoding = Encoding(recipe)
    about = encoding.describe()
    background = Background("none", note="The published head always names a class.")
    probes = []
    for column, (weight, bias) in layers.items():
        if about["dim"] != weight.shape[1]:
            raise WeightsError(
                f"The head of {path} is for {weight.shape[1]} features, not {about}."
            )
        head = LinearHead(weight, bias, tuple(names[column]))
        probes.append(Probe(column, head, background))
    run = Run.start(out, overwrite=overwrite)
    run.write_config(recipe)
    save_probes(run, probes, {"encoder": about, "recipe": recipe.name})
    parameters = sum(weight.size + bias.size for weight, bias in layers.values())
    environment = describe(
        device=encoding.device,
        stopwatch=watch,
        trainable_parameters=parameters,
        total_parameters=parameters + int(about["parameters"]),
        extra={"encoder": about, "converted_from": Path(path).name},
    )
    return run.finish(environment)


def _frozen(recipe: RecognitionRecipe) -> RecognitionRecipe:
    """Return the recipe of a run whose encoder is the file's, however it was trained."""
    if not recipe.changes_encoder:
        return recipe
    clips = recipe.clips.model_copy(update={"batch_norm_drift": False})
    frozen = {"mode": "head", "layers": None, "freeze_norms": False, "clips": clips}
    return recipe.model_copy(update=frozen)


def _layers(
    head: Mapping[str, Tensor], columns: Sequence[str], path: Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return weight and bias of each column's classifier, float32."""
    of = {column: "" if len(columns) == 1 else f"{column}." for column in columns}
    if any(f"{prefix}weight" not in head for prefix in of.values()):
        found = sorted({name.rpartition(".")[0] for name in head} - {""})
        has = f"several classifiers ({', '.join(found)})" if found else "one classifier"
        raise WeightsError(
            f"{path} has {has}, and the recipe's head.column is {', '.join(columns)}. Name its "
            f"classifiers there, or train on its encoder instead: weights={path}."
        )

    def array(name: str) -> np.ndarray:
        return np.asarray(head[name].float().numpy(), np.float32)

    return {c: (array(f"{prefix}weight"), array(f"{prefix}bias")) for c, prefix in of.items()}


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
