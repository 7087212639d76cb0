"""Several labels in one text field: joined by ``|``, a literal one written ``\\|``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from actionspace.errors import DataError

_TO_ESCAPE = re.compile(r"\\(?=[\\|]|$)|\|")
_TOKEN = re.compile(r"\\[\\|]|\||[^\\|]+|\\")


def split_labels(text: str | None) -> list[str]:
    r"""Return the label names in ``text``: ``"a|b\|c"`` gives ``["a", "b|c"]``, None gives ``[]``.

    Space around a name is not part of it; empty names are left out.
    """
    if text is None or text != text:
        return []
    names = [""]
    for token in _TOKEN.findall(text):
        if token == "|":
            names.append("")
        else:
            names[-1] += token[1:] if len(token) == 2 and token[0] == "\\" else token
    return [name.strip() for name in names if name.strip()]


def join_labels(names: Iterable[str]) -> str:
    r"""Return ``names`` as one text that :func:`split_labels` takes apart again.

    Raises:
        DataError: a name is empty, or begins or ends with a space.
    """
    names = list(names)
    for name in names:
        if not name or name != name.strip():
            raise DataError(f"{name!r} is not a label name: it is empty or has a space at an end.")
    return "|".join(_TO_ESCAPE.sub(lambda m: "\\" + m.group(), name) for name in names)


def label_order(names: Iterable[str]) -> list[str]:
    """Return the distinct names sorted; numbers (labels known by id only) in numeric order."""
    distinct = set(names)
    if distinct and all(n.isascii() and n.isdigit() for n in distinct):
        return sorted(distinct, key=lambda n: (int(n), n))
    return sorted(distinct)
