"""How well the next event is foretold: top-k accuracy, and top-k recall averaged over classes.

The EPIC-KITCHENS-100 challenge of anticipation takes class-mean top-5 recall (Furnari et al. 2018,
"Leveraging Uncertainty to Rethink Loss Functions and Evaluation Measures for Egocentric Action
Anticipation"): several things may well come next, and rare ones count like frequent ones. With few
classes five guesses are nearly all of them: k is then one less than there are classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from actionspace.metrics.classification import macro_top_k_accuracy, top_k_accuracy

GUESSES = 5


def guesses(classes: int) -> int:
    """Return k: 5, or one less than there are classes where these are five or fewer."""
    return max(1, min(GUESSES, classes - 1))


def class_mean_recall(scores: ArrayLike, labels: ArrayLike, k: int = GUESSES) -> float:
    """Return top-k recall averaged over the classes that the labels have.

    Args:
        scores: ``[N, C]``.
        labels: class numbers ``[N]``.
        k: guesses.
    """
    return macro_top_k_accuracy(scores, labels, k)


def single_anticipation_metrics(
    scores: ArrayLike, labels: ArrayLike, known: int | None = None
) -> dict[str, float]:
    """Return the figures of one column: ``top{1,k}_accuracy`` and ``mean_top{1,k}_recall``.

    Args:
        scores: ``[N, C]``.
        labels: class numbers ``[N]``.
        known: classes that k is chosen by; None = C.
    """
    k = guesses(known or np.shape(scores)[1])
    ks = dict.fromkeys((1, k))
    return {
        **{f"top{n}_accuracy": top_k_accuracy(scores, labels, n) for n in ks},
        **{f"mean_top{n}_recall": class_mean_recall(scores, labels, n) for n in ks},
    }
