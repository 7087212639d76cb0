"""The report: one HTML file that needs nothing but itself.

No address outside the file is ever asked for: styles, script and pictures are inside, and a
Content-Security-Policy forbids everything else (style and script are admitted by their hash).
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.paths import write_text

if TYPE_CHECKING:
    import jinja2

    from actionspace.events.table import Events
    from actionspace.report.context import Context

NAME = "report.html"


def write_report(
    run_dir: str | os.PathLike[str],
    *,
    predictions: Sequence[str | os.PathLike[str]] = (),
    events: Events | None = None,
    truth: Events | None = None,
    title: str | None = None,
) -> Path:
    """Write ``report.html`` into a run folder and return its path.

    What is not there (no evaluation, no predictions, no videos on disk) is said in a sentence in
    its place.

    Args:
        run_dir: a run folder, finished or not; its ``predictions/`` are shown.
        predictions: further predictions folders, e.g. of untrimmed videos.
        events: the run's manifest, for the classes per split.
        truth: annotated events of predicted videos, drawn above the prediction; without it what
            the predictions folders bring along.
        title: headline; the folder's name by default.

    Raises:
        RunError: ``run_dir`` holds nothing of a run.
        ActionspaceError: the file cannot be written.
    """
    from actionspace.report.context import gather

    run_dir = Path(run_dir)
    context = gather(run_dir, [Path(p) for p in predictions], events, truth, title)
    target = run_dir / NAME
    write_text(target, render(context))
    return target


def render(context: Context) -> str:
    """Return the page for a gathered context."""
    return fill("template.html.j2", c=context)


def fill(template: str, **values: Any) -> str:
    """Return a page from one of the templates beside this module."""
    from markupsafe import Markup

    from actionspace import __version__

    style, script = _asset("report.css"), _asset("report.js")
    page = (
        _environment()
        .get_template(template)
        .render(
            **values,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            version=__version__,
        )
    )
    return page.encode("utf-8", errors="replace").decode("utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    """Return what fills in pages; they are compiled once per process."""
    import jinja2

    from actionspace.report import (
        curves_svg,
        embedding_map_svg,
        figures_svg,
        leaderboard_svg,
        reliability_svg,
        time_curves_svg,
        timeline_svg,
    )

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    drawings = (
        figures_svg.interval_bar,
        figures_svg.bar,
        figures_svg.stacked_bar,
        figures_svg.confusion_matrix,
        timeline_svg.timeline,
        curves_svg.learning_curves,
        reliability_svg.reliability_diagram,
        embedding_map_svg.embedding_map,
        embedding_map_svg.time_key,
        time_curves_svg.time_curves,
        leaderboard_svg.cost_chart,
        leaderboard_svg.shots_chart,
    )
    environment.globals |= {f.__name__: _markup(f) for f in drawings}
    environment.globals |= {
        "Part": figures_svg.Part,
        "span_text": figures_svg.span_text,
        "clock": figures_svg.clock,
        "colour": figures_svg.colour,
        "lane_labels": _lane_labels,
    }
    environment.filters["soft"] = _soft
    return environment


def _lane_labels(spans: Any) -> list[tuple[str, int]]:
    """Return the labels on lanes with their colours, for a legend."""
    found = {s.label: s.colour for lane in spans for s in (*lane.predicted, *(lane.truth or ()))}
    return sorted(found.items(), key=lambda item: item[1])


def _soft(text: str) -> Any:
    """Let a long name or path break after ``_``, ``/`` and ``-`` (and only there)."""
    from markupsafe import Markup, escape

    broken = re.sub(r"([_/\-])(?=.)", r"\1<wbr>", str(escape(text)))
    return Markup(broken)


def _markup(draw: Any) -> Any:
    from markupsafe import Markup

    return lambda *args, **kwargs: Markup(draw(*args, **kwargs))


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
