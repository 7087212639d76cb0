"""Nothing in a ``.pt2`` file is run but arithmetic: what is looked at before it is loaded.

``torch.export.load`` unpickles weights, constants and sample inputs where the archive says so, and
evaluates the text of its symbolic sizes. A file that ``actionspace export`` wrote has no pickles
and plain sizes, so every other file is refused.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actionspace.errors import WeightsError

PLAIN = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|\.data/\w+|extra/[\w.]+"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt"
)
"""Records of an archive without pickles; the last one must be empty."""
CALLS = re.compile(r"torch\.ops\.(aten|prims|higher_order)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+")
SIZES = re.compile(
    r"([-+*/%<>=!&|~(),\s\d.]|\b[A-Z]\w*|\b[su]\d+\b|'[su]\d+'|\b(positive|integer|nonnegative)=)*"
)
"""Symbolic sizes: numbers, symbols, SymPy's classes; no lower-case name, so no function call."""


def check_archive(path: Path) -> dict[str, Any]:
    """Return the extra JSON files of an archive, parsed, if nothing in it is code.

    Raises:
        WeightsError: it is damaged, or holds pickles or calls that are no tensor operations.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {i.filename.partition("/")[2]: i for i in archive.infolist()}
            if len(names) < len(archive.infolist()):
                raise _unsafe(path, "two records of one name")
            for name, info in names.items():
                if not PLAIN.fullmatch(name) or (name.endswith(".pt") and info.file_size):
                    raise _unsafe(path, f"the record {name}")
            texts = {n: json.loads(archive.read(i)) for n, i in names.items() if n.endswith("json")}
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError) as e:
        raise WeightsError(f"{path} is damaged or no .pt2 file: {e}. Export the run again.") from e
    for text in texts.values():
        for key, value in _entries(text):
            if key == "use_pickle" and value:
                raise _unsafe(path, "pickled tensors")
            if key == "guards_code" and value:
                raise _unsafe(path, "Python code")
            if key in ("target", "as_operator") and not CALLS.fullmatch(str(value)):
                raise _unsafe(path, f"calls of {value}")
            if key == "expr_str" and not SIZES.fullmatch(str(value)):
                raise _unsafe(path, f"the expression {value}")
    return {n.removeprefix("extra/"): t for n, t in texts.items() if n.startswith("extra/")}


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Walk through nested JSON, giving every key with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _unsafe(path: Path, what: str) -> WeightsError:
    return WeightsError(
        f"{path} holds {what}, which a file written by actionspace export does not. It is not "
        "loaded, because loading could run code from it."
    )
