"""The verb that compares frozen encoders; see :mod:`.cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from actionspace.cli_data import Json
from actionspace.console import print_json, print_table

app = typer.Typer()


@app.command()
def probe(
    data: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Labelled videos.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="clips.hop=8 head.column=verb device=cuda")
    ] = None,
    encoder: Annotated[str, typer.Option(help="Names with commas between them.")] = "starter",
    heads: Annotated[
        str, typer.Option(help="Of linear, attentive, knn, centroid, ridge.")
    ] = "linear,knn,centroid,ridge",
    folds: Annotated[
        int | None,
        typer.Option(help="Grouped folds (default: the manifest's splits, without any 5)."),
    ] = None,
    shots: Annotated[
        str, typer.Option(help="Few-shot curves: labels per class, e.g. 1,2,5,10,20.")
    ] = "",
    draws: Annotated[int, typer.Option(help="How often few labels are drawn.")] = 5,
    seed: Annotated[int, typer.Option(help="Of folds, draws and resamples.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder (default: runs/probe, numbered).")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept licences that ask for it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Which encoder for my videos: encoders and heads compared, with costs and intervals."""
    from actionspace import api
    from actionspace.recognition.leaderboard.table import table

    board = api.probe(
        data,
        encoders=encoder,
        heads=heads,
        out=out,
        folds=folds,
        shots=_numbers(shots),
        draws=draws,
        seed=seed,
        accept_licence=accept_licence,
        overrides=overrides or (),
    )
    if as_json:
        print_json(board)
        return
    print_table(table(board))
    if any(row["random_weights"] for row in board["rows"]):
        typer.echo("* random weights")
    typer.echo(f"\n{board['protocol']['how']}; {board['protocol']['events']} events.")
    for note in board["notes"]:
        typer.echo(note)
    for name, why in board["failed"].items():
        typer.echo(f"could not be used: {name}: {why}", err=True)
    typer.echo(f"\n{board['folder']}\nGo on: {board['command']}")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"'{text}': whole numbers with commas between them.") from None
