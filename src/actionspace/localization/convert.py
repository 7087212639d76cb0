"""A published checkpoint of ActionFormer or TriDet as a run that evaluates and predicts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import RunError, UsageError, WeightsError
from actionspace.localization.network.keys import network_state, told_options
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.training.environment import Stopwatch, describe
from actionspace.training.places import places
from actionspace.training.run import Run

if TYPE_CHECKING:
    from torch import Tensor


def run_from_checkpoint(
    checkpoint: str | os.PathLike[str],
    recipe: LocalizationRecipe,
    out: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    average: bool = True,
    overwrite: bool = False,
) -> Run:
    """Turn a published checkpoint into a run that evaluates and predicts; nothing in it is run.

    Where the recipe names data and features, they are the run's own; else ``evaluate`` is given
    both.

    Args:
        checkpoint: ``epoch_034.pth.tar`` or the like, or the name of published weights.
        recipe: the setting it was trained in.
        out: the run folder.
        classes: class names in the order of their numbers; None = the recipe's, those of ``data``
            (its ``classes.json`` keeps the order of the original label ids), or else numbers.
        data: manifest of the data set; None = the recipe's, if it has one.
        average: take the moving average of the weights, with which the original evaluates.
        overwrite: replace a finished run.

    Raises:
        WeightsError: the file holds no such network.
        RunError: it is another network than the recipe's; ``out`` is taken.
        UsageError: another number of names than the network has classes.
    """
    from actionspace.localization.detection.threshold import DEFAULT
    from actionspace.localization.network.create import create_network
    from actionspace.localization.saved import fill, save_labels, save_network

    watch = Stopwatch()
    Run.check_free(out, overwrite=overwrite)
    path = _file(checkpoint)
    state = network_state(_read(path), average=average)
    dim, count = _sizes(state, recipe, path)
    data = data if data is not None else recipe.data
    names = list(classes or recipe.classes or _classes_of(data, recipe, count))
    if len(names) != count:
        raise UsageError(f"{path} tells {count} classes apart; {len(names)} names were given.")
    network = create_network(recipe.model, dim, count)
    try:
        fill(network, state, str(path))
    except RunError as e:
        raise RunError(f"{e}{_advice(state, recipe)}") from e
    recipe = recipe.model_copy(update=places(data, recipe.features, recipe.root))
    run = Run.start(out, overwrite=overwrite)
    run.write_config(recipe)
    save_network(run, network)
    about = _features(recipe, dim)
    threshold = DEFAULT if recipe.predict.threshold is None else recipe.predict.threshold
    save_labels(run, recipe, names, about, threshold)
    parameters = sum(p.numel() for p in network.parameters())
    environment = describe(
        device="cpu",
        stopwatch=watch,
        trainable_parameters=parameters,
        total_parameters=parameters,
        extra={"encoder": about, "converted_from": path.name, "averaged": average},
    )
    return run.finish(environment)


def _file(checkpoint: str | os.PathLike[str]) -> Path:
    from actionspace.encoders.weights import obtain

    text = os.fspath(checkpoint)
    return Path(text) if Path(text).is_file() else Path(obtain(text))


def _read(path: Path) -> dict[str, Any]:
    """Return what a file holds, without running anything in it."""
    import torch

    from actionspace.training.checkpoint import load_weights

    if path.suffix == ".safetensors":
        return dict(load_weights(path))
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # whatever a foreign file makes of itself
        raise WeightsError(
            f"{path} cannot be read as weights without running code from it: {e}. Expected is a "
            "checkpoint of ActionFormer or TriDet, as epoch_034.pth.tar."
        ) from e
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds {type(content).__name__}, not a checkpoint.")
    return content


def _sizes(state: dict[str, Tensor], recipe: LocalizationRecipe, path: Path) -> tuple[int, int]:
    """Return the values per row and the classes of a network, from its weights."""
    try:
        moments = "heatmap_head.heatmap_head.conv.bias"
        count = len(state[moments if moments in state else "cls_head.cls_head.conv.bias"])
        if recipe.model.input_split:
            return sum(recipe.model.input_split), count
        return int(state["backbone.embd.0.conv.weight"].shape[1]), count
    except KeyError as e:
        raise WeightsError(
            f"{path} lacks {e}, so it is no checkpoint of ActionFormer or TriDet."
        ) from e


def _classes_of(
    data: str | os.PathLike[str] | None, recipe: LocalizationRecipe, count: int
) -> list[str]:
    if data is None:
        return [str(i) for i in range(count)]
    from actionspace.datasets.class_order import class_order
    from actionspace.localization.data.samples import load

    return class_order(load(data, recipe.root)[0], recipe.column)


def _advice(state: dict[str, Tensor], recipe: LocalizationRecipe) -> str:
    """Return what the weights tell of their network's options and the recipe says otherwise."""
    other = []
    for name, value in told_options(state, recipe.model.heads).items():
        said: Any = recipe.model
        for part in name.split("."):
            said = getattr(said, part)
        if said != value:
            other.append(f"model.{name}={'null' if value is None else str(value).lower()}")
    return f" They tell of {', '.join(other)}; say so in the recipe." if other else ""


def _features(recipe: LocalizationRecipe, dim: int) -> dict[str, Any]:
    """Return what is known of the features that the published weights were trained on."""
    files = recipe.files
    about = {"format": "foreign", "dim": dim, "stride": files.stride, "window": files.window}
    joined = bool(recipe.model.input_split)
    fingerprint = {"format": "joined", "dim": dim} if joined else about | {"fps": files.fps}
    return {"name": None, "weights_hash": None, "dim": dim, "fingerprint": fingerprint}
