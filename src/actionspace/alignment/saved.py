"""The network in a run folder: ``weights.safetensors``, and ``labels.json`` beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from actionspace.alignment.network.create import create_network
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.alignment.recipe import AlignmentRecipe
from actionspace.encoders.checkpoint import write_weights
from actionspace.errors import RunError
from actionspace.training.checkpoint import load_weights
from actionspace.training.freeze import differences
from actionspace.training.run import Run


def save_network(run: Run, network: AlignmentNetwork) -> None:
    """Write the weights under the published names."""
    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    write_weights(run.path / "weights.safetensors", state)


def save_labels(
    run: Run, recipe: AlignmentRecipe, phases: Sequence[str], encoder: Mapping[str, Any]
) -> None:
    """Write ``labels.json``.

    Args:
        run: the run folder.
        recipe: names the column of phases.
        phases: names in the order of their numbers; none = the videos have no labels.
        encoder: what made the features, see :meth:`.encode.Encoded.describe`; empty for a network
            of pictures.
    """
    heads = {recipe.column: {"classes": list(phases), "multi_label": False}} if phases else {}
    run.write_labels(
        {"task": "alignment", "heads": heads, "encoder": dict(encoder), "recipe": recipe.name}
    )


def phases_in(run: Run, recipe: AlignmentRecipe) -> list[str]:
    """Return the phases of a run in the order of their numbers; none without labels."""
    head = (run.labels.get("heads") or {}).get(recipe.column) or {}
    return [str(name) for name in head.get("classes", ())]


def load_network(run: Run, recipe: AlignmentRecipe, device: str = "cpu") -> AlignmentNetwork:
    """Return a run's network in evaluation mode.

    Args:
        run: the run.
        recipe: its recipe.
        device: where it is wanted.

    Raises:
        RunError: the weights are missing, damaged or of another network.
    """
    path = run.path / "weights.safetensors"
    features = recipe.network.input == "features"
    dim = int((run.labels.get("encoder") or {}).get("dim") or 0)
    if features and not dim:
        raise RunError(
            f"{run.path / 'labels.json'} does not say how many values a row of features has "
            "(encoder.dim). Train the run again."
        )
    classes = len(phases_in(run, recipe)) if recipe.loss.name == "classification" else 0
    network = create_network(recipe.make, dim=dim if features else None, classes=classes)
    state = load_weights(path)
    if wrong := differences(network.state_dict(), state):
        raise RunError(
            f"{path} holds the weights of another network than the recipe describes: {wrong}."
        )
    network.load_state_dict(dict(state))
    return network.to(torch.device(device)).eval()
