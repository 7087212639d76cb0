"""The verbs about annotations and videos, which need no encoder; see :mod:`.cli`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from actionspace.console import key_values, print_json, print_table, video_row

app = typer.Typer()

Out = Annotated[Path | None, typer.Option("--out", help="Where the result goes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _accept(value: bool) -> bool:
    if value:
        from actionspace.encoders.licences import accept_licences

        accept_licences()
    return value


# Taking effect as it is parsed, it needs nothing of the verbs that offer it.
AcceptLicence = Annotated[
    bool,
    typer.Option("--accept-licence", callback=_accept, help="Accept the weights' licence, once."),
]


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="A name from `actionspace list datasets`.")],
    source: Annotated[Path, typer.Argument(help="The folder the data set was unpacked into.")],
    options: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. fold=1")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Manifest to write (default: SOURCE/manifest.csv).")
    ] = None,
) -> None:
    """Turn a published data set into a manifest."""
    from actionspace import api

    typer.echo(f"{api.prepare(dataset, source, out, **key_values(options))}")


@app.command()
def events(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Annotation file or folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    read_as: Annotated[str | None, typer.Option("--from", help="Format of IN.")] = None,
    write_as: Annotated[str | None, typer.Option("--to", help="Format of OUT.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder the videos lie in.")] = None,
    allow_outside: Annotated[bool, typer.Option(help="Accept videos outside the root.")] = False,
) -> None:
    """Convert between annotation formats."""
    from actionspace import api

    table = api.read_events(source, read_as, root=root, allow_outside=allow_outside)
    path = api.write_events(table, target, write_as)
    typer.echo(f"{len(table)} events of {len(table.videos)} videos: {path}")


@app.command()
def split(
    manifest: Annotated[Path, typer.Argument(help="Manifest to split.")],
    by: Annotated[str, typer.Option(help="Column that must not straddle splits.")] = "group",
    ratio: Annotated[str, typer.Option(help="train:val:test")] = "70:15:15",
    folds: Annotated[int | None, typer.Option(help="Folds instead of a ratio.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same split.")] = 0,
    out: Out = None,
) -> None:
    """Group-aware, stratified, deterministic splits."""
    from actionspace import api

    for path in api.split(manifest, by=by, ratio=ratio, folds=folds, seed=seed, out=out):
        typer.echo(f"{path}")


@app.command()
def inspect(
    videos: Annotated[list[Path], typer.Argument(help="Videos or folders.")],
    fast: Annotated[bool, typer.Option("--fast", help="Trust the container.")] = False,
    as_json: Json = False,
) -> None:
    """Stream facts, exact frame count and a verdict for every video."""
    from actionspace import api

    infos = api.inspect(videos, exact=not fast)
    if as_json:
        print_json([dataclasses.asdict(info) for info in infos])
    else:
        print_table([video_row(info) for info in infos])
    if any(info.verdict == "bad" for info in infos):
        raise typer.Exit(1)


@app.command()
def check(
    target: Annotated[str, typer.Argument(metavar="MANIFEST|RECIPE", help="What to check.")],
    fast: Annotated[bool, typer.Option("--fast", help="Do not open the videos.")] = False,
    as_json: Json = False,
) -> None:
    """Find what is wrong before training; one line per finding."""
    from actionspace import api

    findings = api.check(target, open_videos=not fast)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            typer.echo(str(finding))
        typer.echo(f"{len(findings)} findings in {target}." if findings else f"{target}: fine.")
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)
