"""Encoders of the user's own: a function that returns a module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.encoders.checkpoint import weights_hash
from actionspace.encoders.spec import ClipSpec
from actionspace.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from actionspace.encoders.encoder import Encoder


def own_encoder(name: str, weights: str | Path | None, options: dict[str, Any]) -> Encoder:
    """Make the encoder that ``module:function`` or ``file.py:function`` returns.

    Raises:
        UsageError: it cannot be imported or called, or returns no encoder.
        WeightsError: the weights do not fit.
    """
    import torch
    from torch import nn

    from actionspace.encoders.checkpoint import load_state
    from actionspace.encoders.encoder import Encoder
    from actionspace.encoders.fit import fit_state
    from actionspace.encoders.weights import obtain

    made = _call(name, options)
    if not isinstance(made, nn.Module):
        raise UsageError(f"{name} returned {type(made).__name__}; expected a torch module.")
    if weights is not None:
        fit_state(made, load_state(obtain(weights)), what=f"{weights} into {name}")
    if not isinstance(made, Encoder):
        dim, clip = getattr(made, "dim", None), getattr(made, "clip", None)
        if not isinstance(dim, int) or not isinstance(clip, ClipSpec):
            raise UsageError(
                f"{name} returned a {type(made).__name__} without what is needed to feed it: set "
                f"its attributes dim (int, channels of the output; now {dim!r}) and clip "
                f"(actionspace.encoders.spec.ClipSpec; now {clip!r}), or return an Encoder."
            )
        made = Encoder(made, name=name, dim=dim, clip=clip, options=options)
    made.weights_hash = made.weights_hash or weights_hash(made.state_dict())
    made.eval()
    c = made.clip
    with torch.no_grad():
        made.forward_features(torch.zeros(1, c.channels, c.frames, c.size, c.size))
    return made


def _call(name: str, options: dict[str, Any]) -> object:
    place, _, function = name.rpartition(":")
    try:
        module = import_place(place)
    except ImportError as e:
        raise UsageError(
            f"Cannot import '{place}' for encoder '{name}': {e}. Run from the folder it lies in, "
            f"or write path/to/file.py:{function}."
        ) from e
    factory = getattr(module, function, None)
    if not callable(factory):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(f"'{place}' has no function '{function}'.{did_you_mean(function, public)}")
    try:
        return factory(**options)
    except TypeError as e:
        raise UsageError(f"Calling {name} with options {options} failed: {e}.") from e


def import_place(place: str) -> Any:
    """Import a module by name, also from the current folder, or a file ``path/to/file.py``.

    Raises:
        ImportError: it is not there.
    """
    return _import_file(Path(place)) if place.endswith(".py") else _import_name(place)


def _import_name(place: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))  # Installed commands do not look in the current folder.
    try:
        return importlib.import_module(place)
    finally:
        sys.path.pop(0)


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"_actionspace_own_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"{path} does not exist")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
