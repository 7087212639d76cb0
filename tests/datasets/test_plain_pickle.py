"""Pickles of arrays are read; anything that could run is refused, and has not run."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actionspace.datasets.plain_pickle import read_plain_pickle
from actionspace.errors import DataError
from tests.datasets.framewise_layouts import write_pickle


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_values_arrays_and_tensors(tmp_path: Path, protocol: int) -> None:
    content = {
        "plain": [1, 2.5, "text", None, True, (1, 2), b"raw"],
        "ordered": OrderedDict(a=1),
        "tensor": torch.arange(6).reshape(2, 3),
        "part": -1 * torch.ones(4)[1:],
        "array": np.arange(6, dtype=np.float32).reshape(3, 2),
        "scalar": np.int64(7),
    }
    read = read_plain_pickle(write_pickle(tmp_path / "a.pkl", content, protocol))
    assert read["plain"] == content["plain"] and read["ordered"] == {"a": 1}
    assert read["tensor"].tolist() == [[0, 1, 2], [3, 4, 5]] and read["tensor"].dtype == np.int64
    assert read["part"].tolist() == [-1, -1, -1]
    assert np.array_equal(read["array"], content["array"]) and read["scalar"] == 7


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("how", ["os", "eval", "storage", "array class", "objects", "codec"])
def test_anything_else_is_refused_with_its_name(tmp_path: Path, how: str) -> None:
    import codecs
    import os

    mark = tmp_path / "it-ran"
    inside = pickle.dumps(Call(os.mkdir, str(mark)), protocol=2)
    harm: Any = {
        "os": Call(os.mkdir, str(mark)),
        "eval": Call(eval, f"__import__('os').mkdir({str(mark)!r})"),
        "storage": Call(torch.storage._load_from_bytes, inside),
        "array class": np.ma.masked_array([1, 2]),
        "objects": np.array([Call(os.mkdir, str(mark))], dtype=object),
        "codec": Call(codecs.encode, "x", "rot13"),
    }[how]
    path = write_pickle(tmp_path / "a.pkl", [{"name": harm}])
    with pytest.raises(DataError, match=r"a\.pkl (is a pickle that asks for|cannot be read)"):
        read_plain_pickle(path)
    assert not mark.exists()
    if how == "os":
        with pytest.raises(DataError, match=r"'(posix|nt)\.mkdir'"):
            read_plain_pickle(path)


def test_damaged_files(tmp_path: Path) -> None:
    raw = io.BytesIO()
    pickle.dump([torch.arange(5)], raw)
    for cut in (0, 1, 30, len(raw.getvalue()) - 1):
        (tmp_path / "a.pkl").write_bytes(raw.getvalue()[:cut])
        with pytest.raises(DataError, match="cannot be read as a pickle"):
            read_plain_pickle(tmp_path / "a.pkl")
