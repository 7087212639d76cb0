"""The network in a run folder, what its labels are, and the sequences its baselines learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from actionspace.anticipation.network.model import AnticipationNetwork
from actionspace.anticipation.recipe import AnticipationRecipe
from actionspace.anticipation.timeline import Timeline
from actionspace.encoders.checkpoint import write_weights
from actionspace.errors import RunError
from actionspace.paths import atomic_path
from actionspace.training.checkpoint import load_weights
from actionspace.training.freeze import differences
from actionspace.training.run import Run

SEQUENCES = "sequences.safetensors"
"""Starts, ends and labels of the training events: all that the Markov baselines are made from."""


def heads_of(recipe: AnticipationRecipe, classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the ``heads`` entry of ``labels.json``."""
    return {name: {"classes": list(classes[name]), "multi_label": False} for name in recipe.columns}


def save_run(
    run: Run,
    recipe: AnticipationRecipe,
    network: AnticipationNetwork,
    classes: Mapping[str, Sequence[str]],
    encoder: Mapping[str, Any],
    steps: Sequence[float],
    timelines: Sequence[Timeline],
) -> None:
    """Write weights, labels and training sequences.

    Args:
        run: the run folder.
        recipe: all options.
        network: what was learnt.
        classes: per column the names in the order of their numbers.
        encoder: what made the features, see :meth:`.encode.Encoded.describe`.
        steps: seconds between the slots of each store.
        timelines: of the training events.
    """
    from safetensors.numpy import save_file

    state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    write_weights(run.path / "weights.safetensors", state)
    run.write_labels(
        {
            "task": "anticipation",
            "heads": heads_of(recipe, classes),
            "encoder": dict(encoder),
            "recipe": recipe.name,
            "steps": list(steps),
        }
    )
    lengths = np.array([len(t.starts) for t in timelines], np.int64)
    arrays = {
        "lengths": lengths,
        "starts": np.concatenate([t.starts for t in timelines]),
        "ends": np.concatenate([t.ends for t in timelines]),
        "labels": np.concatenate([t.labels for t in timelines]),
    }
    with atomic_path(run.path / SEQUENCES) as tmp:
        save_file(arrays, tmp)


def training_sequences(run: Run) -> tuple[Timeline, ...]:
    """Return the sequences of the training events.

    Raises:
        RunError: they are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(run.path / SEQUENCES)
        cuts = np.cumsum(arrays["lengths"])[:-1]
        parts = (np.split(arrays[name], cuts) for name in ("starts", "ends", "labels"))
        return tuple(Timeline(*part) for part in zip(*parts, strict=True))
    except (OSError, KeyError, SafetensorError) as e:
        raise RunError(f"{run.path / SEQUENCES} cannot be read: {e}. Train the run again.") from e


def classes_in(run: Run, recipe: AnticipationRecipe) -> dict[str, list[str]]:
    """Return the classes of a run, by column.

    Raises:
        RunError: ``labels.json`` does not name them.
    """
    try:
        heads = run.labels["heads"]
        return {name: [str(c) for c in heads[name]["classes"]] for name in recipe.columns}
    except (KeyError, TypeError) as e:
        raise RunError(f"{run.path / 'labels.json'} names no classes of {e}.") from e


def load_network(run: Run, recipe: AnticipationRecipe, device: str = "cpu") -> AnticipationNetwork:
    """Return a run's network in evaluation mode.

    Args:
        run: the run.
        recipe: its recipe.
        device: where it is wanted.

    Raises:
        RunError: the weights are missing, damaged or of another network.
    """
    from actionspace.anticipation.window import slot_count

    labels = run.labels
    parts = (labels.get("encoder") or {}).get("parts") or []
    slots = [slot_count(recipe.window.seconds, float(step)) for step in labels.get("steps") or []]
    dims = [int(part["dim"]) for part in parts]
    if len(dims) != len(slots) or (recipe.sees and not dims):
        raise RunError(f"{run.path / 'labels.json'} does not say what features it was trained on.")
    network = AnticipationNetwork(
        recipe.network, classes_in(run, recipe), dims, slots, past=recipe.knows
    )
    path = run.path / "weights.safetensors"
    state = load_weights(path)
    if wrong := differences(network.state_dict(), state):
        raise RunError(
            f"{path} holds the weights of another network than the recipe describes: {wrong}."
        )
    network.load_state_dict(dict(state))
    return network.to(torch.device(device)).eval()
