"""Typed configuration: YAML and ``key.sub=value`` overrides checked against pydantic models."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from actionspace.errors import ConfigError, did_you_mean
from actionspace.paths import write_text


class Config(BaseModel):
    """Base of every recipe model: unknown keys are refused, fields carry their docstrings."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, validate_default=True)


C = TypeVar("C", bound=Config)


def merge(
    base: Mapping[str, Any],
    overrides: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return ``base`` with ``fields`` (nested) and then ``key.sub=value`` overrides applied.

    Values follow YAML (numbers, booleans, ``null``, ``[a, b]``); ``1e-3`` is a number.

    Raises:
        ConfigError: an override is not of the form ``key=value``.
    """
    if not overrides and not fields and "${" not in str(base):
        return {str(k): v for k, v in copy.deepcopy(dict(base)).items()}  # nothing to do
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for item in overrides:
        if "=" not in item or item.startswith("="):
            raise ConfigError(f"'{item}' is not an override; write key=value, e.g. head.folds=5.")
    try:
        merged = OmegaConf.merge(
            OmegaConf.create(dict(base)),
            OmegaConf.create(dict(fields or {})),
            OmegaConf.from_dotlist(list(overrides)),
        )
        result = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, yaml.YAMLError) as e:
        raise ConfigError(f"Cannot read the overrides {list(overrides)}: {e}") from e
    assert isinstance(result, dict)
    return {str(k): v for k, v in result.items()}


def parse(model: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """Check ``values`` against ``model``.

    Raises:
        ConfigError: one line per wrong key or value, with the nearest known key.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as e:
        lines = [_explain(model, error) for error in e.errors()]
        head = f"{where}: " if where else ""
        raise ConfigError(head + "; ".join(lines)) from e


def _explain(model: type[BaseModel], error: Any) -> str:
    path = [str(p) for p in error["loc"]]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        known = list(owner.model_fields) if owner else []
        hint = did_you_mean(path[-1], known) or f" Known here: {', '.join(known)}."
        return f"unknown key '{key}'.{hint}"
    if error["type"] == "missing":
        return f"'{key}' is required"
    if not key:  # several keys do not go together
        return str(error["msg"]).removeprefix("Value error, ")
    return f"'{key}' = {error.get('input')!r}: {error['msg']}"


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    for name in path:
        field = model.model_fields.get(name)
        if field is None:
            return None
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        inner = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            return None
        model = inner[0]
    return model


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping (through omegaconf, so that ``1e-3`` is a number).

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a mapping.
    """
    from omegaconf import OmegaConf

    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except FileNotFoundError as e:
        raise ConfigError(f"{path} does not exist.") from e
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as e:
        raise ConfigError(f"{path} is not a YAML file: {e}") from e
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values.")
    return {str(k): v for k, v in values.items()}


def write_yaml(path: str | Path, config: Config | Mapping[str, Any]) -> None:
    """Write a resolved configuration atomically, keys in declared order."""
    values = config.model_dump(mode="json") if isinstance(config, Config) else dict(config)
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
