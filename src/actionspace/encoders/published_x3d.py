"""X3D networks and their published weights. Data only; nothing here imports torch.

XS, S and M have the same weights' shapes and differ in the clips they are fed. The clip is the one
each was trained on and pools over, so that global pooling is the published computation; the
accuracies in the notes are of 30 views per video (10 clips x 3 crops) at the publishers' larger
test crops (182, 182, 256, 356), not checked here. No SHA-256 is published for any file.
"""

from __future__ import annotations

from actionspace.encoders.architectures_x3d import X3D_L, X3D_XSM, X3DArchitecture
from actionspace.encoders.convnet import KINETICS_MEAN, KINETICS_STD, ConvNet
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.weight_file import APACHE, WeightFile

_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/"
_PYSLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast/x3d_models/"


def _network(
    name: str, shape: X3DArchitecture, frames: int, stride: int, size: int, short_side: int
) -> ConvNet:
    return ConvNet(
        name=name,
        network="actionspace.encoders.x3d:X3D",
        dim=shape.dim,
        backbone_parameters=shape.parameters(),
        clip_multiply_adds=shape.multiply_adds(frames, size, size),
        clip=ClipSpec(
            frames=frames,
            stride=stride,
            size=size,
            short_side=short_side,
            mean=KINETICS_MEAN,
            std=KINETICS_STD,
            fps=30.0,
        ),
        arguments=shape.options() | {"built_for": (frames, size)},
    )


X3D_NETWORKS = (
    _network("x3d_xs", X3D_XSM, frames=4, stride=12, size=160, short_side=182),
    _network("x3d_s", X3D_XSM, frames=13, stride=6, size=160, short_side=182),
    _network("x3d_m", X3D_XSM, frames=16, stride=5, size=224, short_side=256),
    _network("x3d_l", X3D_L, frames=16, stride=5, size=312, short_side=356),
)


def _file(name: str, url: str, network: ConvNet, note: str) -> WeightFile:
    return WeightFile(
        name,
        url,
        network,
        400,
        "kinetics400",
        APACHE,
        note,
        clip=network.clip,
        bytes_per_parameter=8,
    )


def _pytorchvideo(network: ConvNet, top1: float, top5: float) -> WeightFile:
    url = f"{_PYTORCHVIDEO}{network.name.upper()}.pyth"
    note = f"pytorchvideo; Kinetics-400 top-1 {top1:.2f}, top-5 {top5:.2f}"
    return _file(f"{network.name}_k400", url, network, note)


def _pyslowfast(network: ConvNet, top1: float) -> WeightFile:
    url = f"{_PYSLOWFAST}{network.name}.pyth"
    note = f"PySlowFast; Kinetics-400 top-1 {top1:.1f}"
    return _file(f"{network.name}_k400_pyslowfast", url, network, note)


_XS, _S, _M, _L = X3D_NETWORKS

X3D_FILES = (
    _pytorchvideo(_XS, 69.12, 88.63),
    _pytorchvideo(_S, 73.33, 91.27),
    _pytorchvideo(_M, 75.94, 92.72),
    _pytorchvideo(_L, 77.44, 93.31),
    _pyslowfast(_XS, 69.5),
    _pyslowfast(_S, 73.5),
    _pyslowfast(_M, 76.2),
    _pyslowfast(_L, 77.5),
)
