"""Reading a configuration: YAML and the command line's values in, checked sections out, every fault named in words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from agelens.errors import ConfigError
from agelens.files import write_text
from agelens.train.section import Section

__all__ = ["changed", "dotted", "parsed", "read_as", "read_raw", "validated", "write_config"]

Config = TypeVar("Config", bound=Section)
KINDS: Final = ("head", "schedule")  # sections whose keys depend on their kind
BESIDE: Final = ("tune",)  # sections that stand in the file of a training and are not for it


def read_as(model: type[Config], path: Path, overrides: Mapping[str, str] | None = None) -> Config:
    """Read a configuration from YAML; a section ``tune`` beside it is left to ``agelens tune``.

    Args:
        model: its sections.
        path: the file.
        overrides: values that take the place of the file's: a dotted key, "optim.lr", to a value as YAML writes it.

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value in it is wrong; all faults are named at once.
    """
    raw = {name: section for name, section in read_raw(path).items() if name not in BESIDE}
    _name_kinds(model, raw)
    for key in sorted(overrides or {}, key=_kind_first):
        _put(raw, key.split("."), parsed(key, (overrides or {})[key]))
    return validated(model, raw, str(path))


def read_raw(path: Path) -> dict[Any, Any]:
    """The sections of a YAML file as they stand there.

    Raises:
        ConfigError: the file is missing or no YAML, or holds no sections.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  # a safe one
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        found = "nothing" if raw is None else type(raw).__name__
        raise ConfigError(f"{path}: wanted sections like 'data:' and 'backbone:', found {found}")
    return raw


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def changed(config: Config, **values: Any) -> Config:
    """A configuration with other values; keys are dotted, with two underscores for a dot: ``optim__lr=3e-4``.

    A head or schedule of another kind takes the place of the old one, whose values are gone.

    Raises:
        ConfigError: a key or value is wrong.
    """
    raw = config.model_dump(mode="json")
    for key in sorted(values, key=_kind_first):
        _put(raw, key.split("__"), values[key])
    return validated(type(config), raw, "configuration")


def dotted(raw: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested plain values by their dotted keys, as they are given on the command line."""
    flat: dict[str, Any] = {}
    for name, value in raw.items():
        flat |= dotted(value, f"{above}{name}.") if isinstance(value, Mapping) and value else {f"{above}{name}": value}
    return flat


def write_config(config: Section, path: Path) -> None:
    """Write a configuration as YAML that ``read_as`` takes.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def _kind_first(key: str) -> bool:
    """Another kind makes a section anew, so it comes before the section's other values."""
    return not key.endswith("kind")


def _name_kinds(model: type[Section], raw: dict[Any, Any]) -> None:
    """A head or schedule whose kind is not said has the default's."""
    for name in KINDS:
        if isinstance(raw.get(name), dict) and name in model.model_fields:
            raw[name].setdefault("kind", model.model_fields[name].default.kind)


def validated(model: type[Config], raw: dict[Any, Any], where: str) -> Config:
    """Sections of plain values, checked.

    Args:
        model: what they must be.
        raw: by their names.
        where: they come from, as people call it.

    Raises:
        ConfigError: a key or value in it is wrong; all faults are named at once.
    """
    _name_kinds(model, raw)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(_fault(model, dict(one)) for one in error.errors())
        raise ConfigError(f"{where}: {faults}") from error


def parsed(key: str, text: str) -> Any:
    """The value of a key on the command line, as YAML reads it.

    Raises:
        ConfigError: YAML cannot.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--{key}: {text!r} is no value as YAML writes it") from error


def _put(raw: dict[Any, Any], names: list[str], value: Any) -> None:
    *sections, last = names
    for name in sections:
        if not isinstance(raw.get(name), dict):
            raw[name] = {}
        raw = raw[name]
    if sections and sections[0] in KINDS and last == "kind" and raw.get("kind") != value:
        raw.clear()  # another kind has other keys
    raw[last] = value


def _fault(model: type[Section], error: dict[str, Any]) -> str:
    loc = _without_kind(error["loc"])
    where = ".".join(map(str, loc))
    message = f"{error['msg'][0].lower()}{error['msg'][1:]}".removeprefix("value error, ")
    if error["type"] == "value_error":
        return f"{where}: {message}" if where else message
    if error["type"].startswith("union_tag"):
        return f"{where}.kind: one of {error['ctx']['expected_tags']} is wanted (got {error['ctx']['tag']!r})"
    if error["type"] in ("model_attributes_type", "model_type"):
        return f"{where}: wanted keys with values below it (got {error['input']!r})"
    if error["type"] != "extra_forbidden":
        got = "" if error["type"] == "missing" else f" (got {error['input']!r})"
        return f"{where}: {message}{got}"
    section = _section(model, error["loc"][:-1])
    (near,) = difflib.get_close_matches(str(loc[-1]), section.model_fields, n=1, cutoff=0)
    if len(loc) == 1:  # a section's name, or a key whose section was forgotten
        inner = {
            key: f"{name}.{key}"
            for name in model.model_fields
            for one in _choices(model, name).values()
            for key in one.model_fields
        }
        closest = difflib.get_close_matches(str(loc[0]), [*inner, *section.model_fields], n=1, cutoff=0)[0]
        near = inner.get(closest, closest)
    return f"{where}: no such key; did you mean {near!r}?"


def _section(model: type[Section], names: tuple[Any, ...]) -> type[BaseModel]:
    """The section that a path of keys leads to; for a head or schedule the path holds its kind."""
    if not names:
        return model
    choices = _choices(model, str(names[0]))
    return choices.get(names[1] if len(names) > 1 else None) or next(iter(choices.values()))


def _choices(model: type[Section], name: str) -> dict[Any, type[BaseModel]]:
    """The sections that may stand under a key, by their kind; none under that of a plain value."""
    sections = [one for one in _parts(model.model_fields[name].annotation) if issubclass(one, Section)]
    return {one.model_fields["kind"].default if "kind" in one.model_fields else None: one for one in sections}


def _parts(annotation: Any) -> list[type]:
    """The classes that a type is made of."""
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [one for inner in get_args(annotation) for one in _parts(inner)]


def _without_kind(loc: tuple[Any, ...]) -> tuple[Any, ...]:
    """A path of keys without the kind that pydantic puts behind a head or schedule."""
    return (loc[0], *loc[2:]) if loc and loc[0] in KINDS else loc
