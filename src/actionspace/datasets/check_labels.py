"""Findings about labels: unknown, nearly equal, missing from a split, living in one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from actionspace.datasets.finding import Finding, listed, of_event
from actionspace.errors import did_you_mean
from actionspace.events.splits import notes
from actionspace.events.table import Events


def check(events: Events, classes: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Return the findings for every head; ``classes`` are the labels there should be."""
    found: list[Finding] = []
    for head in events.heads:
        counts, first = _count(events, head)
        known = classes.get(head)
        if known is not None:
            found += _unknown(events, counts, first, known)
        found += _alike(events, counts, first)
    if events.heads[0] in events.rows.columns and len(events):
        found += _splits(events)
        if events.videos["group"].notna().any():
            found += [Finding("note", "one-group", note) for note in notes(events)]
    return found


def _count(events: Events, head: str) -> tuple[Counter[str], dict[str, str]]:
    """Return how often each label occurs and the id of its first event."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for event, names in zip(events.rows["id"], events.labels(head), strict=True):
        for name in names:
            counts[name] += 1
            first.setdefault(name, event)
    return counts, first


def _unknown(
    events: Events, counts: Counter[str], first: Mapping[str, str], known: Sequence[str]
) -> Iterator[Finding]:
    for name in counts:
        if name not in known:
            message = (
                f"'{name}' ({counts[name]} events) is no known label.{did_you_mean(name, known)}"
            )
            yield Finding("error", "unknown-label", message, *of_event(events, first[name]))
    empty = [name for name in known if name not in counts]
    if empty:
        yield Finding("warning", "empty-class", f"no event has the label {listed(empty)}.")


def _alike(events: Events, counts: Counter[str], first: Mapping[str, str]) -> Iterator[Finding]:
    """Yield pairs of labels that look like one written in two ways; the rarer one is named."""
    plain = {name: _plain(name) for name in counts}
    for a, b in combinations(sorted(counts), 2):
        rare, usual = sorted((a, b), key=lambda n: (counts[n], n))
        same = plain[a] == plain[b]
        slip = not same and counts[rare] <= max(2, counts[usual] // 10) and _one_slip(a, b)
        if same or slip:
            how = "differ in case, spaces or punctuation only" if same else "are one slip apart"
            yield Finding(
                "warning",
                "labels-alike",
                f"'{rare}' ({counts[rare]} events) and '{usual}' ({counts[usual]}) {how}: if they "
                f"are one class, write it in one way.",
                *of_event(events, first[rare]),
            )


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _one_slip(a: str, b: str) -> bool:
    """Say whether one letter left out, added, changed or swapped turns ``a`` into ``b``.

    Short names and names that differ in a digit are different on purpose.
    """
    a, b = sorted((a.casefold(), b.casefold()), key=len)
    if len(a) < 4 or len(b) - len(a) > 1 or [c for c in a if c.isdigit()] != [
        c for c in b if c.isdigit()
    ]:  # fmt: skip
        return False
    at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    if len(a) < len(b):
        return a[at:] == b[at + 1 :]
    swapped = a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :]
    return a[at + 1 :] == b[at + 1 :] or swapped


def _splits(events: Events) -> Iterator[Finding]:
    """Yield classes that are tested and never trained, or trained and never tested."""
    splits = [s for s in events.videos["split"].unique() if s is not None]
    if len(splits) < 2 or "train" not in splits:
        return
    have = {split: set(events.select(split=split).classes(events.heads[0])) for split in splits}
    for split in splits:
        if split == "train":
            continue
        unseen = sorted(have[split] - have["train"])
        if unseen:
            message = f"{listed(unseen)}: in {split}, but in no training video."
            yield Finding("warning", "not-in-train", message)
        absent = sorted(have["train"] - have[split])
        if absent:
            message = f"{listed(absent)}: in no video of {split}, so its scores say nothing of it."
            yield Finding("note", "not-in-split", message)
