"""Encoders from models of transformers: by name, with random weights, or from a folder."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.hf_families import FAMILIES, WHOLE, Family
from actionspace.encoders.hf_files import CONFIG, find_folder, missing_files
from actionspace.encoders.hf_pixels import clip_of, processor_settings
from actionspace.encoders.hf_published import HF_BY_NAME, HFEntry
from actionspace.encoders.licences import check_licence
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import UsageError, WeightsError, did_you_mean

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.hf_backbone import HFBackbone

_BY_REPOSITORY = {entry.repository: entry for entry in HF_BY_NAME.values()}


def is_hf(name: str) -> bool:
    """Say whether a name, a repository or a folder is for this module to load."""
    return name in HF_BY_NAME or name in _BY_REPOSITORY or (Path(name) / CONFIG).is_file()


def hf_encoder(
    name: str,
    *,
    untrained: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    accept_licence: bool = False,
) -> Encoder:
    """Make an encoder from a model of transformers.

    Args:
        name: of :data:`.hf_published.HF_ENTRIES`, its repository, or a folder with ``config.json``.
        untrained: with random weights, and nothing read but the name's (or the folder's) config.
        weights: a folder with the checkpoint's files, or a file that ``actionspace convert`` wrote.
        seed: of random weights; torch's generator is to be seeded by the caller.
        options: ``pool`` (``mean``, ``cls``, ``pooler``, ``joint``), and of an untrained model any
            field of its config.
        accept_licence: accept the licence of a name's weights.

    Raises:
        UsageError: an option is unknown or not possible, or a package is missing.
        WeightsError: files are missing or do not fit, or the licence must be accepted first.
    """
    from actionspace.encoders.encoder import Encoder

    options = dict(options or {})
    given = dict(options)
    pool = str(options.pop("pool", "mean"))
    entry = HF_BY_NAME.get(name) or _BY_REPOSITORY.get(name)
    if untrained and weights is not None:
        raise UsageError(f"'untrained:{name}' is random by name; leave out weights={weights}.")
    file = Path(weights) if weights is not None and not Path(weights).is_dir() else None
    if file is not None and (entry is None or not file.is_file()):
        raise WeightsError(f"{weights} is no folder with the files of {name}.")
    folder = checkpoint_folder(name, entry, untrained or file is not None, weights, accept_licence)
    if options and not untrained and folder is not None:
        raise UsageError(
            f"{name} is a checkpoint, whose config stands: of options {', '.join(options)} only "
            f"pool can be chosen. 'untrained:{name}' takes them."
        )
    config = vision_config(entry, folder, options)
    family = family_of(config.model_type, name)
    _check_pool(family, entry, pool, name)
    clip = _clip(family, entry, config, folder, name)
    if untrained or folder is None:
        backbone, digest = _random(config, family, pool), f"untrained-seed{seed}"
    else:
        backbone, digest = _trained(folder, config, family, pool)
    if file is not None:
        digest = _fill(backbone, file, name)
    return Encoder(
        backbone,
        name=name,
        dim=backbone.dim,
        clip=clip,
        licence=entry.licence if entry and not untrained else "",
        weights_hash=digest,
        options=given,
    )


def checkpoint_folder(
    name: str, entry: HFEntry | None, random: bool, weights: str | Path | None, accept: bool
) -> Path | None:
    """Return the folder to read, ``None`` where the entry's own config is enough.

    Raises:
        WeightsError: files are missing, or the licence must be accepted first.
    """
    if entry is None:
        return Path(name)
    if random:
        return None
    page = f"https://huggingface.co/{entry.repository}"
    check_licence(entry.name, entry.licence, entry.gate, accepted=accept, where=page)
    if weights is None:
        return find_folder(entry.repository)
    folder = Path(weights)
    if lacking := missing_files(folder):
        raise WeightsError(f"{folder} lacks {', '.join(lacking)}; they are on {page}.")
    return folder


def vision_config(entry: HFEntry | None, folder: Path | None, options: Mapping[str, Any]) -> Any:
    """Return the config of the part that encodes pictures or video, options filled in.

    Raises:
        UsageError: transformers does not know it, or an option is none of its fields.
    """
    if folder is None:
        assert entry is not None
        kind, values = entry.model_type, dict(entry.config)
    else:
        kind, values = _read_config(folder)
    _require(kind)
    from transformers import CONFIG_MAPPING

    known = vars(CONFIG_MAPPING[kind]())
    for option in options:
        if option not in known:
            fields = [f for f in known if not f.startswith("_")]
            raise UsageError(
                f"Unknown encoder option '{option}'.{did_you_mean(option, ['pool', *fields])} "
                f"Known: pool, {', '.join(fields)}."
            )
    return CONFIG_MAPPING[kind](**values | dict(options))


def _read_config(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return family and config of a folder, the vision part where it holds several."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = str(values["model_type"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise WeightsError(f"{folder / CONFIG} is not a config of transformers ({e!r}).") from e
    if kind in WHOLE:
        part = values.get("video_config" if kind.startswith("pe_") else "vision_config") or {}
        return WHOLE[kind], {k: v for k, v in part.items() if k != "model_type"}
    family_of(kind, str(folder))
    return kind, {k: v for k, v in values.items() if k != "model_type"}


def family_of(kind: str, name: str) -> Family:
    """Return the family of a ``model_type``.

    Raises:
        UsageError: there is none.
    """
    if kind in FAMILIES:
        return FAMILIES[kind]
    if kind == "vjepa2":
        raise UsageError(f"{name} is V-JEPA 2, which is loaded from its file: model.safetensors.")
    raise UsageError(
        f"{name} holds a model of type '{kind}', which is none of {', '.join([*FAMILIES, *WHOLE])}."
        f"{did_you_mean(kind, [*FAMILIES, *WHOLE])} Your own: 'module:function'."
    )


def _require(kind: str) -> None:
    """Refuse with what to install, before transformers fails in the middle of something."""
    for package in ("transformers", *FAMILIES[kind].needs):
        if importlib.util.find_spec(package) is None:
            needed = " ".join(("transformers", *FAMILIES[kind].needs))
            raise UsageError(
                f"Encoders of type {kind} need the package '{package}': `pip install {needed}` "
                f"(torchvision in the version that belongs to the installed torch)."
            )


def _check_pool(family: Family, entry: HFEntry | None, pool: str, name: str) -> None:
    pools = [p for p in family.pools if p != "joint" or entry is None or entry.text]
    if pool not in pools:
        hint = did_you_mean(pool, pools)
        why = " It shares no space with text." if pool == "joint" else ""
        raise UsageError(f"pool='{pool}' is none of {', '.join(pools)} of {name}.{hint}{why}")


def _clip(
    family: Family, entry: HFEntry | None, config: Any, folder: Path | None, name: str
) -> ClipSpec:
    """Return the clip: of the family, of the sizes of the config, then as the processor says."""
    clip = entry.clip if entry else family.clip
    if not family.image and hasattr(config, "num_frames"):
        clip = replace(clip, frames=config.num_frames)
    if family.sized and isinstance(config.image_size, int) and config.image_size != clip.size:
        size = config.image_size
        clip = replace(clip, size=size, short_side=size * clip.short_side // clip.size)
    return clip if folder is None else clip_of(processor_settings(folder), clip, name)


def _class(name: str) -> Any:
    import transformers

    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError, RuntimeError) as e:
        raise UsageError(
            f"transformers {transformers.__version__} cannot import {name} ({e}). It needs a newer "
            f"version of transformers, or a torchvision that does not belong to the installed "
            f"torch is in its way: install the matching one or none."
        ) from e


def _random(config: Any, family: Family, pool: str) -> HFBackbone:
    from actionspace.encoders.hf_backbone import HFBackbone

    wanted = _class(family.joint if pool == "joint" and family.joint else family.model)
    return HFBackbone(wanted(config), config.model_type, pool)


def _trained(folder: Path, config: Any, family: Family, pool: str) -> tuple[HFBackbone, str]:
    """Load the whole checkpoint into the class that it was saved from, and take the part of it."""
    from actionspace.encoders.checkpoint import weights_hash
    from actionspace.encoders.hf_backbone import HFBackbone

    if lacking := missing_files(folder):
        raise WeightsError(f"{folder} lacks {', '.join(lacking)}.")
    whole = load_whole(folder, family)
    model = part_for(whole, config, family, pool)
    if model is None or (pool == "pooler" and getattr(model, "pooler", whole) is None):
        raise WeightsError(
            f"{folder} is a {type(whole).__name__} without what pool={pool} needs; take another "
            f"pool: {', '.join(p for p in family.pools if p != pool)}."
        )
    return HFBackbone(model.float(), config.model_type, pool), weights_hash(model.state_dict())


def load_whole(folder: Path, family: Family) -> Any:
    """Load a checkpoint, float32, into the class that it was saved from; every name must fit.

    Raises:
        WeightsError: names are missing or unexpected, or shapes differ.
    """
    import pickle

    import torch
    from safetensors import SafetensorError

    named = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("architectures")
    wanted = _class(named[0] if named else family.model)
    try:
        model, found = wanted.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, RuntimeError, ValueError, SafetensorError, pickle.UnpicklingError) as e:
        reason = str(e).strip().partition("\n")[0]
        raise WeightsError(f"{folder} cannot be loaded as {wanted.__name__}: {reason}") from e
    problems = [
        f"{what.removesuffix('_keys')}: {', '.join(sorted(map(str, found[what]))[:4])}"
        + (f" and {len(found[what]) - 4} more" if len(found[what]) > 4 else "")
        for what in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if found.get(what)
    ]
    if problems:
        raise WeightsError(
            f"{folder} does not fit {wanted.__name__}. {'; '.join(problems)}. Fetch its files "
            f"again, {CONFIG} included."
        )
    return model


def part_for(whole: Any, config: Any, family: Family, pool: str) -> Any:
    """Return the part of a model that encodes pictures or video, or ``None`` if it has none."""
    wanted = _class(family.joint if pool == "joint" and family.joint else family.model)
    for module in whole.modules():
        if type(module) is wanted:
            return module
    if wanted.__name__ == "CLIPVisionModelWithProjection" and hasattr(whole, "visual_projection"):
        made = wanted(config)
        made.vision_model, made.visual_projection = whole.vision_model, whole.visual_projection
        return made
    return None


def _fill(backbone: HFBackbone, file: Path, name: str) -> str:
    from actionspace.encoders.checkpoint import load_state, weights_hash
    from actionspace.encoders.fit import fit_state

    state = load_state(file)
    hint = "A checkpoint of transformers is given as its folder."
    fit_state(backbone, state, what=f"{file} into {name}", hint=hint)
    return weights_hash(state)
