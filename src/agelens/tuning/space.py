"""Values drawn from a space, as plain numbers, and the configuration that has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from agelens.errors import ConfigError
from agelens.train.config import changed
from agelens.tuning.config import Config, Range

__all__ = ["applied", "check_space", "drawn", "own_values", "short"]

Space = Mapping[str, Range]
SAME_FACES: Final = ("data.manifest", "data.fold")


def drawn(space: Space, seed: int, number: int) -> dict[str, Any]:
    """The values of one trial of a random search; each is a function of the seed, the trial's number and the key."""
    return {key: _draw(one, np.random.default_rng([seed, number, *key.encode()])) for key, one in space.items()}


def own_values(config: Config, space: Space) -> dict[str, Any] | None:
    """What a configuration itself has for the keys of a space; None where that lies without one of its ranges."""
    raw = config.model_dump(mode="json")
    values = {key: _value(raw, key.split(".")) for key in space}
    return values if all(_holds(one, values[key]) for key, one in space.items()) else None


def applied(config: Config, parameters: Mapping[str, Any]) -> Config:
    """A configuration with other values, by their dotted keys.

    Raises:
        ConfigError: a key or value is wrong, or they do not fit each other.
    """
    return changed(config, **{key.replace(".", "__"): value for key, value in parameters.items()})


def check_space(config: Config, space: Space) -> None:
    """See that a configuration takes whatever may be drawn for each key.

    Raises:
        ConfigError: there is no such key, or it does not take one of these values.
    """
    for key, one in space.items():
        if key in SAME_FACES:
            raise ConfigError(f"tune.space.{key}: trials are compared on the same faces; search for each on its own")
        for value in (*one.ends, *_between(one)):
            try:
                applied(config, {key: value})
            except ConfigError as error:
                raise ConfigError(f"tune.space: {str(error).removeprefix('configuration: ')}") from error


def short(value: float, one: Range) -> float:
    """A number in four digits, within its range."""
    low, high = one.ends
    return min(max(float(f"{value:.4g}"), float(low)), float(high))


def _between(one: Range) -> tuple[float, ...]:
    """A number that may be drawn and is no whole one: keys for whole numbers take the ends alone."""
    if one.uniform is None and one.log is None:
        return ()
    low, high = one.ends
    return (short(low + (high - low) * 0.3819, one),)


def _value(raw: Any, names: Sequence[str]) -> Any:
    for name in names:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw


def _holds(one: Range, value: Any) -> bool:
    if one.choice is not None:
        return value in one.choice
    kind = int if one.integer is not None else int | float
    return isinstance(value, kind) and one.ends[0] <= value <= one.ends[1]


def _draw(one: Range, rng: np.random.Generator) -> Any:
    if one.choice is not None:
        return one.choice[int(rng.integers(len(one.choice)))]
    low, high = one.ends
    if one.integer is not None:
        return int(rng.integers(low, high, endpoint=True))
    if one.log is not None:
        return short(math.exp(rng.uniform(math.log(low), math.log(high))), one)
    return short(float(rng.uniform(low, high)), one)
