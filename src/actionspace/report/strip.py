"""The strip under the picture of an overlay video: what happens when, around the present."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from actionspace.events.blur import OPACITY, Edges, bars
from actionspace.events.plot import DARK
from actionspace.report.letters import shortened, typeface, width_of

#: A video up to this many seconds is shown whole; of a longer one a stretch around the present.
WHOLE, STRETCH = 120.0, 60.0
#: Spans of one row that overlap lie under each other, the best-scoring on top, down to this many.
MOST_TRACKS = 3

Window = tuple[float, float]
"""First and last second that are shown."""


@dataclass(frozen=True)
class Mark:
    """One event of a row: seconds, class, its colour (``#rrggbb``) and, if predicted, a score.

    ``edges`` are where its boundaries lie with a probability of 80 %, if that is known.
    """

    start: float
    end: float
    label: str
    colour: str
    score: float | None = None
    edges: Edges | None = None


@dataclass(frozen=True)
class Row:
    """The events of one side (predicted, true) over a video."""

    name: str
    marks: Sequence[Mark]

    @cached_property
    def tracks(self) -> list[list[Mark]]:
        """The marks without overlap, each in the first track that has room for it.

        They are placed by falling score; what finds no room in :data:`MOST_TRACKS` is not shown.
        """
        tracks: list[list[Mark]] = [[]]
        for mark in sorted(self.marks, key=lambda m: (-(m.score or 0.0), m.start)):
            if _place(mark, tracks) or len(tracks) == MOST_TRACKS:
                continue
            tracks.append([mark])
        return tracks

    def at(self, time: float) -> list[Mark]:
        """Return what happens at a moment, from the top; points last half a second."""
        before = [t[i - 1] for t in self.tracks if (i := bisect_right(t, time, key=_start))]
        return [m for m in before if time < (m.end if m.end > m.start else m.start + 0.5)]


def _start(mark: Mark) -> float:
    return mark.start


def _place(mark: Mark, tracks: Sequence[list[Mark]]) -> bool:
    """Put a mark into the first track in which it overlaps no other, if there is one."""
    for track in tracks:
        i = bisect_right(track, mark.start, key=_start)
        before = track[i - 1] if i else None
        free = before is None or before.start < mark.start >= before.end
        if free and (i == len(track) or mark.end <= track[i].start):
            track.insert(i, mark)
            return True
    return False


class Strip:
    """Draws the strip of one video, frame by frame."""

    def __init__(self, rows: Sequence[Row], duration: float, width: int) -> None:
        """Lay out the strip.

        Args:
            rows: from top to bottom.
            duration: of the video in seconds.
            width: of the picture in pixels; sizes of letters and bars follow from it.
        """
        self.rows, self.duration, self.width = rows, max(duration, 1e-6), width
        self.letter = round(min(max(8.5 + width / 90, 11), 44))
        self.small = max(round(0.8 * self.letter), 9)
        self.pad = round(0.45 * self.letter)
        self.bar = round(1.3 * self.letter)
        self.scrolls = self.duration > WHOLE
        self._still: tuple[Window, Image.Image] | None = None
        self._line, self._thin = round(1.4 * self.letter), round(0.6 * self.letter)
        self._tops: list[int] = []
        y = self.pad
        for row in rows:
            self._tops.append(y)
            y += self._line + len(row.tracks) * (self.bar + 1) + self.pad
        self._axis = y
        self._whole = y = y + round(1.5 * self.small)
        y += self._thin + self.pad if self.scrolls else 0
        self.height = y + y % 2

    def window(self, time: float) -> Window:
        """Return what is shown at a moment."""
        if not self.scrolls:
            return 0.0, self.duration
        return time - STRETCH / 2, time + STRETCH / 2

    def draw(self, time: float) -> np.ndarray:
        """Return the strip at a moment (seconds) as uint8 ``[height, width, 3]``."""
        window = self.window(time)
        if self._still is None or self._still[0] != window:
            self._still = window, self._draw_still(window)
        image = self._still[1].copy()
        draw = ImageDraw.Draw(image)
        clock = _clock(time)
        right = self.width - self.pad - width_of(clock, self.letter)
        draw.text((right, self._tops[0]), clock, DARK.ink, typeface(self.letter))
        for row, top in zip(self.rows, self._tops, strict=True):
            self._say(draw, row.at(time), top, right - self.letter)
        self._cursor(draw, self._x(time, window))
        if self.scrolls:
            self._frame(draw, window)
        return np.asarray(image)

    def _draw_still(self, window: Window) -> Image.Image:
        """Return everything that does not change while the window stays."""
        image = Image.new("RGB", (self.width, self.height), DARK.paper)
        draw = ImageDraw.Draw(image)
        for row, top in zip(self.rows, self._tops, strict=True):
            draw.text((self.pad, top), row.name, DARK.quiet, typeface(self.letter))
            y = top + self._line
            for track in row.tracks:
                self._bars(draw, track, window, y, self.bar, named=True)
                y += self.bar + 1
        self._ticks(draw, window)
        if self.scrolls:
            image.paste(self._overview, (0, self._whole))
        return image

    @cached_property
    def _overview(self) -> Image.Image:
        """The first row's best over the whole video."""
        image = Image.new("RGB", (self.width, self._thin), DARK.paper)
        best, whole = self.rows[0].tracks[0], (0.0, self.duration)
        self._bars(ImageDraw.Draw(image), best, whole, 0, self._thin, named=False)
        return image

    def _bars(
        self, draw: ImageDraw.ImageDraw, track: Sequence[Mark], window: Window, y: int, high: int,
        named: bool,
    ) -> None:  # fmt: skip
        left, right = (self._x(t, window) for t in self._inside(window))
        draw.rectangle((left, y, max(right - 1, left), y + high - 1), DARK.lane)
        first = max(bisect_right(track, window[0], key=_start) - 1, 0)
        for mark in track[first : bisect_right(track, window[1], key=_start)]:
            if mark.end < window[0]:
                continue
            x0 = max(self._x(mark.start, window), 0)
            # A pixel stays free, so that two bouts of a class that follow each other are two.
            x1 = max(min(self._x(mark.end, window), self.width) - 2, x0 + 1)
            if mark.start == mark.end:  # a tick around its moment
                thick = max(self.letter // 5, 2)
                x0 = min(max(x0 - thick // 2, 0), self.width - thick)
                x1 = x0 + thick - 1
            if mark.edges is None:
                draw.rectangle((x0, y, x1, y + high - 1), mark.colour)
            else:
                self._blurred(draw, mark, window, y, high)
            room = x1 - x0 - self.small // 2
            if named and width_of(mark.label, self.small) <= room:
                at = (x0 + self.small // 3, y + (high - round(1.2 * self.small)) // 2)
                draw.text(at, mark.label, _on(mark.colour), typeface(self.small))

    def _blurred(
        self, draw: ImageDraw.ImageDraw, mark: Mark, window: Window, y: int, high: int
    ) -> None:
        assert mark.edges is not None
        for k, (start, end) in enumerate(bars(mark.edges), start=1):
            left, right = self._x(start, window), max(self._x(end, window) - 2, 0)
            shade = _mixed(mark.colour, DARK.lane, (1 - OPACITY) ** k)
            draw.rectangle((max(left, 0), y, max(right, left, 0), y + high - 1), shade)

    def _ticks(self, draw: ImageDraw.ImageDraw, window: Window) -> None:
        """Write times under the bars, as many as have room."""
        apart = 1.8 * width_of(_clock(self.duration), self.small)
        seconds = (window[1] - window[0]) * apart / self.width
        step = next((s for s in _STEPS if s >= seconds), _STEPS[-1])
        low, high = self._inside(window)
        for k in range(int(-(-low // step)), int(high // step) + 1):
            x, text = self._x(k * step, window), _clock(k * step)
            draw.line((x, self._axis - self.pad, x, self._axis - 1), DARK.quiet)
            wide = width_of(text, self.small)
            x = min(max(x - wide // 2, 2), self.width - wide - 2)
            draw.text((x, self._axis), text, DARK.quiet, typeface(self.small))

    def _say(self, draw: ImageDraw.ImageDraw, now: Sequence[Mark], top: int, right: int) -> None:
        """Write what happens now beside the row's name, as far as there is room."""
        side = round(0.75 * self.letter)
        x = 2 * self.pad + max(width_of(row.name, self.letter) for row in self.rows)
        font = typeface(self.letter)
        for k, mark in enumerate(now):
            score = "" if mark.score is None else f" {mark.score:.2f}"
            rest = f" +{len(now) - k}" if k else ""
            room = right - x - side - self.pad - width_of(score, self.letter)
            name = shortened(mark.label, room, self.letter)
            if k and name != mark.label:
                draw.text((x, top), rest, DARK.quiet, font)
                return
            y = top + round(0.22 * self.letter)
            draw.rectangle((x, y, x + side - 1, y + side - 1), mark.colour)
            x += side + self.pad
            draw.text((x, top), name, DARK.ink, font)
            x += width_of(name, self.letter)
            draw.text((x, top), score, DARK.quiet, font)
            x += width_of(score, self.letter) + 2 * self.pad

    def _cursor(self, draw: ImageDraw.ImageDraw, x: int) -> None:
        """Draw the line at the present through the bars, but not through the words."""
        wide = max(2, self.letter // 8)
        left = min(max(x - wide // 2, 1), self.width - wide - 1)
        for row, top in zip(self.rows, self._tops, strict=True):
            y, tall = top + self._line, len(row.tracks) * (self.bar + 1)
            draw.rectangle((left - 1, y - 2, left + wide, y + tall), DARK.paper)
            draw.rectangle((left, y - 2, left + wide - 1, y + tall), "#ffffff")

    def _frame(self, draw: ImageDraw.ImageDraw, window: Window) -> None:
        """Frame the part of the whole video that is shown."""
        left, right = (self._x(t, (0.0, self.duration)) for t in self._inside(window))
        box = (left, self._whole - 2, max(right, left + 3), self._whole + self._thin + 1)
        draw.rectangle(box, outline="#ffffff", width=max(1, self.letter // 14))

    def _inside(self, window: Window) -> Window:
        """Return the part of a window that lies in the video."""
        return max(window[0], 0.0), min(window[1], self.duration)

    def _x(self, time: float, window: Window) -> int:
        """Return the column of a moment."""
        return round((time - window[0]) / (window[1] - window[0]) * self.width)


_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def _clock(seconds: float) -> str:
    if seconds % 1 == 0.5:
        return f"{seconds:.1f}"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _mixed(colour: str, other: str, share: float) -> str:
    """Return a colour with a share of another."""
    pairs = zip(ImageColor.getrgb(colour), ImageColor.getrgb(other), strict=True)
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


@lru_cache
def _on(colour: str) -> str:
    """Return the letters' colour that is read best on ``colour``."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
