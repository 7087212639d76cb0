"""The order of a manifest's classes, where it is not the alphabet's: ``<manifest>.classes.json``.

Published models number classes in the order of the original label ids, and know classes that no
event has. ``prepare`` writes that order beside the manifest; it belongs to nobody's annotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from actionspace.errors import DataError, did_you_mean
from actionspace.events.table import Events
from actionspace.paths import read_json, write_json


def file_of(manifest: Path) -> Path:
    """Return where the order of a manifest's classes is written."""
    folder = manifest.suffix == "" or manifest.stem == "events"
    if folder:
        return (manifest if manifest.suffix == "" else manifest.parent) / "classes.json"
    return manifest.with_name(f"{manifest.stem}.classes.json")


def write_order(manifest: Path, classes: Mapping[str, Sequence[str]]) -> Path:
    """Write the class names of each head, in the order of their ids."""
    path = file_of(manifest)
    write_json(path, {head: list(names) for head, names in classes.items()})
    return path


def class_order(events: Events, head: str = "label") -> list[str]:
    """Return the class names of a head by id, also those without an event; else sorted.

    Raises:
        DataError: the file beside the manifest lacks a label that the events have.
    """
    have = events.classes(head)
    manifest = events.origin.events_file if events.origin else None
    path = file_of(manifest) if manifest else None
    if path is None or not path.is_file():
        return have
    names = read_json(path).get(head)
    if names is None:
        return have
    unknown = [name for name in have if name not in set(names)]
    if unknown:
        raise DataError(
            f"{path} does not list the label '{unknown[0]}' of {manifest}."
            f"{did_you_mean(unknown[0], names)} Add it, or remove the file to number labels by "
            f"the alphabet."
        )
    return list(names)


def empty_classes(events: Events, classes: Sequence[str], head: str = "label") -> list[int]:
    """Return the ids of the classes that no event has: a model is started to never predict them."""
    have = set(events.classes(head))
    return [number for number, name in enumerate(classes) if name not in have]
