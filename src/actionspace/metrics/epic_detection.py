"""EPIC-KITCHENS-100 action detection: verbs, nouns and actions, and the result file to send in.

One list of predicted segments is measured three times, by its verb, by its noun and by the pair,
each time with the same scores; nothing is left out of the annotations (Damen et al. 2022,
"Rescaling Egocentric Vision", and the published scorer).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

from actionspace.errors import DataError, did_you_mean
from actionspace.events.table import Events
from actionspace.metrics.detection import THRESHOLDS
from actionspace.metrics.detection_events import (
    DetectionEvaluation,
    OtherVideos,
    evaluate_events,
)
from actionspace.metrics.epic import NOUNS, VERBS
from actionspace.metrics.epic_submission import VERSION, Supervision, check_head

CHALLENGE = "action_detection"
TASKS = ("verb", "noun", "action")


def epic_detection(
    truth: Events,
    predictions: Events,
    *,
    split: str | None = None,
    thresholds: Sequence[float] = THRESHOLDS["epic100"],
    other_videos: OtherVideos = "refuse",
) -> dict[str, DetectionEvaluation]:
    """Return the evaluation of ``verb``, ``noun`` and ``action``.

    Args:
        truth: annotations with the heads ``verb`` and ``noun``.
        predictions: the same heads, and a score.
        split: only the videos of this split.
        thresholds: temporal IoU.
        other_videos: see :func:`actionspace.metrics.detection_events.evaluate_events`.

    Raises:
        DataError: see there; or a head is missing.
    """
    pair = _with_actions(truth), _with_actions(predictions)
    return {
        task: evaluate_events(
            *pair,
            thresholds,
            head=task,
            split=split,
            clean=False,
            other_videos=other_videos,
            name=f"epic100-detection-{task}",
        )
        for task in TASKS
    }


def epic_detection_metrics(evaluations: Mapping[str, DetectionEvaluation]) -> dict[str, float]:
    """Return ``verb_map``, ``verb_map@0.10`` ... ``action_map@0.50``, as fractions."""
    return {
        f"{task}_{name}": value
        for task, evaluation in evaluations.items()
        for name, value in evaluation.metrics().items()
        if name.startswith("map")
    }


def _with_actions(events: Events) -> Events:
    for head in ("verb", "noun"):
        if head not in events.heads:
            raise DataError(
                f"EPIC-KITCHENS-100 detection needs the head '{head}'; there is: "
                f"{', '.join(events.heads)}."
            )
    rows = events.rows
    both = rows["verb"].notna() & rows["noun"].notna()
    action = (rows["verb"].astype(str) + " + " + rows["noun"].astype(str)).where(both, None)
    heads = tuple(dict.fromkeys([*events.heads, "action"]))
    return replace(events, rows=rows.assign(action=action.astype(object)), heads=heads)


def detection_submission(
    predictions: Events,
    verbs: Sequence[str],
    nouns: Sequence[str],
    *,
    supervision: Supervision | None = None,
) -> dict[str, Any]:
    """Return the content of ``test.json``; every video of ``predictions`` gets a list.

    Args:
        predictions: heads ``verb`` and ``noun``, times and a score.
        verbs, nouns: the names by official id.
        supervision: what was learnt from; None = public pre-training, training and validation.

    Raises:
        DataError: a name is no official class, or the server would refuse the result.
    """
    numbers = {
        head: {name: i for i, name in enumerate(names)}
        for head, names in (("verb", verbs), ("noun", nouns))
    }

    def number(head: str, name: Any) -> int:
        if name not in numbers[head]:
            hint = did_you_mean(str(name), numbers[head])
            raise DataError(f"'{name}' is no {head} of the challenge.{hint}")
        return numbers[head][name]

    results: dict[str, Any] = {}
    for video, rows in predictions.by_video():
        found = results.setdefault(PurePosixPath(video["video"]).stem, [])
        for row in rows.to_dict("records"):
            verb, noun = number("verb", row["verb"]), number("noun", row["noun"])
            found.append(
                {
                    "verb": verb,
                    "noun": noun,
                    "action": f"{verb},{noun}",
                    "score": float(row["score"]),
                    "segment": [float(row["start"]), float(row["end"])],
                }
            )
    content = {
        "version": VERSION,
        "challenge": CHALLENGE,
        **asdict(supervision or Supervision()),
        "results": results,
    }
    check_detection_submission(content, results)
    return content


def check_detection_submission(content: Mapping[str, Any], videos: Iterable[str]) -> None:
    """Check a submission: its head, one list per video, and every segment in it.

    Raises:
        DataError: the first thing that is wrong; video and place in its list are named.
    """
    check_head(content, (CHALLENGE,))
    results, wanted = content["results"], set(videos)
    if not isinstance(results, Mapping):
        raise DataError("'results' is no JSON object.")
    for video in sorted(wanted ^ set(results)):
        if video in wanted:
            raise DataError(f"The video '{video}' has no list of segments; an empty one will do.")
        raise DataError(f"The video '{video}' should not be there.{did_you_mean(video, wanted)}")
    for video, found in results.items():
        if not isinstance(found, list):
            raise DataError(f"'{video}' holds no list of segments.")
        for k, entry in enumerate(found):
            _check_entry(entry, f"{video}, segment {k}")


def _check_entry(entry: Any, where: str) -> None:
    if not isinstance(entry, Mapping):
        raise DataError(f"{where}: expected an object with verb, noun, action, score, segment.")
    for key, count in (("verb", VERBS), ("noun", NOUNS)):
        value = entry.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise DataError(f"{where}: '{key}' is {value!r}; expected an id from 0 to {count - 1}.")
    if entry.get("action") != f"{entry['verb']},{entry['noun']}":
        raise DataError(
            f"{where}: 'action' is {entry.get('action')!r}; expected "
            f"'{entry['verb']},{entry['noun']}', the verb and the noun."
        )
    segment = entry.get("segment")
    numbers = [entry.get("score"), *(segment if isinstance(segment, list) else [])]
    fine = [
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in numbers
    ]
    if not fine[0]:
        raise DataError(f"{where}: 'score' is {numbers[0]!r}; expected a finite number.")
    if len(fine) != 3 or not all(fine) or numbers[1] > numbers[2]:
        raise DataError(f"{where}: 'segment' is {segment!r}; expected [start, end] in seconds.")


def submitted_events(
    content: Mapping[str, Any],
    verbs: Sequence[str] | None = None,
    nouns: Sequence[str] | None = None,
) -> Events:
    """Return a submission as events with the heads ``verb`` and ``noun``; names None = ids.

    Raises:
        DataError: a segment in it is wrong.
    """
    results = content.get("results")
    if not isinstance(results, Mapping):
        raise DataError("'results' is no JSON object.")
    check_detection_submission(content, results)
    rows = [
        {
            "video": video,
            "start": entry["segment"][0],
            "end": entry["segment"][1],
            "verb": verbs[entry["verb"]] if verbs else str(entry["verb"]),
            "noun": nouns[entry["noun"]] if nouns else str(entry["noun"]),
            "score": entry["score"],
        }
        for video, found in results.items()
        for entry in found
    ]
    videos = [{"video": video} for video in results]
    return Events.from_frames(rows, videos, heads=("verb", "noun"))
