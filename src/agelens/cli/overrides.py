"""Values of a configuration on the command line: ``--optim.lr 3e-4`` or ``--optim.lr=3e-4``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agelens.errors import ConfigError
from agelens.train.config import TrainConfig

__all__ = ["parse_overrides"]

# Of the commands that take a configuration.
OPTIONS: Final = (
    "out",
    "manifest",
    "resume",
    "find-lr",
    "deterministic",
    "export",
    "no-export",
    "steps",
    "folds",
    "seeds",
    "val-share",
    "together",
    "trials",
    "workers",
    "json",
)


def parse_overrides(tokens: Sequence[str], manifest: Path | None = None) -> dict[str, str]:
    """Dotted keys to their values, as text; ``manifest`` is that of "data.manifest".

    Raises:
        ConfigError: a token is no key, or a key has no value.

    >>> parse_overrides(["--optim.lr", "3e-4", "--seed=1"])
    {'optim.lr': '3e-4', 'seed': '1'}
    """
    # in quotes, whatever YAML would make of the name
    values = {} if manifest is None else {"data.manifest": json.dumps(str(manifest), ensure_ascii=False)}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--") or len(token) == 2:
            raise ConfigError(f"{token!r}: wanted a key of the configuration and its value, as --optim.lr 3e-4")
        key, equals, value = token.removeprefix("--").partition("=")
        _check_no_option(key)
        if not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise ConfigError(f"--{key}: its value is missing, as in --optim.lr 3e-4")
            value = rest.pop(0)
        values[key] = value
    return values


def _check_no_option(key: str) -> None:
    """What nearly is an option of the command is no key of the configuration."""
    if "." not in key and key not in TrainConfig.model_fields:
        known = [*TrainConfig.model_fields, *OPTIONS]
        for near in difflib.get_close_matches(key, known, n=1, cutoff=0.75):
            if near in OPTIONS:
                raise ConfigError(f"--{key}: no such option; did you mean --{near}?")
