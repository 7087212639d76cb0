"""Published models of CARL and embeddings of FineGym: where they are. Data only.

They lie on pages that only a browser gets past (Google Drive; links there expire), so nothing is
downloaded, and no sum is published of any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from actionspace.encoders.weights import WeightInfo

_DRIVE = "https://drive.google.com/drive/folders/"


@dataclass(frozen=True)
class PublishedFolder:
    """A folder to be fetched by hand.

    Attributes:
        name: in ``list weights``.
        folder: what it is called there.
        page: where it is fetched.
        label_set: what it was trained on, without the labels.
        architecture: the kind of network, or ``features``.
        note: what it is, and figures of the paper (as recalled; not checked here).
        mirror: the page of an earlier training of the same setting.
        licence: as stated by whom it is from.
    """

    name: str
    folder: str
    page: str
    label_set: str
    note: str
    mirror: str = ""
    architecture: str = "CARL"
    licence: str = "MIT (of the code; the files are not licensed apart)"


_FINEGYM = f"{_DRIVE}1XCxwo9KTXJBG3LfxQwikguLYOI6v-SHw"
_FINEGYM_BEFORE = f"{_DRIVE}1NhdWrL1lCMEzDKgDsHp7qbj2klIARrje"

PUBLISHED = (
    PublishedFolder(
        "carl_pouring",
        "scl_transformer_logs",
        f"{_DRIVE}163NvBvfb0_HyciMzqFuPCugN1F3oci7k",
        "pouring",
        "2 layers, 240 frames; recalled: phases 93.73, progress 0.935, tau 0.992",
        f"{_DRIVE}1N7Ez_SBgxP3rudYG9NGm5ulENWCE2E3G",
    ),
    PublishedFolder(
        "carl_pennaction",
        "scl_transformer_action_logs",
        f"{_DRIVE}1RXD5Vl8hlsBPpiCaSIRlxEFUohPFCLUG",
        "penn action, 13 actions",
        "3 layers, 80 frames; recalled: phases 93.07, progress 0.918, tau 0.985, AP@5 92.28",
        f"{_DRIVE}1Cfvd928dHZDW21ECDqF8zP5_V1VGoKPh",
    ),
    PublishedFolder(
        "carl_finegym",
        "scl_transformer_finegym_logs",
        _FINEGYM,
        "finegym",
        "3 layers, 240 frames; recalled: Gym99 41.75, Gym288 35.23",
        _FINEGYM_BEFORE,
    ),
    PublishedFolder(
        "carl_kinetics400",
        "scl_transformer_k400_pretrain_logs",
        f"{_DRIVE}1EYrpweUetE9I1oaia2qkhq2B7gITpR77",
        "kinetics400",
        "2 layers, 80 frames; what to start from",
    ),
    PublishedFolder(
        "features_finegym_carl",
        "scl_transformer_finegym_logs",
        _FINEGYM,
        "finegym",
        "embeddings of all frames, in the folder of the model; pickles, to be made arrays once",
        _FINEGYM_BEFORE,
        architecture="features",
    ),
    PublishedFolder(
        "resnet50_byol",
        "pretrained_models/BYOL_1000.pth",
        f"{_DRIVE}1VwC4x5xj4Ho3bnh9wZZx--iYhIUguR-q",
        "imagenet, its labels not used",
        "BYOL, 1000 epochs; weights=FILE; named in the paper, but never loaded by its code",
        architecture="ResNet",
    ),
)
"""Four models, embeddings of FineGym, and the ResNet that the paper says they start from."""


def list_published(pattern: str = "*") -> list[WeightInfo]:
    """Return what is published whose name fits a shell pattern, for ``list weights``."""
    return [
        WeightInfo(
            name=one.name,
            status="by hand, from its page",
            architecture=one.architecture,
            classes=0,
            label_set=one.label_set,
            licence=one.licence,
            verified="unverified (none published)",
            url=" or ".join(filter(None, (one.page, one.mirror))),
            note=f"{one.folder}; {one.note}",
        )
        for one in PUBLISHED
        if fnmatch(one.name, pattern)
    ]
