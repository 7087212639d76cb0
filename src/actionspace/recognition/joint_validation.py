"""How a network of several columns is judged while it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from actionspace.recognition.columns import JointTargets
from actionspace.recognition.head_task import Truth, Validation
from actionspace.recognition.joint import JOINT_SCORE, Scores, joint_metrics
from actionspace.recognition.probe import Average
from actionspace.recognition.rows import Rows
from actionspace.training.task import Evaluation, Samples


@dataclass(frozen=True)
class JointValidation:
    """The validation split of several columns; see :class:`~.head_task.Validation`.

    Attributes:
        samples: every view of every event.
        rows: what they are of, in the same order; ``targets`` of them are a table.
        targets: the columns.
        average: how the views of an event are averaged.
    """

    samples: Samples
    rows: Rows | Truth
    targets: JointTargets
    average: Average

    def judge(self, numbers: np.ndarray, logits: np.ndarray) -> Evaluation:
        """Return the metrics of logits ``[R, S]`` of the rows with these numbers ``[R]``.

        Each column's have its name in front; ``joint_score`` comes first, ``loss`` is the mean. A
        column in which none of these rows has a label is left out.
        """
        found: dict[str, Evaluation] = {}
        scored: dict[str, Scores] = {}
        for column, told in self.targets.each.items():
            values, known = self.targets.split(self.rows.targets, column)
            own = Validation(
                self.samples,
                Truth(values, self.rows.weight, self.rows.event),
                told.classes,
                self.average,
            )
            here = known[numbers]
            if here.any():
                z = logits[here][:, self.targets.part(column)]
                found[column] = own.judge(numbers[here], z)
                scored[column] = own.averaged(numbers[here], z)
        leading = [next(iter(one.metrics.values())) for one in found.values()]
        metrics = {JOINT_SCORE: float(np.mean(leading)), **joint_metrics(scored)}
        for column, one in found.items():
            metrics |= {f"{column}_{name}": value for name, value in one.metrics.items()}
        metrics["loss"] = float(np.mean([one.metrics["loss"] for one in found.values()]))
        images = {
            f"{column}_{title}": draw
            for column, one in found.items()
            for title, draw in one.images.items()
        }
        return Evaluation(metrics, images)
