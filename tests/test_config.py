"""Typed configuration: what is wrong is said with its exact key."""

from __future__ import annotations

from pathlib import Path

import pytest

from actionspace.config import Config, merge, parse, read_yaml, write_yaml
from actionspace.errors import ConfigError, did_you_mean


class Inner(Config):
    """A part."""

    strength: float = 1.0


class Outer(Config):
    """A whole."""

    name: str
    inner: Inner = Inner()
    folds: int | None = None


def test_overrides_reach_into_parts_and_are_typed() -> None:
    values = merge({"name": "a", "inner": {"strength": 2}}, ["inner.strength=1e-3", "folds=5"])
    assert parse(Outer, values) == Outer(name="a", inner=Inner(strength=1e-3), folds=5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["inner.strenght=1"], r"unknown key 'inner.strenght'. Did you mean 'strength'"),
        (["fold=5"], "Did you mean 'folds'"),
        (["inner.strength=high"], "'inner.strength' = 'high'"),
        (["zzz=1"], "Known here: name, inner, folds"),
    ],
)
def test_a_wrong_key_or_value_is_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(Outer, merge({"name": "a"}, overrides))


def test_what_is_not_an_override_is_refused() -> None:
    with pytest.raises(ConfigError, match="key=value"):
        merge({}, ["folds"])
    with pytest.raises(ConfigError, match="'name' is required"):
        parse(Outer, {}, where="recipe.yaml")


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = Outer(name="a", inner=Inner(strength=0.5), folds=3)
    write_yaml(tmp_path / "c.yaml", config)
    assert parse(Outer, read_yaml(tmp_path / "c.yaml")) == config


def test_broken_yaml_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        read_yaml(tmp_path / "c.yaml")
    (tmp_path / "c.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="mapping"):
        read_yaml(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="does not exist"):
        read_yaml(tmp_path / "none.yaml")


def test_did_you_mean() -> None:
    assert did_you_mean("Startr", ["starter", "swin3d_b"]) == " Did you mean 'starter'?"
    assert did_you_mean("zzz", ["starter"]) == ""
