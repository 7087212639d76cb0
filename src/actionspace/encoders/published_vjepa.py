"""V-JEPA 2 and 2.1 networks and their published weights. Data only; nothing here imports torch.

Licences are recorded file by file: the pages of the models differ, and 2.1 has none. No SHA-256 is
published for any file.
"""

from __future__ import annotations

from actionspace.encoders.architectures_vjepa import VJEPAArchitecture
from actionspace.encoders.weight_file import WeightFile

_FILES = "https://dl.fbaipublicfiles.com/vjepa2/"

_GIANT = 48 / 11
_GIGANTIC = 64 / 13
_TEACHER = 1664

VJEPA_NETWORKS = (
    VJEPAArchitecture("vjepa2_vit_large", 1024, 24, 16, 4.0, 256),
    VJEPAArchitecture("vjepa2_vit_huge", 1280, 32, 16, 4.0, 256),
    VJEPAArchitecture("vjepa2_vit_giant", 1408, 40, 22, _GIANT, 256),
    VJEPAArchitecture("vjepa2_vit_giant_384", 1408, 40, 22, _GIANT, 384),
    VJEPAArchitecture("vjepa2_1_vit_base_384", 768, 12, 12, 4.0, 384, 2.1, predictor_out=_TEACHER),
    VJEPAArchitecture(
        "vjepa2_1_vit_large_384", 1024, 24, 16, 4.0, 384, 2.1, predictor_out=_TEACHER
    ),
    VJEPAArchitecture("vjepa2_1_vit_giant_384", 1408, 40, 22, _GIANT, 384, 2.1, 24, 4),
    VJEPAArchitecture("vjepa2_1_vit_gigantic_384", 1664, 48, 26, _GIGANTIC, 384, 2.1, 24, 4),
)

_LARGE, _HUGE, _G, _G384, _B1, _L1, _G1, _GG1 = VJEPA_NETWORKS
_APACHE_PAGE = "Apache-2.0 (the model's page)"
_MIT_CODE = "MIT (of the code; weights not licensed apart)"


def _file(
    network: VJEPAArchitecture, file: str, licence: str, note: str, cached_as: str = ""
) -> WeightFile:
    return WeightFile(
        f"{network.name}_pretrained",
        _FILES + file,
        network,
        0,
        "none (self-supervised)",
        licence,
        note,
        clip=network.clip,
        bytes_per_parameter=16,
        cached_as=cached_as,
    )


_SELF = "self-supervised on video and pictures; no classes"
_DISTILLED = "distilled from the gigantic one; its three shallow norms are untrained"

VJEPA_FILES = (
    _file(_LARGE, "vitl.pt", "MIT (the model's page, as reported)", _SELF),
    _file(_HUGE, "vith.pt", "Apache-2.0 (the model's page, as reported)", _SELF),
    _file(_G, "vitg.pt", _APACHE_PAGE, _SELF),
    _file(_G384, "vitg-384.pt", _APACHE_PAGE, _SELF),
    _file(_B1, "vjepa2_1_vitb_dist_vitG_384.pt", _MIT_CODE, _DISTILLED),
    _file(_L1, "vjepa2_1_vitl_dist_vitG_384.pt", _MIT_CODE, _DISTILLED),
    _file(_G1, "vjepa2_1_vitg_384.pt", _MIT_CODE, _SELF),
    # Its address differs from the one before in the case of a letter alone.
    _file(_GG1, "vjepa2_1_vitG_384.pt", _MIT_CODE, _SELF, "vjepa2-vjepa2_1_gigantic_384.pt"),
)
