"""How frozen encoders are compared: what the person who asks decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actionspace.errors import UsageError, did_you_mean

HEADS = ("linear", "attentive", "knn", "centroid", "ridge")
FEW_SHOT = ("linear", "knn", "centroid", "ridge")
"""Heads that are fast enough to be fitted a hundred times."""


@dataclass(frozen=True)
class Options:
    """How encoders are compared.

    Attributes:
        heads: what is put on them, of ``HEADS``.
        folds: None = the manifest's splits, without any 5 grouped folds.
        shots: numbers of labels per class of the few-shot curves; none = no curves.
        draws: how often the few labels are drawn.
        bootstrap: resamples of groups for the intervals.
        seed: of folds, draws and resamples.
    """

    heads: tuple[str, ...] = FEW_SHOT
    folds: int | None = None
    shots: tuple[int, ...] = ()
    draws: int = 5
    bootstrap: int = 1000
    seed: int = 0

    def checked(self) -> Options:
        """Return the same with every head once and the shots in order.

        Raises:
            UsageError: an unknown head or none, or a number that makes no sense.
        """
        for head in self.heads:
            if head not in HEADS:
                hint = did_you_mean(head, HEADS)
                raise UsageError(f"Unknown head '{head}'.{hint} Known: {', '.join(HEADS)}.")
        if not self.heads:
            raise UsageError(f"Give at least one head of {', '.join(HEADS)}.")
        shots = tuple(sorted(set(self.shots)))
        if (shots and shots[0] < 1) or self.draws < 1 or self.bootstrap < 1:
            raise UsageError(
                f"shots={list(shots)}, draws={self.draws} and bootstrap={self.bootstrap} must be 1 "
                "or more."
            )
        return replace(self, heads=tuple(dict.fromkeys(self.heads)), shots=shots)
