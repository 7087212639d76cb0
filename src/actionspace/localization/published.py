"""Published models of ActionFormer and TriDet, and their features: where they are.

Data, and what can be done with it here: list it, and say whether a file is whole. They lie on pages
that only a browser gets past (Box, Google Drive, Baidu), so nothing is downloaded. MD5 sums are
published for archives of features only.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from actionspace.datasets.finding import Finding
from actionspace.encoders.weights import WeightInfo

_DRIVE = "https://drive.google.com/file/d/"
_BOX = "https://uwmadison.box.com/s/"


@dataclass(frozen=True)
class PublishedFile:
    """Something to be fetched by hand.

    Attributes:
        name: in ``list weights``.
        file: name of the archive; of a model, its checkpoint within the folder that is unpacked.
        page: where it is fetched.
        recipes: the recipes it belongs to.
        classes: of the model, or annotated beside the features.
        label_set: what these are.
        note: what it is, and the published figure.
        md5: of the archive; empty = none is published.
        mirrors: other pages of the same file.
        licence: as stated by whom it is from.
    """

    name: str
    file: str
    page: str
    recipes: tuple[str, ...]
    classes: int
    label_set: str
    note: str
    md5: str = ""
    mirrors: tuple[str, ...] = ()
    licence: str = "MIT (of the code; the files are not licensed apart)"

    @property
    def architecture(self) -> str:
        """The kind of network, or ``features``."""
        if not self.is_model:
            return "features"
        return "TriDet" if self.name.startswith("tridet") else "ActionFormer"

    @property
    def is_model(self) -> bool:
        """Whether it is a checkpoint, which ``convert`` reads."""
        return self.file.endswith(".pth.tar")


def _model(
    recipe: str, file: str, page: str, classes: int, label_set: str, note: str
) -> PublishedFile:
    name = f"actionformer_{recipe}"
    return PublishedFile(name, file, page, (recipe,), classes, label_set, note)


def _tridet(data: str, epoch: int, classes: int, label_set: str, figure: str) -> PublishedFile:
    """Return a model of TriDet; all lie in one folder, and are called as its scripts call them."""
    file, recipe = f"epoch_{epoch:03d}.pth.tar", f"tridet_{data}"
    note = f"one folder with all five; published mAP {figure}"
    return PublishedFile(recipe, file, _TRIDET, (recipe,), classes, label_set, note)


_TRIDET = "https://drive.google.com/drive/folders/1eVROG6z-vHtm4AnXsh4N8ruUKkAidLqZ?usp=sharing"
_EGO4D = "https://drive.google.com/drive/folders/1NpAECS0ZhcCuehXkF9OhLQDPFrNdStJb?usp=sharing"
_SHARED = "/view?usp=sharing"

MODELS = (
    _model(
        "thumos14_i3d",
        "thumos_i3d_reproduce/epoch_034.pth.tar",
        f"{_DRIVE}1isG3bc1dG5-llBRFCivJwz_7c_b0XDcY{_SHARED}",
        20,
        "thumos14",
        "published mAP 66.83",
    ),
    _model(
        "activitynet13_tsp",
        "anet_tsp_reproduce/epoch_014.pth.tar",
        f"{_DRIVE}1JKh3w14ngAjgzuuP22BnjhkhIcBSqteJ{_SHARED}",
        1,
        "any activity",
        "published mAP 36.56 with class scores of others",
    ),
    _model(
        "activitynet13_i3d",
        "anet_i3d_reproduce/epoch_014.pth.tar",
        f"{_DRIVE}152dw2JDoNPssSnaQDaNolQUSFgcHlxe3{_SHARED}",
        1,
        "any activity",
        "published mAP 36.03 with class scores of others",
    ),
    _model(
        "epic100_slowfast_verb",
        "epic_slowfast_verb_reproduce/epoch_020.pth.tar",
        f"{_DRIVE}1Ta4ggKSj2YcszSrDbePlHe1ECF1CFKK4{_SHARED}",
        97,
        "epic100 verbs",
        "published mAP 23.51",
    ),
    _model(
        "epic100_slowfast_noun",
        "epic_slowfast_noun_reproduce/epoch_020.pth.tar",
        f"{_DRIVE}1OTlxeiWj8JE9n1-LsRYogHmqgUdsE5PR{_SHARED}",
        300,
        "epic100 nouns",
        "published mAP 21.88",
    ),
    *(
        _model(
            f"ego4d_{features}",
            f"ego4d_{folder}_reproduce/epoch_010.pth.tar",
            _EGO4D,
            110,
            "ego4d-mq",
            f"one folder with all six; published mAP {figure}",
        )
        for features, folder, figure in (
            ("slowfast", "slowfast", "14.89"),
            ("omnivore", "omnivore", "18.20"),
            ("egovlp", "egovlp", "20.60"),
            ("slowfast_egovlp", "slowfast_egovlp", "21.56"),
            ("omnivore_egovlp", "omnivore_egovlp", "21.98"),
            ("all", "slowfast_omnivore_egovlp", "22.09"),
        )
    ),
    _tridet("thumos14_i3d", 39, 20, "thumos14", "69.27"),
    _tridet("epic100_verb", 22, 97, "epic100 verbs", "25.51"),
    _tridet("epic100_noun", 18, 300, "epic100 nouns", "23.76"),
    _tridet("activitynet13_tsp", 14, 1, "any activity", "36.77 with class scores of others"),
    _tridet("hacs_slowfast", 10, 200, "hacs", "38.69"),
)
"""Eleven models of ActionFormer and five of TriDet. Numbers of epochs are counted from 0."""

FEATURES = (
    PublishedFile(
        "features_thumos14_i3d",
        "thumos.tar.gz",
        f"{_BOX}glpuxadymf3gd01m1cj6g5c3bn39qbgr",
        (
            "thumos14_i3d",
            "thumos14_i3d_opentad",
            "thumos14_i3d_tbtformer",
            "tridet_thumos14_i3d",
        ),
        20,
        "thumos14",
        "I3D, pictures and flow, 16 frames every 4; annotation, class scores of videos",
        md5="375f76ffbf7447af1035e694971ec9b2",
        mirrors=(
            f"{_DRIVE}1zt2eoldshf99vJMDuu8jqxda55dCyhZP{_SHARED}",
            "https://pan.baidu.com/s/1TgS91LVV-vzFTgIHl1AEGA?pwd=74eh",
        ),
    ),
    PublishedFile(
        "features_activitynet13_tsp",
        "anet_1.3.tar.gz",
        f"{_BOX}aisdoymowukc99zoc7gpqegxbb4whikx",
        ("activitynet13_tsp", "activitynet13_tsp_opentad", "tridet_activitynet13_tsp"),
        200,
        "activitynet13",
        "R(2+1)D-34 of TSP, 16 frames every 16 at 15 fps; annotation, class scores of videos",
        md5="c415f50120b9425ee1ede9ac3ce11203",
        mirrors=(
            f"{_DRIVE}1VW8px1Nz9A17i0wMVUfxh6YsPCLVqL-S{_SHARED}",
            "https://pan.baidu.com/s/1tw5W8B5YqDvfl-mrlWQvnQ?pwd=xuit",
        ),
    ),
    PublishedFile(
        "features_activitynet13_i3d",
        "anet_1.3_i3d.tar.gz",
        f"{_DRIVE}16239kUT2Z-j6S6PXIT1b_31OJi35QW_o{_SHARED}",
        ("activitynet13_i3d",),
        200,
        "activitynet13",
        "I3D, 16 frames every 16 at 25 fps",
        md5="e649425954e0123401650312dd0d56a7",
    ),
    PublishedFile(
        "features_epic100_slowfast",
        "epic_kitchens.tar.gz",
        f"{_BOX}vdha47qnce6jhqktz9g4mq1gc40w82yj",
        (
            *("epic100_slowfast_verb", "epic100_slowfast_noun"),
            *("tridet_epic100_verb", "tridet_epic100_noun"),
        ),
        97,
        "epic100 verbs and nouns",
        "SlowFast trained on EPIC-KITCHENS-100, 32 frames every 16 at 30 fps; annotation",
        md5="add9803756afd9a023bc9a9c547e0229",
        mirrors=(
            f"{_DRIVE}1Z4U_dLuu6_cV5NBIrSzsSDOOj2Uar85X{_SHARED}",
            "https://pan.baidu.com/s/15tOdX6Yp4AJ9lFGjbQ8dgg?pwd=f3tx",
        ),
    ),
    PublishedFile(
        "features_hacs_i3d",
        "hacs_segments_features.zip",
        "http://hacs.csail.mit.edu/hacs_segments_features.zip",
        ("tridet_hacs_i3d",),
        200,
        "hacs",
        "I3D of pictures, two rows a second",
        licence="not stated",
    ),
    PublishedFile(
        "features_hacs_slowfast",
        "(see the page)",
        "https://github.com/qinzhi-0110/Temporal-Context-Aggregation-Network-Pytorch",
        ("tridet_hacs_slowfast",),
        200,
        "hacs",
        "SlowFast of TCANet, 32 frames every 8 at 15 fps; pickles, to be made arrays once",
        licence="not stated",
    ),
    PublishedFile(
        "features_ego4d",
        "(the downloader of Ego4D)",
        "https://ego4d-data.org/#download",
        ("ego4d_slowfast", "ego4d_omnivore", "ego4d_all"),
        110,
        "ego4d-mq",
        "SlowFast and Omnivore features of whole videos",
        licence="Ego4D licence, to be signed by each user",
    ),
    PublishedFile(
        "features_ego4d_egovlp",
        "(see the page)",
        "https://github.com/showlab/EgoVLP/issues/1#issuecomment-1219076014",
        ("ego4d_egovlp", "ego4d_slowfast_egovlp", "ego4d_omnivore_egovlp", "ego4d_all"),
        110,
        "ego4d-mq",
        "EgoVLP features of clips",
        licence="not stated",
    ),
)
"""The features they were trained on."""


def list_published(pattern: str = "*") -> list[WeightInfo]:
    """Return the models and features whose name fits a shell pattern, for ``list weights``."""
    return [
        WeightInfo(
            name=one.name,
            status="by hand, from its page",
            architecture=one.architecture,
            classes=one.classes,
            label_set=one.label_set,
            licence=one.licence,
            verified=f"md5 {one.md5}" if one.md5 else "unverified (none published)",
            url=" or ".join((one.page, *one.mirrors)),
            note=f"{one.file}; {one.note}; recipe {', '.join(one.recipes)}",
        )
        for one in (*MODELS, *FEATURES)
        if fnmatch(one.name, pattern)
    ]


def known_md5(path: str | os.PathLike[str]) -> str | None:
    """Return the published MD5 sum of a file of this name, None where there is none."""
    name = Path(path).name
    return next((one.md5 for one in FEATURES if one.md5 and one.file == name), None)


def check_archive(path: str | os.PathLike[str]) -> list[Finding]:
    """Return what is wrong with a published archive as it was fetched; nothing if it is whole.

    Args:
        path: a file whose name :func:`known_md5` knows.
    """
    expected = known_md5(path)
    with Path(path).open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if expected is None or found == expected:
        return []
    message = (
        f"its MD5 sum is {found}, the published one {expected}: the download is incomplete or "
        "another file of that name. Fetch it again."
    )
    return [Finding("error", "archive", message, os.fspath(path))]
