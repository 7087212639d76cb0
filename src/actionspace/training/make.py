"""Features of another make than a run was trained on: told apart by fingerprint, and refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import RunError

if TYPE_CHECKING:
    from actionspace.features.joined import Source

#: What of a fingerprint makes other features: the encoder, its weights, and the grid.
MAKE = (
    *("encoder", "weights", "options", "dim", "rows", "frames", "stride", "hop", "fps", "window"),
    *("size", "short_side", "geometry", "flow", "tokens"),
)


def refuse_other_make(
    source: Source, wanted: Mapping[str, Any] | None, dim: int | None, advice: str
) -> None:
    """Refuse features of another make than those a run was trained on.

    A field that one of the fingerprints lacks is not compared, but for ``tokens``: without, it is
    one vector per clip.

    Args:
        source: the features.
        wanted: the fingerprint of the run's; None or empty = nobody knows.
        dim: values per row of the run's; None = nobody knows.
        advice: a sentence on what to give instead.

    Raises:
        RunError: they differ; each field is named with both values.
    """
    wanted, here = wanted or {}, dict(source.fingerprint)
    differ = [
        f"{name}: {wanted.get(name)} then, {here.get(name)} now"
        for name in MAKE
        if wanted
        and (name == "tokens" or (name in wanted and name in here))
        and _plain(wanted.get(name)) != _plain(here.get(name))
    ]
    if dim is not None and source.dim != dim:
        differ.append(f"{dim} values per row then, {source.dim} now")
    if differ:
        raise RunError(
            f"These are features of another make than the run was trained on "
            f"({'; '.join(differ)}). {advice}"
        )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
