"""Pickles that hold plain values and arrays, read without running anything in them.

A pickle is a program: it names functions and calls them. Here it can name those that rebuild NumPy
arrays and PyTorch tensors of numbers, and nothing else; the rest (lists, dictionaries, texts,
numbers) needs no names. Tensors come out as arrays.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from actionspace.errors import DataError

_NUMBERS = "biuf"


class _Refused(Exception):
    """The pickle names something that is no array."""


def read_plain_pickle(path: Path) -> Any:
    """Return what a pickle of plain values, arrays and tensors holds.

    Raises:
        DataError: it names anything else (the name is given), or is damaged.
    """
    try:
        with path.open("rb") as file:
            return _arrays(_Plain(file, encoding="latin1").load())
    except _Refused as e:
        raise DataError(
            f"{path} is a pickle that asks for {e}. Only lists, dictionaries, texts, numbers, "
            f"arrays and tensors are read, because anything else could run code. If you trust the "
            f"file, write its content anew with these alone."
        ) from e
    except Exception as e:  # a damaged pickle raises about anything
        raise DataError(f"{path} cannot be read as a pickle ({e}); download it again.") from e


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _known().get((module.replace("numpy.core", "numpy._core"), name))
        if known is None:
            raise _Refused(f"'{module}.{name}'")
        return known


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _encoded,
        ("numpy", "dtype"): _dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        ("numpy._core.multiarray", "scalar"): _scalar,
        ("numpy._core.numeric", "_frombuffer"): _from_buffer,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
    }


def _encoded(text: str, codec: str) -> bytes:
    if codec != "latin1":
        raise _Refused(f"the codec {codec!r}")
    return text.encode("latin1")


def _dtype(kind: Any, *_: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(kind)
    if dtype.kind not in _NUMBERS:
        raise _Refused(f"an array of {dtype}")
    return dtype


def _empty_array(kind: type, shape: Any, code: Any) -> np.ndarray:
    if kind is not np.ndarray:
        raise _Refused(f"an array of the class {kind}")
    return np.empty(0, np.uint8)  # its content comes with its state


def _scalar(dtype: np.dtype[Any], raw: bytes) -> Any:
    return np.frombuffer(raw, dtype, count=1)[0]


def _from_buffer(raw: Any, dtype: np.dtype[Any], shape: Any, order: str, *_: Any) -> np.ndarray:
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if order == "F" else "C")


def _storage(raw: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _tensor(storage: Any, *layout: Any) -> Any:
    import torch

    if not isinstance(storage, torch.storage.TypedStorage):
        raise _Refused("a tensor without a storage")
    return torch._utils._rebuild_tensor_v2(storage, *layout)  # type: ignore[no-untyped-call]


def _arrays(value: Any) -> Any:
    """Return the same with tensors as arrays."""
    if isinstance(value, dict):
        return {key: _arrays(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(one) for one in value)
    return value.detach().numpy() if hasattr(value, "detach") else value
