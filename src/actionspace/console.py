"""How the command line reads options and prints results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def key_values(options: Sequence[str] | None) -> dict[str, Any]:
    """``["hop=8", "compile=true"]`` -> ``{"hop": 8, "compile": True}``."""
    from actionspace.config import merge

    return merge({}, list(options or ()))


def print_json(value: Any) -> None:
    """Print plain values as JSON."""
    from actionspace.paths import plain

    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the numbers of an evaluation with their intervals, then those of a challenge."""
    rows = []
    chance = metrics.get("chance") or {}
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        interval = metrics.get(f"{name}_ci")
        text = f"{interval[0]:.3f} – {interval[1]:.3f}" if interval else ""
        row = {"metric": name, "value": f"{value:.4g}", "95 % interval": text}
        if chance:
            row["chance"] = f"{chance[name]:.4g}" if name in chance else ""
        rows.append(row)
    print_table(rows)
    if curve := metrics.get("observed"):
        typer.echo("\nEarly recognition, by the share of events that is seen")
        print_table([{n: f"{v:.3g}" for n, v in p.items() if not n.endswith("_ci")} for p in curve])
    if challenge := metrics.get("epic100"):
        typer.echo("\nEPIC-KITCHENS-100")
        print_table([{"metric": name, "value": f"{v:.4g}"} for name, v in challenge.items()])


def print_calibration(found: Mapping[str, Any]) -> None:
    """Print what a calibration changed."""
    if "before" in found:
        before, after = found["before"], found["after"]
        names = {"ece": "calibration error", "log_loss": "log loss"}
        print_table(
            [
                {"": text, "before": f"{before[n]:.4f}", "after": f"{after[n]:.4f}"}
                for n, text in names.items()
            ]
        )
    typer.echo(
        f"Temperature {found['temperature']:.4g}, offset {found['offset']:.4g}; detections that "
        f"score {found['threshold']:.3f} or more are told."
    )


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as aligned columns; the last column may be long."""
    if not rows:
        typer.echo("Nothing.")
        return
    names = list(rows[0])
    cells = [[str(row.get(n, "")) for n in names] for row in rows]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    for line in [names, *cells]:
        typer.echo("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def video_row(info: Any) -> dict[str, str]:
    """Return what the table of ``inspect`` says of one video."""
    return {
        "video": str(info.path),
        "codec": f"{info.codec} {info.pix_fmt}",
        "size": f"{info.width}x{info.height}",
        "fps": f"{info.fps:.3f}" + (" variable" if info.vfr else ""),
        "frames": str(info.frames),
        "seconds": f"{info.duration:.2f}",
        "rotation": str(info.rotation),
        "audio": str(info.audio_streams),
        "verdict": info.verdict + (f": {info.reason}" if info.reason else ""),
    }
