"""The verb that turns published checkpoints into files and runs, as a function; see :mod:`.api`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.api_data import PathLike
from actionspace.errors import UsageError
from actionspace.tasks import task_of, verb

if TYPE_CHECKING:
    from actionspace.training.run import Run


def convert(
    checkpoint: PathLike,
    *,
    out: PathLike | None = None,
    recipe: PathLike | None = None,
    lora_alpha: float | None = None,
    part: str | None = None,
    overwrite: bool = False,
    overrides: Sequence[str] = (),
    **fields: Any,
) -> Path:
    """Turn a published checkpoint into safetensors, or into a run; nothing in it is run.

    Args:
        checkpoint: a file of any network and layout that ``create_encoder`` reads, or the name of
            published weights; or a run, whose encoder is written, adapters merged.
        out: file to write, by default beside the checkpoint; with a recipe, the run folder.
        recipe: make a run of the checkpoint's encoder and head that evaluates and predicts.
        lora_alpha: of adapters in the file, where it does not say.
        part: which encoder of a file of V-JEPA: ``target_encoder``, ``ema_encoder`` or ``encoder``.
        overwrite: replace a finished run.
        overrides: ``key.sub=value`` strings over the recipe, as ``data=MANIFEST``.
        fields: further recipe fields, as in :func:`~.api.train`.

    Raises:
        UsageError: recipe fields without a recipe, or a part of what has none.
    """
    if recipe is not None:
        if part is not None:
            raise UsageError("part= chooses an encoder of a file; leave it out with a recipe.")
        return _run(checkpoint, recipe, out, lora_alpha, overwrite, overrides, fields)
    if overrides or fields:
        first = next(iter([*overrides, *fields]))
        raise UsageError(f"'{first}' is an option of a recipe: name it too, --recipe NAME.")
    if Path(checkpoint).is_dir():
        write = verb(task_of(checkpoint), "convert", "weights_from_run")
        return Path(write(checkpoint, out or f"{checkpoint}.safetensors"))
    from actionspace.encoders.weights import convert_checkpoint

    target = Path(out) if out else Path(checkpoint).with_suffix(".safetensors")
    convert_checkpoint(Path(checkpoint), target, lora_alpha=lora_alpha, part=part)
    return target


def _run(
    checkpoint: PathLike,
    recipe: PathLike,
    out: PathLike | None,
    lora_alpha: float | None,
    overwrite: bool,
    overrides: Sequence[str],
    fields: dict[str, Any],
) -> Path:
    from actionspace.recipes.loader import load_recipe
    from actionspace.training.run import next_run

    loaded = load_recipe(recipe, overrides, fields)
    folder = Path(out) if out else next_run(loaded.name)
    options = {} if lora_alpha is None else {"lora_alpha": lora_alpha}
    make = verb(loaded.task, "convert", "run_from_checkpoint")
    run: Run = make(checkpoint, loaded, folder, overwrite=overwrite, **options)
    return run.path
