"""ELAN documents (``.eaf``): tiers of annotations in whole milliseconds.

Carries every column but ids: label = the annotation's value, subject = the tier's participant (of
foreign tiers without one, the tier's name), modifiers, score, status and annotator on dependent
tiers ``<tier>@<column>``, the columns of the video as properties. Times are rounded to
milliseconds, a point event is drawn one millisecond long, whole-video events as 0 to the duration;
events come back in the order of their starts, videos in that of their names. One document is one
video; several are a folder. Documents with a DOCTYPE are refused: it could pull in other files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.parsers import expat

import pandas as pd

from actionspace.errors import DataError
from actionspace.events.formats.carry import with_times
from actionspace.events.formats.media import local_name, written_name
from actionspace.events.labels import join_labels
from actionspace.events.table import Events, Origin
from actionspace.paths import atomic_path

ROWS = ("start", "end", "label", "subject", "modifiers", "status", "annotator", "score")
VIDEOS = ("split", "group", "duration", "fps", "frames", "labelled", "crop", "features")

_NOTES = ("modifiers", "status", "annotator", "score")
_EVENT, _POINT, _NOTE = "actionspace-event", "actionspace-point", "actionspace-note"
_PROPERTY = "actionspace:"
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def matches(path: Path) -> bool:
    """Say whether the path is an ``.eaf`` file, or a folder that holds some."""
    if path.is_dir():
        return next(path.rglob("*.eaf"), None) is not None
    return path.suffix.lower() == ".eaf"


def read(path: Path, root: Path) -> Events:
    """Read one document, or all in a folder.

    Raises:
        DataError: not an ELAN document, a DOCTYPE, a time slot without a time, two documents of
            one video.
    """
    rows: list[dict[str, Any]] = []
    videos: dict[str, dict[str, Any]] = {}
    for file in sorted(path.rglob("*.eaf")) if path.is_dir() else [path]:
        document = _parse(file)
        facts = _video(document, file, root)
        if facts["video"] in videos:
            raise DataError(f"{file}: there is another document of '{facts['video']}'.")
        videos[facts["video"]] = facts
        found = sorted(_annotations(document, file), key=lambda item: item[:2])
        rows += [{"video": facts["video"], **row} for _, _, row in found]
    return Events.from_frames(rows, list(videos.values()), root, origin=Origin(path))


def _parse(file: Path) -> ET.Element:
    data = file.read_bytes()
    scan = expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise DataError(f"{file} has a DOCTYPE, which ELAN does not write; it is not read.")

    scan.StartDoctypeDeclHandler = refuse
    try:
        scan.Parse(data, True)
        document = ET.fromstring(data)
    except (expat.ExpatError, ET.ParseError, ValueError) as e:
        raise DataError(f"{file} is not XML: {e}.") from e
    if document.tag != "ANNOTATION_DOCUMENT":
        raise DataError(f"{file} is not an ELAN document but <{document.tag}>.")
    return document


def _video(document: ET.Element, file: Path, root: Path) -> dict[str, Any]:
    media = document.find("HEADER/MEDIA_DESCRIPTOR")
    address = ""
    if media is not None:
        address = media.get("RELATIVE_MEDIA_URL") or media.get("MEDIA_URL") or ""
    name = local_name(address or file.with_suffix("").name, file.parent, root)
    if "%" in name and not (root / name).is_file() and (root / unquote(name)).is_file():
        name = unquote(name)  # some versions of ELAN write addresses, some write paths
    facts: dict[str, Any] = {"video": name}
    for item in document.iterfind("HEADER/PROPERTY"):
        name = (item.get("NAME") or "").removeprefix(_PROPERTY)
        if name in VIDEOS and item.get("NAME") != name:
            facts[name] = item.text
    return facts


def _annotations(document: ET.Element, file: Path) -> Iterator[tuple[float, int, dict[str, Any]]]:
    """Yield (start, number, row) of each annotation on tiers of their own."""
    header = document.find("HEADER")
    unit = 1000.0 if header is None or header.get("TIME_UNITS") != "seconds" else 1.0
    slots = {s.get("TIME_SLOT_ID"): s.get("TIME_VALUE") for s in document.iter("TIME_SLOT")}
    notes = _notes(document)
    for tier in document.iterfind("TIER"):
        name = tier.get("TIER_ID") or ""
        kind = tier.get("LINGUISTIC_TYPE_REF")
        ours = kind in (_EVENT, _POINT)
        for item in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"):
            times = []
            for k in ("1", "2"):
                value = slots.get(item.get(f"TIME_SLOT_REF{k}"))
                if value is None:
                    raise DataError(
                        f"{file}: an annotation on the tier '{name}' has no time; align it in ELAN."
                    )
                times.append(int(value) / unit)
            value = (item.findtext("ANNOTATION_VALUE") or "").strip()
            label = value if ours or not value else join_labels([value])
            key = item.get("ANNOTATION_ID") or ""
            row = {
                "start": times[0],
                "end": times[0] if kind == _POINT else times[1],
                "label": label or None,
                "subject": tier.get("PARTICIPANT") or (None if ours else name),
                "annotator": tier.get("ANNOTATOR"),
                **notes.get(key, {}),
            }
            yield times[0], int(key[1:]) if key[1:].isdigit() else 0, row


def _notes(document: ET.Element) -> dict[str, dict[str, str]]:
    """Return, per annotation id, the columns that dependent tiers give it."""
    notes: dict[str, dict[str, str]] = {}
    for tier in document.iterfind("TIER"):
        column = (tier.get("TIER_ID") or "").rpartition("@")[2]
        for item in tier.iterfind("ANNOTATION/REF_ANNOTATION"):
            value = (item.findtext("ANNOTATION_VALUE") or "").strip()
            of = notes.setdefault(item.get("ANNOTATION_REF") or "", {})
            if tier.get("LINGUISTIC_TYPE_REF") == _NOTE and column in _NOTES:
                of[column] = value
            elif value:
                of["modifiers"] = "|".join(filter(None, [of.get("modifiers"), value]))
    return notes


def write(events: Events, path: Path) -> None:
    """Write one document (``.eaf``), or a folder with one document per video.

    Raises:
        DataError: several videos for one document, a whole-video event of unknown duration, an
            event that ends before it starts, a control character in a text.
    """
    events = with_times(events, "elan")
    single = path.suffix.lower() == ".eaf"
    if single and len(events.videos) != 1:
        raise DataError(
            f"An ELAN document holds one video, these are {len(events.videos)}; write to a folder."
        )
    for video, rows in events.by_video():
        file = path if single else path / f"{video['video']}.eaf"
        document = _document(events, video, rows, file)
        ET.indent(document)
        with atomic_path(file) as tmp:
            ET.ElementTree(document).write(tmp, encoding="UTF-8", xml_declaration=True)


def _document(events: Events, video: pd.Series[Any], rows: pd.DataFrame, file: Path) -> ET.Element:
    document = ET.Element("ANNOTATION_DOCUMENT", AUTHOR="", DATE="1970-01-01T00:00:00+00:00")
    document.attrib.update(FORMAT="3.0", VERSION="3.0")
    document.set(f"{{{_XSI}}}noNamespaceSchemaLocation", "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    header = ET.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    address = _text(written_name(events, video["video"], file.parent))
    ET.SubElement(
        header, "MEDIA_DESCRIPTOR", MEDIA_URL=address, MIME_TYPE="video/mp4",
        RELATIVE_MEDIA_URL=address,
    )  # fmt: skip
    for name in VIDEOS:
        if not pd.isna(video[name]):
            ET.SubElement(header, "PROPERTY", NAME=_PROPERTY + name).text = _text(video[name])
    order = ET.SubElement(document, "TIME_ORDER")
    tiers: dict[str, ET.Element] = {}
    busy: dict[str, int] = {}
    slots: list[tuple[int, str]] = []
    records = rows.sort_values(["start"], kind="stable").to_dict("records")
    for number, row in enumerate(records, start=1):
        begin, end, point = _milliseconds(row)
        tier = _lane(row["subject"], point, begin, busy)
        busy[tier] = end
        if tier not in tiers:
            tiers[tier] = _tier(document, tier, row["subject"], _POINT if point else _EVENT)
        refs = [f"ts{2 * number - 1}", f"ts{2 * number}"]
        slots += zip((begin, end), refs, strict=True)
        item = ET.SubElement(ET.SubElement(tiers[tier], "ANNOTATION"), "ALIGNABLE_ANNOTATION")
        item.attrib.update(ANNOTATION_ID=f"a{number}")
        item.attrib.update(TIME_SLOT_REF1=refs[0], TIME_SLOT_REF2=refs[1])
        ET.SubElement(item, "ANNOTATION_VALUE").text = _text(row["label"] or "")
    for time, name in sorted(slots, key=lambda slot: slot[0]):
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time))
    _write_notes(document, records, tiers)
    for name, constraint in ((_EVENT, None), (_POINT, None), (_NOTE, "Symbolic_Association")):
        kind = ET.SubElement(document, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID=name)
        kind.attrib.update(TIME_ALIGNABLE="false" if constraint else "true")
        kind.attrib.update({"CONSTRAINTS": constraint} if constraint else {})
    ET.SubElement(
        document, "CONSTRAINT", STEREOTYPE="Symbolic_Association",
        DESCRIPTION="1-1 association with a parent annotation",
    )  # fmt: skip
    return document


def _milliseconds(row: dict[Any, Any]) -> tuple[int, int, bool]:
    begin, end, point = round(row["start"] * 1000), round(row["end"] * 1000), False
    if row["end"] < row["start"] or begin < 0:
        raise DataError(
            f"Event {row['id']} of {row['video']} from {row['start']:g} to {row['end']:g} s cannot "
            f"be written: it ends before it starts, or starts before the video."
        )
    point = row["end"] == row["start"]
    return begin, max(end, begin + 1), point


def _lane(subject: str | None, point: bool, begin: int, busy: dict[str, int]) -> str:
    """Return the first tier of the subject that is free at ``begin``: tiers hold no overlaps."""
    base = (subject or "events") + (" (points)" if point else "") + ("" if subject else " ")
    lane, number = base, 1
    while busy.get(lane, 0) > begin:
        number += 1
        lane = f"{base} #{number}"
    return lane


def _tier(parent: ET.Element, name: str, subject: str | None, kind: str) -> ET.Element:
    tier = ET.SubElement(parent, "TIER", TIER_ID=_text(name), LINGUISTIC_TYPE_REF=kind)
    if subject is not None:
        tier.set("PARTICIPANT", _text(subject))
    return tier


def _write_notes(
    document: ET.Element, records: list[dict[Any, Any]], tiers: dict[str, ET.Element]
) -> None:
    """Write modifiers, score ... on tiers that depend on the events' tiers."""
    number = len(records)
    for name, tier in tiers.items():
        ids = [a.get("ANNOTATION_ID", "") for a in tier.iter("ALIGNABLE_ANNOTATION")]
        for column in _NOTES:
            values = {i: records[int(i[1:]) - 1][column] for i in ids}
            values = {i: v for i, v in values.items() if not pd.isna(v) and v != "event"}
            if not values:
                continue
            notes = _tier(document, f"{name}@{column}", tier.get("PARTICIPANT"), _NOTE)
            notes.set("PARENT_REF", name)
            for parent, value in values.items():
                number += 1
                item = ET.SubElement(ET.SubElement(notes, "ANNOTATION"), "REF_ANNOTATION")
                item.attrib.update(ANNOTATION_ID=f"a{number}", ANNOTATION_REF=parent)
                ET.SubElement(item, "ANNOTATION_VALUE").text = _text(value)


def _text(value: Any) -> str:
    text = str(value)
    if _FORBIDDEN.search(text):
        raise DataError(f"{text!r} holds a control character, which XML cannot; remove it.")
    return text
