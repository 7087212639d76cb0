"""The network that a recipe describes, and the weights its ResNet starts from."""

from __future__ import annotations

from pathlib import Path

from actionspace.alignment.network.config import NetworkConfig
from actionspace.alignment.network.model import AlignmentNetwork
from actionspace.encoders.fit import fit_state
from actionspace.encoders.published_resnet2d import RESNET50
from actionspace.encoders.reading import read_checkpoint
from actionspace.encoders.resnet2d import ResNet
from actionspace.encoders.weights import obtain
from actionspace.errors import UsageError, WeightsError

#: Channels of the stages of a ResNet-50.
_STAGES = {2: 512, 3: 1024, 4: 2048}


def create_network(
    config: NetworkConfig,
    *,
    dim: int | None = None,
    classes: int = 0,
    weights: str | Path | None = None,
) -> AlignmentNetwork:
    """Return a network that is yet to be trained.

    Args:
        config: its make.
        dim: values per row of features, for ``input: features``.
        classes: of the classifier; 0 = none.
        weights: what the ResNet starts from: a name (``resnet50_in1k``) or a file in the layout of
            torchvision, BYOL, SimCLR or MoCo v2; None = random weights.

    Raises:
        UsageError: ``dim`` or ``weights`` do not go with the input; an unknown name.
        WeightsError: the file cannot be read, or is another network.
    """
    if config.input == "features":
        if dim is None:
            raise UsageError("input 'features' needs dim, the values per row of the features.")
        if weights is not None:
            raise UsageError(
                f"Weights {weights} are of a ResNet, which input 'features' does not have; leave "
                "them out, or set input=frames."
            )
        return AlignmentNetwork(config, dim, classes=classes)
    resnet = ResNet()
    if weights is not None:
        _start(resnet, weights)
    width = _STAGES[config.layer] if config.embedder == "conv" else resnet.dim
    return AlignmentNetwork(config, width, parts=resnet.parts(), classes=classes)


def _start(resnet: ResNet, weights: str | Path) -> None:
    read = read_checkpoint(obtain(weights))
    if read.network != RESNET50.network:
        raise WeightsError(f"{weights} is {read.name}; the network needs a resnet50 of pictures.")
    fit_state(resnet, read.backbone, what=f"{weights} into resnet50")
