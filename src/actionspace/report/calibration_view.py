"""What the page shows of a calibration (``calibration.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actionspace.errors import DataError
from actionspace.paths import read_json

if TYPE_CHECKING:
    from pathlib import Path

NAME = "calibration.json"


@dataclass(frozen=True)
class CalibrationView:
    """Scores before and after: calibration errors, and bins for the diagram.

    ``right`` says in words what a right detection is.
    """

    temperature: float
    offset: float
    threshold: float
    right: str
    errors: tuple[float, float]
    curves: tuple[tuple[str, list[Mapping[str, Any]]], ...]


def calibration_view(folder: Path) -> CalibrationView | None:
    """Return the calibration of a run folder, if it has one.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    found = read_json(path)
    try:
        return CalibrationView(
            float(found["temperature"]),
            float(found["offset"]),
            float(found["threshold"]),
            str(found["right_means"]),
            (float(found["before"]["ece"]), float(found["after"]["ece"])),
            tuple((name, list(found[name]["bins"])) for name in ("before", "after")),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"{path} is damaged ({e!r}); calibrate the run again.") from e
