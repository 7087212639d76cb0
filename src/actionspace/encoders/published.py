"""What this library knows by name: networks, published weights and split lists, and their origin.

Data only. No published SHA-256 exists for any of them except torchvision's, whose file names
carry its first eight digits; the others are said to be unverified when they are loaded.
"""

from __future__ import annotations

from actionspace.encoders.architectures import BASE, BASE_1K, BASE_SSV2, LARGE, SMALL, TINY
from actionspace.encoders.published_resnet import RESNET_FILES, RESNET_NETWORKS
from actionspace.encoders.published_resnet2d import RESNET2D_FILES, RESNET2D_NETWORKS
from actionspace.encoders.published_vjepa import VJEPA_FILES, VJEPA_NETWORKS
from actionspace.encoders.published_x3d import X3D_FILES, X3D_NETWORKS
from actionspace.encoders.spec import ClipSpec
from actionspace.encoders.weight_file import APACHE, Architecture, WeightFile

_SWIN = "https://github.com/SwinTransformer/storage/releases/download/v1.0.4/"
_UAS = "https://github.com/franktpmvu/Universal-Action-Space/releases/download/"
_TORCHVISION = "https://download.pytorch.org/models/"

_BSD = "BSD-3-Clause (of the code; weights not licensed apart)"
_UNSTATED = "not stated"

CHIMPBEHAVE = (
    "sitting",
    "standing",
    "walking",
    "hanging",
    "climbing_up",
    "climbing_down",
    "running",
)
MAMMALNET = (
    "drinks water",
    "sleeps",
    "eats food",
    "mates with other animals",
    "nurses or breastfeeds its baby",
    "pees",
    "grooms/cleans itself or other animal",
    "poops",
    "fights against other animals",
    "hunts other animals",
    "vomits",
    "gives birth to a baby",
)


#: Networks by name, whatever their weights.
NETWORKS: dict[str, Architecture] = {
    "swin3d_t": TINY,
    "swin3d_s": SMALL,
    "swin3d_b": BASE,
    "swin3d_l": LARGE,
    **{network.name: network for network in (*X3D_NETWORKS, *RESNET_NETWORKS, *RESNET2D_NETWORKS)},
    **{network.name: network for network in VJEPA_NETWORKS},
}

_SWIN_FILES = (
    WeightFile(
        "swin3d_t_k400",
        _SWIN + "swin_tiny_patch244_window877_kinetics400_1k.pth",
        TINY,
        400,
        "kinetics400",
        APACHE,
        "Video Swin, ImageNet-1K start; published top-1 78.8",
    ),
    WeightFile(
        "swin3d_s_k400",
        _SWIN + "swin_small_patch244_window877_kinetics400_1k.pth",
        SMALL,
        400,
        "kinetics400",
        APACHE,
        "Video Swin, ImageNet-1K start; published top-1 80.6",
    ),
    WeightFile(
        "swin3d_b_k400_1k",
        _SWIN + "swin_base_patch244_window877_kinetics400_1k.pth",
        BASE_1K,
        400,
        "kinetics400",
        APACHE,
        "Video Swin, ImageNet-1K start; published top-1 80.6",
    ),
    WeightFile(
        "swin3d_b_k400",
        _SWIN + "swin_base_patch244_window877_kinetics400_22k.pth",
        BASE,
        400,
        "kinetics400",
        APACHE,
        "Video Swin, ImageNet-22K start; published top-1 82.7",
        mirror=_UAS + "Pre-train/swin_base_patch244_window877_kinetics400_22k.pth",
    ),
    WeightFile(
        "swin3d_b_k600",
        _SWIN + "swin_base_patch244_window877_kinetics600_22k.pth",
        BASE,
        600,
        "kinetics600",
        APACHE,
        "Video Swin, ImageNet-22K start; published top-1 84.0",
        mirror=_UAS + "Pre-train/swin_base_patch244_window877_kinetics600_22k.pth",
    ),
    WeightFile(
        "swin3d_b_k700",
        _UAS + "Pre-train/swin_base_patch244_window877_kinetics700_22k.pth",
        BASE,
        700,
        "kinetics700",
        _UNSTATED,
        "Universal Action Space, ImageNet-22K start",
    ),
    WeightFile(
        "swin3d_b_ssv2",
        _SWIN + "swin_base_patch244_window1677_sthv2.pth",
        BASE_SSV2,
        174,
        "something-something-v2",
        APACHE,
        "Video Swin, Kinetics-400 start, 32 frames spread over the video; published top-1 69.6",
    ),
    WeightFile(
        "swin3d_t_k400_tv",
        _TORCHVISION + "swin3d_t-7615ae03.pth",
        TINY,
        400,
        "kinetics400",
        _BSD,
        "torchvision's copy; published top-1 77.7 at its own sampling",
        sha256="7615ae03",
    ),
    WeightFile(
        "swin3d_s_k400_tv",
        _TORCHVISION + "swin3d_s-da41c237.pth",
        SMALL,
        400,
        "kinetics400",
        _BSD,
        "torchvision's copy; published top-1 79.5 at its own sampling",
        sha256="da41c237",
    ),
    WeightFile(
        "swin3d_b_k400_1k_tv",
        _TORCHVISION + "swin3d_b_1k-24f7c7c6.pth",
        BASE_1K,
        400,
        "kinetics400",
        _BSD,
        "torchvision's copy; published top-1 79.4 at its own sampling",
        sha256="24f7c7c6",
    ),
    WeightFile(
        "swin3d_b_k400_tv",
        _TORCHVISION + "swin3d_b_22k-7c6ae6fa.pth",
        BASE,
        400,
        "kinetics400",
        _BSD,
        "torchvision's copy, ImageNet-22K start; published top-1 81.6 at its own sampling",
        sha256="7c6ae6fa",
    ),
    WeightFile(
        "uas_mammalnet_k400",
        _UAS + "Checkpoints/mammalnet_k400_UAS_epoch_30.pth",
        BASE,
        12,
        "mammalnet",
        _UNSTATED,
        "UAS linear probe; published top-1 56.6, mean class 43.2",
        labels=MAMMALNET,
    ),
    WeightFile(
        "uas_chimpbehave_k400",
        _UAS + "Checkpoints/chimpbehave_k400_UAS_epoch_30.pth",
        BASE,
        7,
        "chimpbehave",
        _UNSTATED,
        "UAS linear probe; published top-1 93.7, mean class 65.8",
        labels=CHIMPBEHAVE,
        clip=ClipSpec(stride=1),
    ),
    WeightFile(
        "uas_chimpbehave_k600",
        _UAS + "Checkpoints/chimpbehave_k600_UAS_epoch_30.pth",
        BASE,
        7,
        "chimpbehave",
        _UNSTATED,
        "UAS linear probe; published top-1 93.5, mean class 72.3",
        labels=CHIMPBEHAVE,
        clip=ClipSpec(stride=1),
    ),
    WeightFile(
        "uas_chimpbehave_k700",
        _UAS + "Checkpoints/chimpbehave_k700_UAS_epoch_30.pth",
        BASE,
        7,
        "chimpbehave",
        _UNSTATED,
        "UAS linear probe; published top-1 94.2, mean class 56.4",
        labels=CHIMPBEHAVE,
        clip=ClipSpec(stride=1),
    ),
)

WEIGHTS: tuple[WeightFile, ...] = (
    *_SWIN_FILES,
    *X3D_FILES,
    *RESNET_FILES,
    *RESNET2D_FILES,
    *VJEPA_FILES,
)

# Split lists released beside the weights: name -> address.
SPLIT_LISTS: dict[str, str] = {
    "chimpbehave_train.txt": _UAS + "Pre-release/chimpbehave_train.txt",
    "chimpbehave_val.txt": _UAS + "Pre-release/chimpbehave_val.txt",
    "k700_diff_train.txt": _UAS + "Pre-release/k700_diff_train.txt",
    "k700_diff_val.txt": _UAS + "Pre-release/k700_diff_val.txt",
}
