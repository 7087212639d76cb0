"""What one extraction did, as a value and as the lines printed at its end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ExtractionSummary:
    """Counts and times of one extraction."""

    videos: int
    """Videos extracted now."""
    known: int
    """Videos that were already in the store."""
    clips: int
    """Clips encoded now (rows times views)."""
    seconds: float
    """Wall time."""
    data_wait: float
    """Seconds in which the encoder waited for clips to be decoded."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Videos without features, with the reason; the next run tries them again."""
    partial: dict[str, str] = field(default_factory=dict)
    """Videos of which some rows are missing, with the reason."""

    @property
    def data_wait_share(self) -> float:
        """Share of the wall time spent waiting for data, 0 to 1."""
        return self.data_wait / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.videos} videos extracted, {self.known} already there, "
            f"{len(self.skipped)} skipped; {self.clips} clips in {self.seconds:.1f} s, "
            f"{self.data_wait_share:.0%} of it waiting for data."
        ]
        lines += [f"skipped {video}: {why}" for video, why in sorted(self.skipped.items())]
        lines += [f"partial {video}: {why}" for video, why in sorted(self.partial.items())]
        return "\n".join(lines)
