"""The verbs of the command line: parse, call, print. No logic of its own.

Results go to standard output (or ``--json``), progress and logs to standard error. Exit codes:
0 success, 1 findings or failure with a message, 2 wrong usage, 130 interrupted (143 by SIGTERM).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from actionspace import __version__, cli_data, cli_moments, cli_probe
from actionspace.cli_data import AcceptLicence, Json, Out
from actionspace.console import (
    key_values,
    print_calibration,
    print_json,
    print_metrics,
    print_table,
)
from actionspace.errors import ActionspaceError, Interrupted

INTERRUPTED = 130  # what typer exits with on Ctrl-C

app = typer.Typer(
    name="actionspace",
    help="Understanding action in video: encode once, then ask any question.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(cli_data.app)
app.add_typer(cli_moments.app)
app.add_typer(cli_probe.app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def demo(
    tour: Annotated[str, typer.Argument(help="recognize, localize or align")] = "recognize",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to make.")] = None,
) -> None:
    """Rat clips to a classifier or a detector, or drawn videos aligned: offline, in minutes."""
    from actionspace.demo import run

    typer.echo(run(tour, out).summary())


@app.command()
def extract(
    source: Annotated[Path, typer.Argument(metavar="MANIFEST|DIR", help="What to encode.")],
    encoder: Annotated[str, typer.Option(help="Name, file or module:fn.")] = "starter",
    out: Annotated[Path, typer.Option("--out", help="Feature store.")] = Path("features"),
    options: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. hop=8")] = None,
    accept_licence: AcceptLicence = False,
) -> None:
    """Run a frozen encoder over videos once and keep what it says."""
    from actionspace import api

    typer.echo(f"{api.extract(source, encoder=encoder, out=out, **key_values(options)).path}")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A name from `list recipes`, or a YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="data=MANIFEST features=STORE folds=5 key.sub=value"),
    ] = None,
    out: Out = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that was stopped in --out.")
    ] = False,
    accept_licence: AcceptLicence = False,
) -> None:
    """Train, evaluate and report: one folder per run.

    Under torchrun (-m actionspace train ...) one training is shared by all processes.
    """
    from actionspace import api
    from actionspace.training.machine import is_main_process

    if not is_main_process():  # one voice for all processes
        logging.getLogger().setLevel(logging.WARNING)
    run = api.train(recipe, out=out, overrides=overrides or (), resume=resume)
    if not is_main_process():
        return
    print_metrics(run.metrics)
    typer.echo(f"{run.path}  (report: {run.report_path})")


@app.command()
def evaluate(
    target: Annotated[Path, typer.Argument(metavar="RUN|PREDICTIONS", help="What to score.")],
    options: Annotated[list[str] | None, typer.Argument(help="data=MANIFEST")] = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the manifest; a run's default is test.")
    ] = None,
    average: Annotated[
        str | None, typer.Option(help="How views are averaged: prob or score.")
    ] = None,
    observed: Annotated[
        str | None, typer.Option(help="Early recognition: shares of events seen, 0.1:1.0:0.1.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a run or a folder of predictions."""
    from actionspace import api

    asked = key_values(options) | ({} if observed is None else {"observed": observed})
    metrics = api.evaluate(target, split=split, average=average, **asked)  # type: ignore[arg-type]
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)
    if target.is_dir():  # those of somebody's file are only printed
        typer.echo(f"{target / 'metrics.json'}", err=as_json)


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of localization.")],
    options: Annotated[list[str] | None, typer.Argument(help="data=MANIFEST offset=true")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Score as it was trained.")] = False,
    as_json: Json = False,
) -> None:
    """Make a run's scores probabilities, on its validation split."""
    from actionspace import api

    found = api.calibrate(run, remove=remove, **key_values(options))
    if as_json:
        print_json(found)
    else:
        print_calibration(found)
    typer.echo(f"{Path(run) / 'report.html'}", err=as_json)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder, or a file exported from one.")],
    videos: Annotated[list[str], typer.Argument(help="Videos, folders, globs or a manifest.")],
    options: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, e.g. threshold=0.6 (repeatable)")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder, or a .csv, .json or .boris file.")
    ] = Path("predictions"),
    mode: Annotated[str, typer.Option(help="auto, clip or untrimmed")] = "auto",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Videos with their events under the picture.")
    ] = False,
    accept_licence: AcceptLicence = False,
) -> None:
    """Raw video in, events out."""
    from actionspace import api

    found = api.predict(run, videos, overlay=overlay, out=out, mode=mode, **key_values(options))
    typer.echo(f"{api.summary(found)}\n{out}")


@app.command()
def fuse(
    predictions: Annotated[
        list[Path],
        typer.Argument(help="Predictions folders (of localization also runs), two or more."),
    ],
    weights: Annotated[
        str | None, typer.Option(help="One per folder, e.g. 2:1 (or equal).")
    ] = None,
    fit_on: Annotated[
        list[Path] | None,
        typer.Option(help="Choose weights by these labelled predictions (once per folder)."),
    ] = None,
    average: Annotated[str, typer.Option(help="prob or score")] = "prob",
    options: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, e.g. smooth=2 (repeatable)")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("fused"),
) -> None:
    """Put the predictions of several models for the same videos together."""
    from actionspace import api

    found = api.fuse(
        predictions,
        out,
        weights=weights,
        average=average,  # type: ignore[arg-type]
        fit_on=fit_on or None,
        **key_values(options),
    )
    for folder, weight in zip(predictions, found.labels["fused"]["weights"], strict=True):
        typer.echo(f"{weight:.3f}  {folder}")
    typer.echo(f"{out}")


@app.command()
def submit(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|PREDICTIONS... MANIFEST",
            help="With verbs and nouns, or one of each; then the segments to answer.",
        ),
    ],
    annotations: Annotated[
        Path, typer.Option(help="Folder with the official lists of verbs and nouns.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Zip to write.")] = Path("submission.zip"),
    challenge: Annotated[
        str, typer.Option(help="action_recognition, action_anticipation or action_detection")
    ] = "action_recognition",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, e.g. sls_pt=2 sls_tl=3 sls_td=3 (repeatable)"),
    ] = None,
) -> None:
    """Write predictions of EPIC-KITCHENS-100 for its test server, checked as the server does."""
    from actionspace import api

    *given, manifest = sources
    chosen = key_values(options)
    typer.echo(f"{api.submit(given, manifest, annotations, out, challenge=challenge, **chosen)}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    predictions: Annotated[
        list[Path] | None, typer.Argument(help="Predictions folders to show as well.")
    ] = None,
) -> None:
    """Write a run's report again, with ethograms of predicted videos."""
    from actionspace import api

    typer.echo(f"{api.report(run, predictions=predictions or ())}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format: Annotated[
        str | None, typer.Option(help="onnx or torch-export (default: by --out, else onnx).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write (default: beside the run).")
    ] = None,
    part: Annotated[
        str, typer.Option(help="model: clips in; head: features in; auto: what the run has.")
    ] = "auto",
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="weights=FILE, tolerance=1e-3 (repeatable)"),
    ] = None,
) -> None:
    """Write a run as one file that other programs can run, checked against the run."""
    from actionspace import api

    typer.echo(f"{api.export(run, out, format=format, part=part, **key_values(options))}")  # type: ignore[arg-type]


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A published weight file, or a run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="With --recipe: data=MANIFEST features=DIR key.sub=value"),
    ] = None,
    out: Out = None,
    recipe: Annotated[
        str | None, typer.Option(help="Make a run of it that evaluates and predicts.")
    ] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="Of adapters in the file, where it does not say.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Of V-JEPA: target_encoder, ema_encoder or encoder.")
    ] = None,
) -> None:
    """Turn a published checkpoint into safetensors without running code from it."""
    from actionspace import api

    made = api.convert(
        checkpoint,
        out=out,
        recipe=recipe,
        lora_alpha=lora_alpha,
        part=part,
        overrides=overrides or (),
    )
    typer.echo(f"{made}")


@app.command(name="list")
def list_(
    what: Annotated[str, typer.Argument(help="encoders, recipes, datasets or weights")],
    pattern: Annotated[str, typer.Argument(help="Shell pattern, e.g. 'swin*'")] = "*",
    as_json: Json = False,
) -> None:
    """What there is: encoders, recipes, datasets, weights."""
    from actionspace import api

    rows = api.list_things(what, pattern)
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Versions, devices, codecs, cache places, and what is missing, in words."""
    from actionspace import api

    findings = api.doctor()
    if as_json:
        print_json(findings)
    else:
        for name, value in findings.items():
            typer.echo(f"{name:<12} {value}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors meant for people are printed without a traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Windows consoles are not UTF-8 by default.
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app(args=list(arguments) if arguments is not None else None)
    except Interrupted as e:
        print(e, file=sys.stderr)
        raise SystemExit(e.exit_code) from None
    except ActionspaceError as e:
        print(f"error: {e}", file=sys.stderr)
        raise SystemExit(e.exit_code) from None
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("interrupted; run the same command again to go on.", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
