"""The licence of weights: shown when they are first used, accepted where it asks for that.

Weights under a non-commercial licence, and weights handed out only to who agreed to terms, are not
loaded until the licence was accepted: ``--accept-licence`` on the command line,
``create_encoder(..., accept_licence=True)``, or the environment variable
``ACTIONSPACE_ACCEPT_LICENCE=1`` (for clusters). What was shown and accepted is kept by name in
``licences.json`` in the cache folder, so that it is asked once.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from actionspace.errors import ActionspaceError, WeightsError
from actionspace.paths import cache_dir, write_json

VARIABLE = "ACTIONSPACE_ACCEPT_LICENCE"

log = logging.getLogger(__name__)


def accept_licences() -> None:
    """Accept the licence of all weights that this process and those it starts will load."""
    os.environ[VARIABLE] = "1"


def check_licence(
    name: str, licence: str, gate: str, *, accepted: bool = False, where: str = ""
) -> None:
    """Show the licence of ``name`` at its first use; refuse it where it must be accepted first.

    Args:
        name: of the weights.
        licence: what they are licensed under.
        gate: ``""``, ``"non-commercial"`` or ``"gated"``.
        accepted: it is accepted now.
        where: the page that holds the licence.

    Raises:
        WeightsError: it must be accepted first, and was not.
    """
    seen = _seen()
    before = seen.get(name, {})
    accepted = accepted or os.environ.get(VARIABLE, "") not in ("", "0")
    if before.get("licence") == licence and (before.get("accepted") or not gate):
        return
    if gate and not accepted:
        terms = "for non-commercial use only" if gate == "non-commercial" else "on terms of its own"
        raise WeightsError(
            f"The weights of '{name}' are licensed {terms}: {licence}{where and f', see {where}'}. "
            f"If you may use them, say so once: --accept-licence on the command line, "
            f"create_encoder('{name}', accept_licence=True), or {VARIABLE}=1."
        )
    log.warning("Licence of the weights of %s: %s%s", name, licence, gate and f" ({gate})")
    _remember(seen | {name: {"licence": licence, "accepted": bool(gate)}})


def _file() -> Path:
    return cache_dir() / "licences.json"


def _seen() -> dict[str, dict[str, object]]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(seen: dict[str, dict[str, object]]) -> None:
    try:
        write_json(_file(), seen)
    except ActionspaceError as e:  # asked again next time; nothing else is lost
        log.warning("%s", e)
