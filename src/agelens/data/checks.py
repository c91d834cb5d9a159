"""What can be wrong with a manifest, found all at once and named by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.data.columns import COLUMNS, GENDERS, OLDEST, SPLITS

__all__ = ["Fault", "find_faults"]

MOST_ROWS: Final = 10

Rows = pd.Series  # of bool, one a row of the table


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        what: what is wrong.
        rows: the rows that have it, counted from 0; empty when it is the whole table's.
    """

    what: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.rows:
            return self.what
        shown = ", ".join(map(str, self.rows[:MOST_ROWS]))
        more = len(self.rows) - MOST_ROWS
        return f"{self.what} in rows {shown}" + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Rule:
    """What no row may be: the columns that tell, and the test that finds the rows which are.

    A sample that was removed, as for its bad label, may break all rules but those ``of_removed``.
    """

    what: str
    columns: tuple[str, ...]
    broken_by: Callable[[pd.DataFrame], Rows]
    of_removed: bool = False


def find_faults(table: pa.Table, folder: Path | None = None) -> list[Fault]:
    """Every fault of a manifest's table: columns, types, ranges, duplicates and, given the folder, missing crops.

    Args:
        table: as read from the file.
        folder: where the crops' paths start from; None: files are not looked at.
    """
    if not table.num_rows:
        return [Fault("the table has no rows")]
    faults: list[Fault] = []
    columns = {}
    for column in COLUMNS:
        try:
            columns[column.name] = _cast(table, column)
        except ValueError as error:
            faults.append(Fault(str(error)))
    frame = pa.table(columns).to_pandas()
    for rule in RULES:
        if {*rule.columns, "removed"} <= set(columns):  # a missing column is said once, not again by each row
            rows = rule.broken_by(frame if rule.of_removed else frame[frame["removed"].isna()]).astype(bool)
            faults += [Fault(rule.what, _numbers(rows))] if rows.any() else []
    if folder is not None and {"path", "offset", "length", "removed"} <= set(columns):
        faults += _file_faults(frame, folder)
    return faults


def _cast(table: pa.Table, column: pa.Field) -> Any:
    times = table.schema.names.count(column.name)
    if times != 1:
        raise ValueError(f"column {column.name!r} is {'there more than once' if times else 'missing'}")
    found = table.column(column.name)
    try:
        return found.cast(column.type)
    except pa.ArrowException:
        raise ValueError(f"column {column.name!r} holds {found.type}, wanted {column.type}") from None


def _no_age(frame: pd.DataFrame) -> Rows:
    return frame["age"].isna() & (frame["age_low"].isna() | frame["age_high"].isna())


def _outside(name: str, top: float) -> Callable[[pd.DataFrame], Rows]:
    return lambda frame: (frame[name] < 0) | (frame[name] > top)


def _not_among(name: str, known: tuple[str, ...]) -> Callable[[pd.DataFrame], Rows]:
    return lambda frame: ~(frame[name].isin(known) | frame[name].isna())


def _bad_place(frame: pd.DataFrame) -> Rows:
    half = frame["offset"].isna() != frame["length"].isna()
    return half | (frame["offset"] < 0) | (frame["length"] <= 0)


def _repeated(*names: str) -> Callable[[pd.DataFrame], Rows]:
    def find(frame: pd.DataFrame) -> Rows:
        named = frame.loc[frame[names[0]].notna() & frame["removed"].isna(), list(names)]
        return named.duplicated(keep=False).reindex(frame.index, fill_value=False)

    return find


def _not_finite(name: str) -> Callable[[pd.DataFrame], Rows]:
    return lambda frame: frame[name].map(lambda one: one is not None and not np.isfinite(one).all())


def _not_digits(frame: pd.DataFrame) -> Rows:
    fits = frame["phash"].map(lambda one: not isinstance(one, str) or (len(one) == 64 and set(one) <= HEX))
    return ~fits.astype(bool)


def _leads_outside(frame: pd.DataFrame) -> Rows:
    return frame["path"].map(_leaves_folder)


def _leaves_folder(path: object) -> bool:
    if not isinstance(path, str):
        return False
    return PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path


HEX: Final = frozenset("0123456789abcdef")
AGES: Final = ("age", "age_low", "age_high")

RULES: Final = (
    Rule("no crop path", ("path",), lambda frame: frame["path"].fillna("").eq("")),
    Rule("a path outside the manifest's folder", ("path",), _leads_outside, of_removed=True),
    Rule("an offset without a length, or a bad one", ("offset", "length"), _bad_place),
    Rule("a crop used twice", ("path", "offset"), _repeated("path", "offset")),
    Rule("an original listed twice", ("source_path", "dataset"), _repeated("source_path", "dataset")),
    Rule("neither age nor band", AGES, _no_age),
    Rule(f"an age outside 0…{OLDEST}", ("age",), _outside("age", OLDEST)),
    Rule(f"a band that starts outside 0…{OLDEST}", ("age_low",), _outside("age_low", OLDEST)),
    Rule(f"a band that ends outside 0…{OLDEST}", ("age_high",), _outside("age_high", OLDEST)),
    Rule("a band with one end", AGES, lambda frame: frame["age_low"].isna() != frame["age_high"].isna()),
    Rule("a band that ends before it starts", AGES, lambda frame: frame["age_low"] > frame["age_high"]),
    Rule(f"an apparent age outside 0…{OLDEST}", ("apparent_age",), _outside("apparent_age", OLDEST)),
    Rule("an apparent age's spread below 0", ("apparent_std",), lambda frame: frame["apparent_std"] < 0),
    Rule("an unknown gender", ("gender",), _not_among("gender", GENDERS)),
    Rule("an unknown split", ("split",), _not_among("split", SPLITS)),
    Rule("a fold below 0", ("fold",), lambda frame: frame["fold"] < 0),
    Rule("a score outside 0…1", ("score",), _outside("score", 1)),
    Rule("a box that is not finite", ("box",), _not_finite("box")),
    Rule("landmarks that are not finite", ("landmarks",), _not_finite("landmarks")),
    Rule("a perceptual hash that is not 64 hexadecimal digits", ("phash",), _not_digits),
)


def _file_faults(frame: pd.DataFrame, folder: Path) -> Iterator[Fault]:
    """Crops that are not there, or reach beyond the end of their file."""
    rows = frame[frame["removed"].isna() & frame["path"].notna() & ~frame["path"].map(_leaves_folder).astype(bool)]
    sizes = {path: _size(folder / path) for path in rows["path"].unique()}
    held = rows["path"].map(sizes).astype(float)  # without any rows it would be text
    missing, short = held < 0, (held >= 0) & (rows["offset"] > held - rows["length"])
    for what, bad in (("a missing crop file", missing), ("a crop beyond its file's end", short)):
        if bad.any():
            yield Fault(what, _numbers(bad))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else -1
    except (OSError, ValueError):
        return -1


def _numbers(rows: Rows) -> tuple[int, ...]:
    return tuple(int(number) for number in rows.index[rows])
