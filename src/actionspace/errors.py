"""Errors written for people: what was wrong, where, what was expected, what to do.

Everything the library raises on purpose derives from :class:`ActionspaceError`; the command line
prints its message without a traceback and exits 1 (2 for :class:`UsageError`, 128 + the signal's
number for :class:`Interrupted`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ActionspaceError(Exception):
    """Base of every error this library raises on purpose."""

    exit_code = 1


class UsageError(ActionspaceError):
    """The call itself is wrong: an unknown verb, name or option."""

    exit_code = 2


class ConfigError(UsageError):
    """A recipe or an override does not fit its typed model."""


class DataError(ActionspaceError):
    """A manifest, annotation file or label is wrong."""


class VideoError(ActionspaceError):
    """A video cannot be opened or decoded as asked."""


class WeightsError(ActionspaceError):
    """A weight file is missing, of another architecture, damaged or unsafe."""


class StoreError(ActionspaceError):
    """A feature store is damaged, of another make, or cannot be written."""


class RunError(ActionspaceError):
    """A training failed, or a run or predictions folder is incomplete or of another kind."""


class Interrupted(ActionspaceError):
    """Somebody asked the work to stop, and it stopped in good order."""

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the option nearest to ``name``, or ``""``."""
    by_lower = {str(o).lower(): str(o) for o in options}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean '{by_lower[close[0]]}'?" if close else ""
