"""A published checkpoint of CARL as a network of ours; nothing in the file is run."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actionspace.alignment.keys import (
    classes_and_dim,
    network_state,
    noted_options,
    time_paddings,
    told_options,
)
from actionspace.alignment.network.config import NetworkConfig
from actionspace.config import parse
from actionspace.encoders.checkpoint import read_weights
from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from actionspace.alignment.network.model import AlignmentNetwork

log = logging.getLogger("actionspace")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint, read.

    Attributes:
        state: its weights, under our names.
        config: the network they are of.
        dim: channels that go into its embedder.
        classes: of its classifier, 0 without one.
    """

    state: dict[str, Tensor]
    config: NetworkConfig
    dim: int
    classes: int

    def network(self) -> AlignmentNetwork:
        """Return the network with these weights, in evaluation mode.

        Raises:
            WeightsError: the weights are not those of such a network.
        """
        from actionspace.alignment.network.create import create_network
        from actionspace.encoders.fit import fit_state

        dim = self.dim if self.config.input == "features" else None
        network = create_network(self.config, dim=dim, classes=self.classes)
        fit_state(network, self.state, what="The checkpoint")
        return network.eval()


def read_checkpoint(path: str | os.PathLike[str], base: NetworkConfig | None = None) -> Checkpoint:
    """Read a checkpoint of the published code, or weights of ours.

    Names and shapes tell most of the network, the settings within the file the rest; what it has
    none of (number of heads, frames of a training clip, contexts) is as in ``base``.

    Args:
        path: ``checkpoint_epoch_00499.pth``, or safetensors.
        base: the network as far as the file does not tell; None = the defaults.

    Raises:
        WeightsError: the file cannot be read, wants to run code, or holds another network.
        ConfigError: its settings contradict themselves.
    """
    weights, notes = read_weights(os.fspath(path))
    try:
        state = network_state(weights)
    except WeightsError as e:
        raise WeightsError(f"{path}: {e}") from e
    settings = notes.get("cfg", {})
    told = told_options(state)
    for layer, padding in zip(told.get("conv", ()), time_paddings(settings), strict=False):
        layer["time_padding"] = padding
    base = base or NetworkConfig()
    if not settings:
        log.warning(
            "%s holds no settings: it is taken for a network with %d heads, trained on %d frames "
            "with %d contexts each.",
            *(path, base.heads, base.train_frames, base.contexts),
        )
    options = base.model_dump() | noted_options(settings) | told
    classes, dim = classes_and_dim(state)
    return Checkpoint(state, parse(NetworkConfig, options, str(path)), dim, classes)
