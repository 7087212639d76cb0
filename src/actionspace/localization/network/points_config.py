"""How moments are learnt: every field with its default, unit and meaning; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actionspace.config import Config

Moment = Literal["center", "start", "end"]
"""Which moment of an event that lasts."""
Levels = Literal["all", "finest"]
"""Of the pyramid."""


class PointsConfig(Config):
    """SnapFormer: heat maps of moments (``model.head=points``); of events with start = end it is
    theirs.
    """

    at: Moment = "center"
    """The moment of an event that lasts; the wider is the heat around its centre."""
    sigma: float = Field(default=1.0, gt=0)
    """Width of the heat around a moment, in cells of a level (rows, at the finest); at ``center``
    of an event that lasts, at least a sixth of its length."""
    levels: Levels = "all"
    """What learns: every level of the pyramid, each a map of its own, or the finest alone."""

    def idle(self, neck: str, levels: int) -> str:
        """Return why levels of the pyramid would be computed for nothing, if so."""
        if self.levels == "all" or neck != "identity" or levels == 1:
            return ""
        return (
            "points.levels 'finest' with neck 'identity': what coarser levels see would reach "
            "nothing. Say neck=cs_fpn (or fpn), or points.levels=all"
        )
