"""Pictures for the records: uint8 arrays that TensorBoard shows as they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A middle grey-blue ground: neither glares on a dark page nor vanishes on a light one.
# Small, too: TensorBoard shrinks wide pictures to its cards and drops pixels of their letters.
PAPER, EMPTY, INK = "#e4e8ee", "#f4f6f9", "#1b2430"
FULL = "#1f4f99"
DPI = 100
MOST_COUNTED = 12  # classes up to which the counts are written into the cells
MOST_NAMED = 60  # classes up to which every one is named at the axes
LONGEST_NAME = 22


def confusion_picture(counts: np.ndarray, classes: Sequence[str], *, title: str = "") -> np.ndarray:
    """Draw a confusion matrix; a cell's colour is its share of the row.

    Args:
        counts: ``[C, C]``, rows are truth, columns predictions; numbers of clips or weights.
        classes: the ``C`` names. Of many, only every n-th is written.
        title: what stands above, e.g. the epoch.

    Returns:
        uint8 ``[H, W, 3]``, RGB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    n = len(classes)
    counts = np.asarray(counts)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    side = float(np.clip(n * _cell_inches(n), 1.6, 9.0))
    font = float(np.clip(72 * side / max(n, 1) * 0.55, 5.0, 9.0))
    names = [_cut(name) for name in classes]
    margin = 0.4 + 0.0078 * font * max((len(name) for name in names), default=0)
    figure = Figure(figsize=(side + margin + 0.3, side + margin + 0.5), dpi=DPI, facecolor=PAPER)
    width, height = figure.get_size_inches()
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    colours = LinearSegmentedColormap.from_list("share", [EMPTY, FULL])
    axes.imshow(shares, cmap=colours, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    _name_axes(axes, names, font)
    if title:
        axes.set_title(title, fontsize=10, color=INK, parse_math=False)
    if n <= MOST_COUNTED:
        _write_counts(axes, counts, shares, font)
    canvas: Any = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script the font lacks
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _cell_inches(classes: int) -> float:
    return 0.4 if classes <= 8 else 0.33 if classes <= 20 else 0.15


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _name_axes(axes: Axes, names: Sequence[str], font: float) -> None:
    every = -(-len(names) // MOST_NAMED) or 1
    at = list(range(0, len(names), every))
    style: dict[str, Any] = {"fontsize": font, "color": INK, "parse_math": False}
    axes.set_xticks(at, [names[i] for i in at], rotation=90, **style)
    axes.set_yticks(at, [names[i] for i in at], **style)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=9, color=INK)
    axes.set_ylabel("truth", fontsize=9, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if len(names) <= MOST_NAMED:
        edges = np.arange(1, len(names)) - 0.5
        ends = (-0.5, len(names) - 0.5)  # lines, since minor ticks take as long as all the rest
        axes.hlines(edges, *ends, color=PAPER, linewidth=1.2)
        axes.vlines(edges, *ends, color=PAPER, linewidth=1.2)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, font: float) -> None:
    for (row, column), count in np.ndenumerate(counts):
        if count or row == column:
            ink = "white" if shares[row, column] > 0.7 else INK
            axes.text(column, row, f"{count:g}", ha="center", va="center", fontsize=font, color=ink)
