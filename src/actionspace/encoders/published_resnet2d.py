"""The picture ResNet-50, frame by frame, and its published weights. Data only.

Nothing here imports torch. Accuracies in the notes are top-1 on ImageNet (of a linear classifier
on the self-supervised ones), not checked here. BYOL's file is fetched by hand
(``alignment/published.py``); its layout is read like the others.
"""

from __future__ import annotations

from actionspace.encoders.convnet import ConvNet
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.weight_file import APACHE, WeightFile

_TORCHVISION = "https://download.pytorch.org/models/"
_BSD = "BSD-3-Clause (of the code; weights not licensed apart)"
_NO_LABELS = "imagenet, its labels not used"

RESNET50 = ConvNet(
    name="resnet50",
    network="actionspace.encoders.resnet2d:ResNet",
    dim=2048,
    backbone_parameters=23_508_032,
    clip_multiply_adds=4_087_136_256,
    clip=ClipSpec(frames=1, stride=1),
)

RESNET2D_NETWORKS = (RESNET50,)

RESNET2D_FILES = (
    WeightFile(
        "resnet50_in1k",
        _TORCHVISION + "resnet50-0676ba61.pth",
        RESNET50,
        1000,
        "imagenet",
        _BSD,
        "torchvision, first recipe; published top-1 76.13; where CARL starts",
        sha256="0676ba61",
        clip=RESNET50.clip,
    ),
    WeightFile(
        "resnet50_in1k_v2",
        _TORCHVISION + "resnet50-11ad3fa6.pth",
        RESNET50,
        1000,
        "imagenet",
        _BSD,
        "torchvision, second recipe; published top-1 80.86",
        sha256="11ad3fa6",
        clip=RESNET50.clip,
    ),
    WeightFile(
        "resnet50_mocov2",
        "https://dl.fbaipublicfiles.com/moco/moco_checkpoints/moco_v2_800ep/"
        "moco_v2_800ep_pretrain.pth.tar",
        RESNET50,
        0,
        _NO_LABELS,
        "CC-BY-NC-4.0",
        "MoCo v2, 800 epochs; published top-1 71.1; md5 begins with a04e12f8",
        clip=RESNET50.clip,
        bytes_per_parameter=12,
    ),
    WeightFile(
        "resnet50_simclr",
        "https://pl-bolts-weights.s3.us-east-2.amazonaws.com/simclr/bolts_simclr_imagenet/"
        "simclr_imagenet.ckpt",
        RESNET50,
        0,
        _NO_LABELS,
        APACHE,
        "SimCLR of Lightning Bolts",
        clip=RESNET50.clip,
    ),
)
