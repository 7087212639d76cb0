"""Weight files: reading them without running anything they contain, and writing them."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actionspace.errors import WeightsError, did_you_mean
from actionspace.paths import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

# Where training frameworks keep the tensors inside their container, in order of trust.
_CONTAINERS = ("state_dict", "model_state_dict", "model_state", "model", "module")

#: Averages of an encoder in the files of V-JEPA, which lie beside the ``encoder`` itself.
AVERAGES = ("target_encoder", "ema_encoder")

#: Classes that only hold settings (or, in a file of Lightning, name a part of them).
_MAPPINGS = (
    "easydict.EasyDict",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a weight file as they are named there.

    safetensors, and torch files (zip or legacy) through ``torch.load(weights_only=True)``;
    containers such as ``{meta, state_dict, ...}`` are opened.

    Raises:
        WeightsError: the file is missing, damaged, no weight file, or wants to run code; or it
            holds adapters alone.
    """
    state, _ = read_weights(path)
    refuse_adapters(state, path)
    return state


def refuse_adapters(names: Iterable[str], path: str | Path) -> None:
    """Refuse a file of LoRA adapters where the weights of a network are wanted.

    Raises:
        WeightsError: every name is that of a part of an adapter.
    """
    if all(".lora_" in name for name in names):
        raise WeightsError(
            f"{path} holds LoRA adapters: what a training changed in an encoder, not the encoder. "
            "Predict, evaluate or export with the run they lie in, which puts both together; "
            "`actionspace convert RUN --out FILE` writes its encoder, adapters merged, as a file "
            "that weights= takes. Merge adapters of other libraries where they were made."
        )


def read_weights(
    path: str | Path, *, part: str | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a weight file's tensors and its notes.

    Notes are safetensors metadata, or ``meta``; settings that lie beside the tensors are the note
    ``cfg``. Torch files of the zip kind are mapped, so that only the tensors used are read.

    Args:
        path: the file.
        part: which of several networks in a torch file to read, as it is named there (V-JEPA:
            ``encoder``, its average ``target_encoder`` or ``ema_encoder``, ``predictor``). By
            default the average.

    Raises:
        WeightsError: as :func:`load_state`; or there is no such part, or no average where one
            lies beside the encoder by rights.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"Weight file {path} does not exist.")
    with path.open("rb") as f:
        head = f.read(16)
    if head[8:9] == b"{":
        if part is not None:
            raise WeightsError(
                f"{path} is a safetensors file without parts; leave out part={part}."
            )
        return _read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return _read_torch(path, part)
    kind = "a web page" if head.lstrip()[:1] == b"<" else "empty" if not head else "something else"
    raise WeightsError(
        f"{path} is no weight file (it is {kind}); expected .safetensors or a torch .pth/.pt. "
        f"Download it again."
    )


def write_weights(
    path: str | Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
) -> None:
    """Write tensors (of any device, sharing memory or not) atomically as safetensors.

    Raises:
        ActionspaceError: the file cannot be written.
    """
    from safetensors.torch import save_file

    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with atomic_path(path) as tmp:
        save_file(own, tmp, None if notes is None else dict(notes))


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of ``state``, by sorted name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}\n".encode())
        digest.update(_as_bytes(value))
    return digest.hexdigest()


def _as_bytes(value: Tensor) -> memoryview:
    import torch

    return value.reshape(-1).view(torch.uint8).numpy().data


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as f:
            state = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 (no mapping)
            return state, dict(f.metadata() or {})
    except SafetensorError as e:
        raise WeightsError(f"{path} is damaged: {e}. Download or copy it again.") from e


def _read_torch(path: Path, part: str | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import torch

    try:
        with torch.serialization.safe_globals(_harmless_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Remarks on pickle protocols help nobody here.
            mapped = zipfile.is_zipfile(path)
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as e:
        raise WeightsError(_refusal(path, str(e))) from e
    except Exception as e:  # A damaged file can make the reader fail in any way.
        first = str(e).split(". ")[0].splitlines()[0] if str(e) else type(e).__name__
        raise WeightsError(f"{path} is damaged ({first}). Download or copy it again.") from e
    return _unwrap(_part(content, part, path), path)


def _harmless_globals() -> list[Any]:
    """What training frameworks leave in the notes of their files: numpy scalars and settings.

    Classes of settings are read as plain mappings, whatever their module would make of them; it
    need not be installed, and is not imported.
    """
    import _codecs
    from argparse import Namespace
    from collections import OrderedDict

    import numpy as np
    from numpy._core import multiarray

    scalar_types = [type(np.dtype(t)) for t in ("f4", "f8", "i4", "i8", "bool")]
    scalar = multiarray.scalar
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        scalar,
        np.dtype,
        *scalar_types,
        _codecs.encode,
        Namespace,
        *((OrderedDict, name) for name in _MAPPINGS),
    ]


def _refusal(path: Path, message: str) -> str:
    wanted = re.search(r"GLOBAL\s+([\w.]+)|global\s+([\w.]+)", message)
    if wanted is None:
        known = " Caffe2 files of PySlowFast are not read; take the .pyth file of the same network."
        hint = known if path.suffix == ".pkl" else ""
        return f"{path} cannot be read as plain tensors: it is damaged or not a torch file.{hint}"
    name = wanted.group(1) or wanted.group(2)
    return (
        f"{path} was refused: besides tensors it wants to load '{name}', and loading that runs "
        f"code from the file. If you trust its origin, open it where it was made and save the "
        f"tensors alone: torch.save({{'state_dict': model.state_dict()}}, 'weights.pth')."
    )


def _part(content: Any, part: str | None, path: Path) -> Any:
    """Choose among several networks that lie side by side."""
    if not isinstance(content, Mapping):
        return content
    there = [key for key in (*AVERAGES, "encoder") if isinstance(content.get(key), Mapping)]
    if part is None and (not there or any(key in content for key in _CONTAINERS)):
        return content
    chosen = part or there[0]
    if chosen == "encoder" and part is None:
        raise WeightsError(
            f"{path} holds an 'encoder' but none of its averages ({', '.join(AVERAGES)}), which "
            "features are made with. To use the encoder itself say part='encoder'."
        )
    if not isinstance(content.get(chosen), Mapping):
        parts = [str(key) for key, value in content.items() if isinstance(value, Mapping)]
        raise WeightsError(
            f"{path} has no part '{chosen}'.{did_you_mean(chosen, parts)} It has: "
            f"{', '.join(parts) or 'a single network; leave part= out'}."
        )
    return content[chosen]


def _unwrap(content: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    import torch

    notes: dict[str, Any] = {}
    if isinstance(content, Mapping):
        notes = dict(content["meta"]) if isinstance(content.get("meta"), Mapping) else {}
        if isinstance(content.get("cfg"), Mapping):
            notes["cfg"] = content["cfg"]
        for key in _CONTAINERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
        state = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
        if state:
            return state, notes
    raise WeightsError(
        f"{path} holds no named tensors; expected a state dict, or a container with one of "
        f"{', '.join(_CONTAINERS)}."
    )
