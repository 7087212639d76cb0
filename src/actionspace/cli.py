"""The verbs of the command line: parse, call, print. No logic of its own.

Results go to standard output (or ``--json``), progress and logs to standard error. Exit codes:
0 success, 1 findings or failure with a message, 2 wrong usage, 130 interrupted (143 by SIGTERM).
"""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from actionspace import __version__
from actionspace.console import key_values, print_json, print_metrics, print_table, video_row
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

Out = Annotated[Path | None, typer.Option("--out", help="Where the result goes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


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
    tour: Annotated[str, typer.Argument(help="recognize or localize")] = "recognize",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to make.")] = None,
) -> None:
    """Real rat behaviour clips to a classifier, or to a detector of bouts, offline, in minutes."""
    from actionspace.demo import run

    typer.echo(run(tour, out).summary())


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


@app.command()
def extract(
    source: Annotated[Path, typer.Argument(metavar="MANIFEST|DIR", help="What to encode.")],
    encoder: Annotated[str, typer.Option(help="Name, file or module:fn.")] = "starter",
    out: Annotated[Path, typer.Option("--out", help="Feature store.")] = Path("features"),
    options: Annotated[list[str] | None, typer.Argument(help="key=value, e.g. hop=8")] = None,
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
    as_json: Json = False,
) -> None:
    """Score a run or a folder of predictions."""
    from actionspace import api

    metrics = api.evaluate(target, split=split, average=average, **key_values(options))  # type: ignore[arg-type]
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)
    typer.echo(f"{Path(target) / 'metrics.json'}", err=as_json)


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
) -> None:
    """Raw video in, events out."""
    from actionspace import api

    found = api.predict(run, videos, overlay=overlay, out=out, mode=mode, **key_values(options))
    typer.echo(f"{api.summary(found)}\n{out}")


@app.command()
def fuse(
    predictions: Annotated[list[Path], typer.Argument(help="Predictions folders, two or more.")],
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
    """Average the predictions of several models for the same videos."""
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
        str, typer.Option(help="action_recognition or action_anticipation")
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
    out: Out = None,
    recipe: Annotated[
        str | None, typer.Option(help="Make a run of it that evaluates and predicts.")
    ] = None,
    lora_alpha: Annotated[
        float | None, typer.Option(help="Of adapters in the file, where it does not say.")
    ] = None,
) -> None:
    """Turn a published checkpoint into safetensors without running code from it."""
    from actionspace import api

    typer.echo(f"{api.convert(checkpoint, out=out, recipe=recipe, lora_alpha=lora_alpha)}")


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
