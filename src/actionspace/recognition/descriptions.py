"""Classes told in words, and the head that their texts make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actionspace.errors import ConfigError, DataError, UsageError, did_you_mean
from actionspace.heads.linear import LinearHead

if TYPE_CHECKING:
    from actionspace.encoders.text import TextEncoder

COLUMNS = ("label", "description")
PLACE = "{}"

Descriptions = dict[str, list[str]]
"""What each class looks like, in one text or several."""


def told(source: str | Mapping[str, Sequence[str]] | None) -> Descriptions:
    """Return the descriptions that a recipe holds, or those of the CSV file it names.

    Args:
        source: texts by class; or a file with the columns ``label`` and ``description``, one line
            per text.

    Raises:
        ConfigError: there are none, fewer than two classes, or a text is empty.
        DataError: the file is missing, lacks a column or has an empty cell.
    """
    if source is None:
        raise ConfigError(
            "zero_shot.descriptions is empty: say what each class looks like, as "
            "zero_shot.descriptions.grooming='a rat washing its face', or name a CSV file with the "
            "columns label and description."
        )
    found = _read(Path(source)) if isinstance(source, str) else {k: [*v] for k, v in source.items()}
    for name, texts in found.items():
        if not texts or not all(text.strip() for text in texts):
            raise ConfigError(f"A description of '{name}' is empty; say what is to be seen.")
    if len(found) < 2:
        raise ConfigError(
            f"{len(found)} class is described; to tell classes apart takes two. Describe what else "
            "there is to be seen."
        )
    return found


def _read(path: Path) -> Descriptions:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as e:
        raise DataError(f"The descriptions {path} cannot be read: {e}") from e
    if missing := [name for name in COLUMNS if name not in table]:
        hint = did_you_mean(missing[0], table.columns)
        raise DataError(f"{path} has no column '{missing[0]}'.{hint} Needed: {', '.join(COLUMNS)}.")
    found: Descriptions = {}
    for row, (name, text) in enumerate(zip(table["label"], table["description"], strict=True), 2):
        if not name.strip() or not text.strip():
            raise DataError(f"{path}, line {row}: label and description must both be filled in.")
        found.setdefault(name.strip(), []).append(text.strip())
    return found


def check_described(descriptions: Mapping[str, Sequence[str]], classes: Sequence[str]) -> list[str]:
    """Return the classes that are described and that the manifest has not.

    Raises:
        DataError: the manifest has a class without a description; the nearest described is named.
    """
    extra = [name for name in descriptions if name not in classes]
    missing = [name for name in classes if name not in descriptions]
    if missing:
        hint = did_you_mean(missing[0], extra)
        raise DataError(
            f"The manifest has classes without a description: {', '.join(missing)}.{hint} Say what "
            "each looks like (zero_shot.descriptions), or set its events' status to ignore."
        )
    return extra


def prompts(texts: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Return each text in each template, whose ``{}`` it takes."""
    return [template.replace(PLACE, text) for text in texts for template in templates]


def text_head(
    encoder: TextEncoder,
    descriptions: Mapping[str, Sequence[str]],
    templates: Sequence[str],
    multi_label: bool = False,
) -> LinearHead:
    """Return the classifier whose weights are texts (Radford et al., 2021, section 3.1).

    The vectors of all prompts of a class, each of length 1, are averaged and brought to length 1
    again. A score is the cosine of features with it, times the model's own scale, plus its bias.

    Raises:
        UsageError: several labels per event, and the model was not trained to say yes or no to a
            text by itself.
    """
    if multi_label and encoder.bias is None:
        raise UsageError(
            f"'{encoder.name}' learnt to choose among texts, not to say yes or no to each, so it "
            "cannot give several labels. Take an encoder of the SigLIP kind, or set "
            "head.multi_label=false."
        )
    rows = []
    for texts in descriptions.values():
        mean = encoder.encode(prompts(texts, templates)).mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    weight = np.float32(encoder.scale) * np.stack(rows).astype(np.float32)
    bias = np.full(len(rows), encoder.bias or 0.0, np.float32)
    return LinearHead(weight, bias, tuple(descriptions), multi_label, unit=True)
