"""What another program said of a manifest's faces, from a JSON-lines file, to be measured like a bundle's answers.

A line is an object: ``path``, the picture as the manifest's column ``source_path`` has it, or its last part where that
names one picture only; ``predicted_age`` in years, or null where the program found no face; and where it tells more,
``low`` and ``high``, the ends of its interval; ``predicted_gender``, "female" or "male"; ``female``, that one's
probability; ``age_probs``, 101 numbers, the probability of each year. Other entries are passed over, so that what
``agelens evaluate --per-image --json`` prints can be read again.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens import ages
from agelens.data.columns import GENDERS
from agelens.errors import DataError
from agelens.evaluate.answers import Answers, answers_said

__all__ = ["NoAnswersError", "read_peer"]

Line = Mapping[str, Any]
MAX_LINE: Final = 64 * 1024  # characters
MAX_PEER_AGE: Final = 150.0  # years
SUM_TOLERANCE: Final = 0.01
SHOWN: Final = 60  # characters of a wrong value


class NoAnswersError(DataError):
    """A file that says nothing of any face."""


def read_peer(path: Path, rows: pd.DataFrame, every: pd.DataFrame | None = None) -> Answers:
    """Answers to some of a manifest's rows, of a program that is no bundle; lines of other pictures are passed over.

    Args:
        path: the JSON-lines file, UTF-8.
        rows: a manifest's, at least one. Those that the file says nothing of have no answer.
        every: all rows of that manifest, in which the last part of a name must be one picture's; ``rows`` by default.

    Raises:
        DataError: the file is missing or no JSON lines, an entry is not what it must be, or a picture is named twice or
            its name is not clear.
        NoAnswersError: no picture is one of the rows, or all answers are null.
    """
    places = _places(rows, rows if every is None else every)
    lines: list[Line | None] = [None] * len(rows)
    for number, line in _lines(path):
        try:
            place = places.get(_name(line))
            if place is None:
                continue
            if place < 0:
                raise ValueError(f"path {_short(line['path'])} names several pictures; wanted all of one's source_path")
            if lines[place] is not None:
                raise ValueError(f"path {_short(line['path'])} has a line already")
            lines[place] = _checked(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
    found = sum(line is not None for line in lines)
    if found and all(line is None or line["age"] is None for line in lines):
        raise NoAnswersError(f"{path}: predicted_age is null for all faces that it names, {found} of {len(rows)}")
    if not found:
        example = rows["source_path"].iloc[0]
        raise NoAnswersError(f"{path}: answers for none of {len(rows)} faces; wanted paths as {example!r}")
    return _answers(path, rows, lines)


def _places(rows: pd.DataFrame, every: pd.DataFrame) -> dict[str, int]:
    """The row of each picture by its whole name, and by its last part; -1 where that is not one picture."""
    names = [str(name) for name in rows["source_path"]]
    used = Counter(_last(str(name)) for name in every["source_path"])
    places = {_last(name): place if used[_last(name)] == 1 else -1 for place, name in enumerate(names)}
    whole: dict[str, int] = {}
    for place, name in enumerate(names):
        whole[name] = -1 if name in whole else place
    return places | whole


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            number = 0
            while text := file.readline(MAX_LINE + 1):
                number += 1
                if len(text) > MAX_LINE:
                    raise DataError(f"{path}, line {number}: longer than {MAX_LINE:,} characters; wanted JSON lines")
                if text.strip():
                    yield number, _parsed(path, number, text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read as JSON lines: {reason}") from error


def _parsed(path: Path, number: int, text: str) -> Line:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: no JSON ({error})") from error
    if not isinstance(line, dict):
        raise DataError(f"{path}, line {number}: {_short(line)}; wanted an object with path and predicted_age")
    return line


def _name(line: Line) -> str:
    name = line.get("path")
    if not isinstance(name, str):
        raise ValueError(f"path is {_short(name)}; wanted the picture's, as the manifest names it")
    return name.removeprefix("./")


def _checked(line: Line) -> Line:
    """What one line says, None for what it does not say."""
    if "predicted_age" not in line:
        raise ValueError("has no predicted_age; null where there is no answer")
    gender = line.get("predicted_gender")
    if gender not in (None, *GENDERS):
        raise ValueError(f"predicted_gender is {_short(gender)}; wanted {', '.join(GENDERS)} or null")
    low, high = (_number(line, name, 0, MAX_PEER_AGE) for name in ("low", "high"))
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise ValueError(f"interval is {_short([low, high])}; wanted low and high, in this order")
    return {
        "age": _number(line, "predicted_age", 0, MAX_PEER_AGE),
        "interval": None if low is None else (low, high),
        "gender": gender,
        "female": _number(line, "female", 0, 1),
        "probs": _distribution(line.get("age_probs")),
    }


def _number(line: Line, name: str, least: float, most: float) -> float | None:
    value = line.get(name)
    if value is None:
        return None
    if not _is_number(value) or not least <= value <= most:
        raise ValueError(f"{name} is {_short(value)}; wanted a number within {least:g}…{most:g}, or null")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _distribution(value: Any) -> npt.NDArray[np.float64] | None:
    if value is None:
        return None
    wanted = f"age_probs must be {ages.NUM_BINS} numbers of 0 and more that sum to 1"
    plain = isinstance(value, list) and all(_is_number(one) and 0 <= one <= 1 for one in value)
    if not plain or len(value) != ages.NUM_BINS or not math.isclose(sum(value), 1, abs_tol=SUM_TOLERANCE):
        raise ValueError(wanted)
    probs = np.array(value, dtype=np.float64)
    return np.asarray(probs / probs.sum())


def _answers(path: Path, rows: pd.DataFrame, lines: list[Line | None]) -> Answers:
    said = [line if line is not None and line["age"] is not None else None for line in lines]

    def column(name: str, nothing: Any, width: tuple[int, ...] = ()) -> npt.NDArray[np.float64] | None:
        """Of faces with an answer all or none must have it."""
        having = [line is not None and line[name] is not None for line in said]
        if not any(having):
            return None
        missing = [place for place, line in enumerate(said) if line is not None and not having[place]]
        if missing:
            raise DataError(_partly(path, name, rows, missing[0]))
        values = [line[name] if line is not None else np.full(width, nothing) for line in said]
        return np.array(values, dtype=np.float64)

    told = np.array([None if line is None else line["gender"] for line in said], dtype=object)
    silent = [place for place, line in enumerate(said) if line is not None and line["gender"] is None]
    if silent and not pd.isna(told).all():
        raise DataError(_partly(path, "predicted_gender", rows, silent[0]))
    female = column("female", np.nan)
    if female is not None and pd.isna(told).all():
        male, other = GENDERS
        told = np.array([None if np.isnan(one) else other if one >= 0.5 else male for one in female], dtype=object)
    return answers_said(
        rows,
        np.array([np.nan if line is None else line["age"] for line in said], dtype=np.float64),
        intervals=column("interval", np.nan, (2,)),
        age_probs=column("probs", np.nan, (ages.NUM_BINS,)),
        gender=None if pd.isna(told).all() else told,
        female=female,
    )


def _partly(path: Path, name: str, rows: pd.DataFrame, place: int) -> str:
    picture = rows["source_path"].iloc[place]
    return f"{path}: has {name} of some faces, but not of {picture!r}; wanted it of all, or of none"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
