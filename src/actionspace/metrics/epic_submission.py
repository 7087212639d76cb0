"""Result files of the EPIC-KITCHENS-100 challenges: written, read back and checked.

A submission is a zip that holds ``test.json``: version, challenge, three levels of supervision, and
per segment a score for each verb and noun and, if wanted, for exactly 100 actions. The server
refuses a file for any of the reasons checked here, after the upload and one of the day's tries.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actionspace.errors import DataError, did_you_mean
from actionspace.metrics.epic import KEPT, NOUNS, VERBS, Actions, action_scores
from actionspace.metrics.inputs import Floats, as_scores
from actionspace.paths import atomic_path, plain

CHALLENGES = ("action_recognition", "action_anticipation")
VERSION = "0.2"
INSIDE = "test.json"
_LEVELS = range(6)
_ABSENT = 20.0  # a class the model does not know scores this much below its lowest (e^-20)


@dataclass(frozen=True)
class Supervision:
    """The supervision level scale: what a result was learnt from, each 0 to 5.

    Attributes:
        sls_pt: pre-training: 0 none, 1 public images, 2 public images and video, 3 self-supervised
            on public data, 4 the same with EPIC-KITCHENS, 5 private data.
        sls_tl: labels: 0 none, 3 start and end of segments (the usual), 5 more than that.
        sls_td: training data: 0 zero-shot, 1 few-shot, 2 up to a quarter, 3 the training split,
            4 training and validation, 5 more.
    """

    sls_pt: int = 2
    sls_tl: int = 3
    sls_td: int = 4


def official_columns(scores: ArrayLike, names: Sequence[str], official: Sequence[str]) -> Floats:
    """Return scores ``[N, len(official)]`` with the columns in the order of the official ids.

    A class the model does not know gets scores far below all of its row.

    Raises:
        DataError: a name is no official class.
    """
    array = as_scores(scores)
    if array.shape[1] != len(names):
        raise DataError(f"There are {len(names)} names for {array.shape[1]} columns of scores.")
    column = {name: i for i, name in enumerate(official)}
    for name in names:
        if name not in column:
            raise DataError(f"'{name}' is no class of the challenge.{did_you_mean(name, column)}")
    out: Floats = np.repeat(array.min(axis=1, keepdims=True) - _ABSENT, len(official), axis=1)
    out[:, [column[name] for name in names]] = array
    return out


def submission(
    narration_ids: Sequence[str],
    verb: ArrayLike,
    noun: ArrayLike,
    *,
    challenge: str = "action_recognition",
    supervision: Supervision | None = None,
    actions: bool | Actions = True,
) -> dict[str, Any]:
    """Return the content of ``test.json``.

    Args:
        narration_ids: the segment of each row of scores.
        verb: scores ``[N, 97]``, columns by official id; see :func:`official_columns`.
        noun: scores ``[N, 300]``.
        challenge: one of :data:`CHALLENGES`.
        supervision: what was learnt from; None = public pre-training, training and validation.
        actions: True = write the 100 best actions of verbs and nouns too; or those of a network
            that scores actions itself; False = the server makes them from verbs and nouns.

    Raises:
        DataError: the result is not one that the server takes.
    """
    verbs, nouns = as_scores(verb), as_scores(noun)
    if not len(narration_ids) == len(verbs) == len(nouns):
        raise DataError(
            f"There are {len(narration_ids)} segments, {len(verbs)} rows of verb scores and "
            f"{len(nouns)} of noun scores; give one of each per segment."
        )
    best: Actions | None = actions if isinstance(actions, Actions) else None
    if actions is True:
        best = action_scores(verbs, nouns, KEPT)
    results: dict[str, Any] = {}
    for i, (name, v, n) in enumerate(zip(narration_ids, verbs, nouns, strict=True)):
        results[str(name)] = {"verb": _by_id(v), "noun": _by_id(n)}
        if best is not None:
            pairs = zip(best.verbs[i], best.nouns[i], best.scores[i], strict=True)
            results[str(name)]["action"] = {f"{a},{b}": float(s) for a, b, s in pairs}
    content = {
        "version": VERSION,
        "challenge": challenge,
        **asdict(supervision or Supervision()),
        "results": results,
    }
    check_submission(content, [str(name) for name in narration_ids])
    return content


def _by_id(scores: Floats) -> dict[str, float]:
    return {str(i): float(score) for i, score in enumerate(scores)}


def write_submission(content: Mapping[str, Any], path: str | Path) -> Path:
    """Write ``content`` as the zip to upload; the same content gives the same bytes."""
    path = Path(path)
    if path.suffix.lower() != ".zip":
        raise DataError(f"{path}: a submission is a zip file; give a name that ends in .zip.")
    text = json.dumps(plain(content), separators=(",", ":"))
    with atomic_path(path) as tmp, zipfile.ZipFile(tmp, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(INSIDE), text, zipfile.ZIP_DEFLATED)
    return path


def read_submission(path: str | Path) -> dict[str, Any]:
    """Return the content of a submission, from its zip or from the bare JSON.

    Raises:
        DataError: neither, or no ``test.json`` in it.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                data = archive.read(INSIDE)
        else:
            data = path.read_bytes()
        content = json.loads(data)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as e:
        raise DataError(f"{path} is not a zip with {INSIDE} in it, nor JSON: {e}") from e
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object.")
    return content


def check_submission(content: Mapping[str, Any], narration_ids: Iterable[str]) -> None:
    """Check a submission as the server does.

    Args:
        content: what ``test.json`` says.
        narration_ids: the segments that must be scored, each and no other.

    Raises:
        DataError: the first thing that the server would refuse.
    """
    check_head(content)
    results = _table(content["results"], "results")
    wanted = dict.fromkeys(narration_ids)
    _check_keys(results, wanted, "results", "segment")
    with_actions = {name: "action" in _table(row, name) for name, row in results.items()}
    if len(set(with_actions.values())) > 1:
        lacking = next(name for name, has in with_actions.items() if not has)
        raise DataError(f"{lacking} has no actions while others do; give all of them or none.")
    for name, row in results.items():
        for what, classes in (("verb", VERBS), ("noun", NOUNS)):
            scores = _table(row.get(what), f"{name}: '{what}'")
            _check_keys(scores, dict.fromkeys(map(str, range(classes))), f"{name}: {what}", "class")
            _check_scores(scores, f"{name}: {what}")
        if "action" in row:
            _check_actions(_table(row["action"], f"{name}: 'action'"), name)


def check_head(content: Mapping[str, Any], challenges: Sequence[str] = CHALLENGES) -> None:
    """Check version, challenge and supervision levels of a submission.

    Raises:
        DataError: the first thing that the server would refuse.
    """
    levels = tuple(asdict(Supervision()))
    for key in ("version", "challenge", *levels, "results"):
        if key not in content:
            raise DataError(f"The submission lacks '{key}'.")
    if content["version"] != VERSION:
        raise DataError(f"The version is {content['version']!r}; the server takes '{VERSION}'.")
    if content["challenge"] not in challenges:
        raise DataError(
            f"The challenge is {content['challenge']!r}; it is {' or '.join(challenges)}."
        )
    for key in levels:
        level = content[key]
        if isinstance(level, bool) or not isinstance(level, int) or level not in _LEVELS:
            raise DataError(f"{key} is {level!r}; the level is a whole number from 0 to 5.")


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DataError(f"{what} is missing or no JSON object.")
    return value


def _check_keys(have: Mapping[str, Any], wanted: Mapping[str, Any], where: str, kind: str) -> None:
    missing = [key for key in wanted if key not in have]
    if missing:
        raise DataError(f"{where}: {len(missing)} {kind}(s) have no score, first '{missing[0]}'.")
    extra = [key for key in have if key not in wanted]
    if extra:
        raise DataError(f"{where}: {len(extra)} {kind}(s) should not be there, as '{extra[0]}'.")


def _check_scores(scores: Mapping[str, Any], where: str) -> None:
    for key, score in scores.items():
        number = isinstance(score, int | float) and not isinstance(score, bool)
        if not number or not math.isfinite(score):
            raise DataError(f"{where} '{key}' has the score {score!r}; expected a finite number.")


def _check_actions(actions: Mapping[str, Any], name: str) -> None:
    if len(actions) != KEPT:
        raise DataError(f"{name}: {len(actions)} actions are scored; it must be {KEPT} or none.")
    for key in actions:
        parts = key.split(",")
        known = len(parts) == 2 and all(p.isascii() and p.isdigit() for p in parts)
        if not known or int(parts[0]) >= VERBS or int(parts[1]) >= NOUNS:
            raise DataError(f"{name}: '{key}' is no action; write 'verb,noun' by their ids.")
    _check_scores(actions, f"{name}: action")
