"""The verbs that compare moments of videos; see :mod:`.cli`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from actionspace.cli_data import Json
from actionspace.console import key_values, print_json, print_table

app = typer.Typer()

Root = Annotated[Path, typer.Option(help="Folder the videos lie in.")]
Options = Annotated[list[str] | None, typer.Option("--set", help="key=value (repeatable)")]


@app.command()
def search(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="A feature store.")],
    query: Annotated[
        str | None, typer.Option(help="A moment: VIDEO@SECONDS, e.g. rat.mp4@12.4s")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Or words, e.g. 'a rat washing its face'.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="At most how many moments.")] = 12,
    sheet: Annotated[
        Path | None, typer.Option(help="Picture to write with the moments, .jpg or .png.")
    ] = None,
    root: Root = Path(),
    options: Options = None,
    as_json: Json = False,
) -> None:
    """The moments of all videos most like one, or like a text; --set apart=2 elsewhere=true."""
    from actionspace import api

    how = {"text": text, "sheet": sheet, "root": root, **key_values(options)}
    found = api.search(store, query, k, **how)
    if as_json:
        print_json([dataclasses.asdict(moment) for moment in found])
    else:
        print_table(
            [
                {
                    "similarity": f"{m.similarity:.4f}",
                    "seconds": f"{m.time:.2f}",
                    "video": m.video,
                }
                for m in found
            ]
        )
    if sheet is not None:
        typer.echo(f"{sheet}", err=as_json)


@app.command()
def embed(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of alignment.")],
    videos: Annotated[list[str], typer.Argument(help="Videos, folders, globs or a manifest.")],
    out: Annotated[Path, typer.Option("--out", help="Feature store.")] = Path("embeddings"),
    options: Options = None,
) -> None:
    """Embed every frame of videos; --set features=STORE device=cpu."""
    from actionspace import api

    store = api.embed(run, videos, out, **key_values(options))
    typer.echo(f"{len(store)} videos: {store.path}")
    for name, why in store.skipped().items():
        typer.echo(f"left out: {name}: {why}", err=True)


@app.command()
def align(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|STORE", help="A run of alignment, or a feature store.")
    ],
    videos: Annotated[list[str], typer.Argument(help="The reference, then the others.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("alignment"),
    root: Root = Path(),
    labels: Annotated[
        Path | None, typer.Option(help="Manifest with phases of the first, to hand on.")
    ] = None,
    options: Options = None,
    video: Annotated[
        bool, typer.Option("--video/--no-video", help="Write the videos in step.")
    ] = True,
) -> None:
    """Which moment of each video matches which of the first; --set method=soft_dtw gamma=0.1."""
    from actionspace import api
    from actionspace.alignment.compare import summary

    found = api.align(
        source, videos, out, root=root, labels=labels, side_by_side=video, **key_values(options)
    )
    print_table(summary(found))
    typer.echo(f"{out}")
