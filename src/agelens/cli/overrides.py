"""Values of a configuration on the command line: ``--optim.lr 3e-4`` or ``--optim.lr=3e-4``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agelens.errors import ConfigError

__all__ = ["parse_overrides"]


def parse_overrides(tokens: Sequence[str], manifest: Path | None = None) -> dict[str, str]:
    """Dotted keys to their values, as text; ``manifest`` is that of "data.manifest".

    Raises:
        ConfigError: a token is no key, or a key has no value.

    >>> parse_overrides(["--optim.lr", "3e-4", "--seed=1"])
    {'optim.lr': '3e-4', 'seed': '1'}
    """
    # in quotes, whatever YAML would make of the name
    values = {} if manifest is None else {"data.manifest": json.dumps(str(manifest))}
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--") or len(token) == 2:
            raise ConfigError(f"{token!r}: wanted a key of the configuration and its value, as --optim.lr 3e-4")
        key, equals, value = token.removeprefix("--").partition("=")
        if not equals:
            if not rest or (rest[0].startswith("--") and len(rest[0]) > 2):
                raise ConfigError(f"--{key}: its value is missing, as in --optim.lr 3e-4")
            value = rest.pop(0)
        values[key] = value
    return values
