"""What ``import actionspace`` offers stays there, whatever is imported later."""

from __future__ import annotations

import importlib

import pytest

import actionspace


@pytest.mark.parametrize("name", ["report", "doctor"])
def test_a_module_does_not_take_the_place_of_a_verb(name: str) -> None:
    module = importlib.import_module(f"actionspace.{name}")
    assert module.__name__ == f"actionspace.{name}"
    assert callable(getattr(actionspace, name))


def test_every_name_is_there() -> None:
    assert dir(actionspace) == sorted(actionspace.__all__)
    for name in actionspace.__all__:
        assert getattr(actionspace, name) is not None
