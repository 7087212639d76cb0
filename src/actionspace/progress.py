"""One progress bar for all long work: on standard error, with rate and ETA."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def progress(
    items: Iterable[T], *, total: int | None = None, what: str = "", unit: str = "it"
) -> Iterator[T]:
    """Iterate ``items`` behind a progress bar on standard error."""
    yield from bar(items, total=total, what=what, unit=unit)


def bar(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    what: str = "",
    unit: str = "it",
    initial: int = 0,
    layout: str | None = None,
) -> Any:
    """Return a ``tqdm`` bar: redrawn on a terminal, a line now and then in a log.

    Args:
        items: what to iterate over; None where the caller moves the bar.
        total: how many there are.
        what: description.
        unit: what one of them is called.
        initial: how many were done in an earlier session.
        layout: ``tqdm``'s ``bar_format``; None = its own.
    """
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    return tqdm(
        items,
        total=total,
        desc=what,
        unit=unit,
        initial=initial,
        bar_format=layout,
        file=sys.stderr,
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 15,
        leave=True,
    )
