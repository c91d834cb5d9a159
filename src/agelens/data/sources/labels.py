"""Single labels, read from text that nobody checked: numbers, ages, genders, splits, folds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["OLDEST", "BadLabelError", "read_fold", "read_gender", "read_number", "read_split", "shown", "whole_age"]

OLDEST: Final = 130
MOST_FOLDS: Final = 10_000
LONGEST_SHOWN: Final = 40

GENDERS: Final[Mapping[str, str | None]] = {
    **dict.fromkeys(("m", "male", "man", "0"), "male"),
    **dict.fromkeys(("f", "female", "woman", "1"), "female"),
    **dict.fromkeys(("", "u", "unknown")),
}
SPLITS: Final[Mapping[str, str | None]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test",), "test"),
    **dict.fromkeys(("",)),
}


class BadLabelError(ValueError):
    """A label that cannot be; the message says in a few words why, as a sample's ``detail``."""


def shown(text: str) -> str:
    """A text in quotes for a message: on one line, and cut when it is long."""
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "...")


def read_number(name: str, text: str, most: float = OLDEST) -> float | None:
    """A number within 0…``most``; None for an empty text.

    Raises:
        BadLabelError: it is no number, or not in that range; ``name`` says what was read.
    """
    if not text:
        return None
    try:
        # Python would take the underscores of its own literals, and other scripts' digits, where no table means them
        number = float(text if text.isascii() and "_" not in text else "")
    except ValueError:
        raise BadLabelError(f"{name} {shown(text)} is no number") from None
    if not (math.isfinite(number) and 0 <= number <= most):
        raise BadLabelError(f"{name} {shown(text)} is not within 0-{most:g}")
    return number


def whole_age(text: str, most: float = OLDEST) -> float:
    """An age in whole years as it stands in a file's name, ``7`` or ``007``.

    Raises:
        BadLabelError: it has another character than a digit, or is above ``most``.
    """
    if not (text.isascii() and text.isdecimal()) or float(text) > most:
        raise BadLabelError(f"{shown(text)} is no age in years, 0-{most:g}")
    return float(text)


def read_gender(text: str) -> str | None:
    """Male, man, m, 0 or female, woman, f, 1 in any case as "male" or "female"; None for u, unknown and an empty text.

    Raises:
        BadLabelError: it is none of these.
    """
    return _look_up("gender", text, GENDERS)


def read_split(text: str) -> str | None:
    """Train, training, val, valid, validation or test in any case as "train", "val" or "test"; None for an empty text.

    Raises:
        BadLabelError: it is none of these.
    """
    return _look_up("split", text, SPLITS)


def read_fold(text: str) -> int | None:
    """A fold's number, 0 or above, also with ``.0`` behind it; None for an empty text.

    Raises:
        BadLabelError: it is no such number.
    """
    number = read_number("fold", text, MOST_FOLDS)
    if number is not None and number != int(number):
        raise BadLabelError(f"fold {shown(text)} is no whole number")
    return None if number is None else int(number)


def _look_up(name: str, text: str, values: Mapping[str, str | None]) -> str | None:
    try:
        return values[text.lower()]
    except KeyError:
        raise BadLabelError(f"{name} {shown(text)} is none of: {', '.join(filter(None, values))}") from None
