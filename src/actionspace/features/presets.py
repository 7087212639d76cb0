"""The grids of published features by name, so that one's own videos get rows like theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actionspace.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from actionspace.video.views import Views


@dataclass(frozen=True)
class GridPreset:
    """A dense grid of clips.

    Attributes:
        frames: consecutive frames that a row is computed from.
        hop: frames between two rows.
        fps: rate that both count in; None = the video's own.
        made_by: the encoder of the published features.
    """

    frames: int
    hop: int
    fps: float | None
    made_by: str

    def views(self, base: Views) -> Views:
        """Return the encoder's views with clips on this grid."""
        return replace(base, frames=self.frames, stride=1, fps=self.fps)


PRESETS = {
    "thumos14_i3d": GridPreset(16, 4, None, "I3D, pictures and flow, Kinetics"),
    "activitynet13_tsp": GridPreset(16, 16, 15.0, "R(2+1)D-34, TSP on ActivityNet"),
    "activitynet13_i3d": GridPreset(16, 16, 25.0, "I3D, pictures and flow, Kinetics"),
    "epic100_slowfast": GridPreset(32, 16, 30.0, "SlowFast, trained on EPIC-KITCHENS-100"),
    "ego4d": GridPreset(32, 16, 30.0, "SlowFast R101 or Omnivore Swin-L; 1.875 rows per second"),
}
"""By name: the features of ActionFormer's configurations."""


def grid_preset(name: str) -> GridPreset:
    """Return a preset by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS) or f" There is: {', '.join(PRESETS)}."
        raise UsageError(f"There is no grid '{name}'.{hint}")
    return PRESETS[name]
