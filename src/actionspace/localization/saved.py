"""The network in a run folder: ``weights.safetensors``, and ``labels.json`` beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actionspace.encoders.checkpoint import write_weights
from actionspace.errors import RunError, UsageError, did_you_mean
from actionspace.localization.network.create import Network, create_network
from actionspace.localization.recipe import LocalizationRecipe
from actionspace.training.checkpoint import load_weights
from actionspace.training.freeze import differences
from actionspace.training.run import Run

PREFIX = "network."  # of its weights among those of a training


def save_network(run: Run, network: Network) -> None:
    """Write the weights under the published names."""
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    write_weights(run.path / "weights.safetensors", state)


def save_labels(
    run: Run,
    recipe: LocalizationRecipe,
    classes: Sequence[str],
    encoder: Mapping[str, Any],
    threshold: float,
) -> None:
    """Write ``labels.json``.

    Args:
        run: the run folder.
        recipe: names the head column.
        classes: names in the order of their numbers.
        encoder: what made the features, see :meth:`.encode.Encoding.describe`.
        threshold: score from which on a detection is told.
    """
    run.write_labels(
        {
            "task": "localization",
            "heads": {recipe.column: {"classes": list(classes), "multi_label": True}},
            "encoder": dict(encoder),
            "recipe": recipe.name,
            "threshold": threshold,
        }
    )


def classes_of(run: Run, column: str) -> list[str]:
    """Return the class names of a run in the order of their numbers.

    Raises:
        RunError: ``labels.json`` does not name them.
    """
    try:
        return [str(name) for name in run.labels["heads"][column]["classes"]]
    except (KeyError, TypeError) as e:
        raise RunError(f"{run.path / 'labels.json'} names no classes of '{column}'.") from e


def load_network(
    run: Run, recipe: LocalizationRecipe, *, checkpoint: str | None = None, device: str = "cpu"
) -> Network:
    """Return a run's network in evaluation mode.

    Args:
        run: the run.
        recipe: its recipe.
        checkpoint: weights kept while training, e.g. ``epoch_034``; None = those it ended with.
        device: where it is wanted.

    Raises:
        RunError: the weights are missing, damaged or of another network.
        UsageError: there is no such checkpoint.
    """
    path = run.path / "weights.safetensors"
    if checkpoint is not None:
        folder = run.path / "checkpoints"
        kept = sorted(p.stem for p in folder.glob("*.safetensors"))
        if checkpoint not in kept:
            hint = did_you_mean(checkpoint, kept) or f" There is: {', '.join(kept) or 'none'}."
            raise UsageError(f"{run.path} has kept no weights called '{checkpoint}'.{hint}")
        path = folder / f"{checkpoint}.safetensors"
    state = load_weights(path)
    if checkpoint is not None:
        state = {n.removeprefix(PREFIX): v for n, v in state.items() if n.startswith(PREFIX)}
    dim = int((run.labels.get("encoder") or {}).get("dim") or 0)
    network = create_network(recipe.model, dim, len(classes_of(run, recipe.column)))
    fill(network, state, str(path))
    return network.to(torch.device(device)).eval()


def fill(network: Network, state: Mapping[str, Tensor], where: str) -> None:
    """Give a network its weights.

    Raises:
        RunError: names or shapes are not those of the network; the first that differ are named.
    """
    if wrong := differences(network.state_dict(), state):
        raise RunError(
            f"{where} holds the weights of another network than the recipe describes: {wrong}."
        )
    network.load_state_dict(dict(state))
