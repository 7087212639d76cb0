"""The evaluations that papers call by the same names, and in what they differ.

Figures of two protocols do not compare: another classifier, another retrieval, other boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from actionspace.errors import UsageError, did_you_mean
from actionspace.heads.phase_classifier import Classifier, Score
from actionspace.metrics.frame_retrieval import Retrieval
from actionspace.metrics.phase_progression import Missing


@dataclass(frozen=True)
class AlignmentProtocol:
    """How frame embeddings are evaluated.

    Attributes:
        name: "carl", "tcc", "lav" or "ae2".
        classifier, score: of phase classification (``heads.phase_classifier``).
        fractions: of the training videos, in file order, that classification and progression learn
            from. The figure of the last one is reported under the plain name.
        missing: what progression makes of a video without a phase (``metrics.phase_progression``).
        last_boundary: progression also predicts the end of the last phase.
        tau_stride: every which frame Kendall's tau uses.
        retrieval: definition of AP@K (``metrics.frame_retrieval``); None for not measured.
        retrieval_stride: every which frame retrieval uses; None as for tau.
        ks: the K of AP@K.
        distance: of tau and retrieval.
        few_shot: numbers of labelled videos of few-shot classification; empty for not measured.
        episodes: draws of labelled videos for each number.
    """

    name: str
    classifier: Classifier = "svm"
    score: Score = "accuracy"
    fractions: tuple[float, ...] = (0.1, 0.5, 1.0)
    missing: Missing = "refuse"
    last_boundary: bool = False
    tau_stride: int = 5
    retrieval: Retrieval | None = None
    retrieval_stride: int | None = 1
    ks: tuple[int, ...] = (5, 10, 15)
    distance: str = "sqeuclidean"
    few_shot: tuple[int, ...] = ()
    episodes: int = 50


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        AlignmentProtocol("carl", "logistic", retrieval="precision_others", retrieval_stride=None),
        AlignmentProtocol("tcc", few_shot=tuple(range(1, 11))),
        AlignmentProtocol("lav", missing="start", retrieval="precision_own"),
        AlignmentProtocol(
            "ae2",
            score="weighted_f1",
            fractions=(1.0,),
            missing="skip",
            last_boundary=True,
            retrieval="mean_average_precision",
            ks=(10,),
        ),
    )
}
"""The named protocols. CARL takes every 5th frame of Pouring and every 2nd of PennAction and
Kinetics for tau and retrieval; TCC's comment says it the other way round and its default is 5."""


def protocol(name: str = "carl", **changes: Any) -> AlignmentProtocol:
    """Return a named protocol, with fields changed (the stride of a data set, for example).

    Raises:
        UsageError: no such protocol or field.
    """
    if name not in PROTOCOLS:
        raise UsageError(
            f"Unknown protocol '{name}'; there are {', '.join(PROTOCOLS)}."
            f"{did_you_mean(name, PROTOCOLS)}"
        )
    try:
        return replace(PROTOCOLS[name], **changes)
    except TypeError as error:
        raise UsageError(f"Protocols have no such setting: {error}") from error
