"""Fit the attentive head on rows of tokens: choose on held-out groups, fit again, calibrate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actionspace.heads.attentive_fit import fit_attentive
from actionspace.heads.attentive_head import AttentiveHead
from actionspace.heads.folds import group_folds
from actionspace.heads.logistic import ABSENT
from actionspace.metrics.inputs import as_targets
from actionspace.recognition.head import Fitted, as_fitted, calibrate
from actionspace.recognition.recipe import HeadConfig
from actionspace.recognition.rows import Rows, join

INNER_FOLDS = 5
"""Without a validation split one of this many parts of the training groups is held out."""


@dataclass(frozen=True)
class AttentiveFitter:
    """Fits attentive heads of one kind.

    Attributes:
        config: options of the head.
        classes: class names.
        multi_label: whether a row may be of several classes.
        seed: of first weights, the order of rows and the inner split.
        device: where it computes.
    """

    config: HeadConfig
    classes: Sequence[str]
    multi_label: bool
    seed: int = 0
    device: str = "cpu"

    def fit(self, train: Rows, validation: Rows | None) -> Fitted:
        """Choose learning rate and weight decay, fit, calibrate.

        The pair is chosen on ``validation``, or where there is none on a fifth of the groups of
        ``train``; then the head is fitted again with it on all of these rows. With
        ``refit=false`` the one that was chosen on ``validation`` stays.

        Raises:
            UsageError: the attention heads do not divide the width.
            DataError: tokens that are not finite, or every probe diverged.
        """
        how = self.config.attentive
        every = train if validation is None else join([train, validation])
        learn, held = (train, validation) if validation else self._hold_out(train)
        if held is None:
            lr, decay = (sorted(some)[len(some) // 2] for some in (how.lrs, how.weight_decays))
            fitted = as_fitted(self._try(every, None, [lr], [decay])[0])
            note = (
                "No group could be held out: learning rate and weight decay were not chosen, "
                f"{lr:g} and {decay:g} were taken."
            )
            return replace(fitted, notes=[*self._absent(every), note, *fitted.notes])
        head, trials = self._try(learn, held, how.lrs, how.weight_decays)
        held_out, told = head.scores(held.features), learn
        if validation is None or self.config.refit:
            [best] = [trial for trial in trials if trial["chosen"]]
            head, _ = self._try(every, None, [best["lr"]], [best["weight_decay"]])
            told = every
        fitted = calibrate(head, held, held_out)
        return replace(fitted, trials=trials, notes=[*self._absent(told), *fitted.notes])

    def _try(
        self, rows: Rows, held: Rows | None, lrs: Sequence[float], decays: Sequence[float]
    ) -> tuple[AttentiveHead, list[dict[str, Any]]]:
        """Return the head that is best on ``held``, and what was tried."""
        how = self.config.attentive
        shape = how.of_width(rows.features.shape[-1])
        found = fit_attentive(
            rows.features,
            rows.targets,
            None if held is None else held.features,
            None if held is None else held.targets,
            classes=len(self.classes),
            config=shape,
            lrs=lrs,
            weight_decays=decays,
            epochs=how.epochs,
            batch_size=how.batch_size,
            seed=self.seed,
            device=self.device,
            multi_label=self.multi_label,
            class_weight="balanced" if self.config.class_weight == "balanced" else None,
            sample_weight=rows.weight,
        )
        head = AttentiveHead.of(found.probe, shape, self.classes, self.multi_label, self.device)
        absent = ~self._seen(rows)
        silent = replace(  # of what was never seen no score can be right
            head,
            weight=np.where(absent[:, None], np.float32(0), head.weight),
            bias=np.where(absent, np.float32(ABSENT), head.bias),
        )
        return silent, found.trials

    def _hold_out(self, rows: Rows) -> tuple[Rows, Rows | None]:
        """Return rows to learn from and rows of other groups to choose on, None of one group."""
        fold = group_folds(rows.groups, self._table(rows), INNER_FOLDS, self.seed)
        if not fold.any():
            return rows, None
        return rows.where(fold != 0), rows.where(fold == 0)

    def _table(self, rows: Rows) -> np.ndarray:
        return as_targets(rows.targets, len(rows.event), len(self.classes))

    def _seen(self, rows: Rows) -> np.ndarray:
        """Return which classes some row is of, bool ``[C]``."""
        return np.asarray(self._table(rows).any(axis=0))

    def _absent(self, rows: Rows) -> list[str]:
        seen = zip(self.classes, self._seen(rows), strict=True)
        names = [name for name, there in seen if not there]
        return [f"No training row of: {', '.join(names)}. Never predicted."] if names else []
