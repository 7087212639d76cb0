"""What the authors of a setting reported for it: a part of every task's recipe."""

from __future__ import annotations

from actionspace.config import Config


class PublishedFigure(Config):
    """One number somebody else reported."""

    metric: str
    """Our name of the metric."""
    value: float
    """As reported, in percent."""
    source: str
    """Where it stands."""
    note: str = ""
    """What to know before comparing with it."""


class Published(Config):
    """What the authors of a setting reported for it; not measured here."""

    figures: tuple[PublishedFigure, ...] = ()
    """Reported numbers; empty = none were reported."""
    training_hours: float | None = None
    """Reported training time."""
    hardware: str = ""
    """What that time was measured on."""
    trainable_parameters: int | None = None
    """Parameters that are trained."""
    verified_here: str = "no (no weights or data)"
    """Whether this project reproduced the figures."""
    validation_is_test: bool = False
    """The authors validate and test on the same list, so that a best epoch is chosen on it."""
