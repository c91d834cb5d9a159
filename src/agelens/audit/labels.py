"""Labels that cannot be, or are hard to believe, found in the table alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd
import pyarrow.compute as pc

from agelens.audit.findings import Finding, Kind
from agelens.audit.samples import Samples, fault_columns
from agelens.data.checks import Fault

__all__ = ["find_labels", "subject_key"]

# The longest life that was ever verified lasted 122 years and 164 days (Jeanne Calment, 1875-1997; Robine and Allard,
# "The oldest human", Science 1998).
OLDEST_PERSON: Final = 122

# A real age is doubted where it lies so many spreads, and so many years, from what people guessed.
GUESS_SPREADS: Final = 3.0
GUESS_YEARS: Final = 10.0

AGES: Final = ("age", "age_low", "age_high", "apparent_age", "apparent_std")
LABELS: Final = {*AGES, "gender"}


def find_labels(samples: Samples) -> Iterator[Finding]:
    """Every label that cannot be, every row that is broken, and ages that people's guesses speak against."""
    for fault in samples.faults:
        yield from _of_fault(samples, fault)
    broken = {row for fault in samples.faults for row in fault.rows}
    yield from _not_numbers(samples)
    kept = samples.kept
    sound = kept[~kept.index.isin(list(broken))]
    yield from _too_old(sound)
    yield from _outside_band(sound)
    yield from _subjects_of_two_genders(sound)
    yield from _far_from_guesses(sound)


def subject_key(table: pd.DataFrame) -> pd.Series[Any]:
    """Who each sample shows, as a name that is another one in each data set; null where nobody says."""
    return (table["dataset"].astype(str) + "\0" + table["subject"].astype(str)).where(table["subject"].notna())


def _of_fault(samples: Samples, fault: Fault) -> Iterator[Finding]:
    columns = fault_columns(fault)
    kind = Kind.IMPLAUSIBLE if set(columns) <= LABELS else Kind.BROKEN
    known = samples.table.loc[list(fault.rows), list(columns)].to_dict("records")
    for row, values in zip(fault.rows, known, strict=True):
        said = ", ".join(f"{name} {_shown(value)}" for name, value in values.items() if _is_known(value))
        yield Finding(kind, (row,), f"{fault.what}: {said}" if said else fault.what, score=1.0)


def _is_known(value: Any) -> bool:
    return not (value is None or (isinstance(value, float) and value != value))


def _shown(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


def _not_numbers(samples: Samples) -> Iterator[Finding]:
    for name in AGES:
        found = pc.fill_null(pc.is_nan(samples.source[name]), False).to_numpy()
        for row in found.nonzero()[0]:
            yield Finding(Kind.IMPLAUSIBLE, (int(row),), f"{name} is not a number; an unknown one is null", score=1.0)


def _too_old(table: pd.DataFrame) -> Iterator[Finding]:
    for column in ("age", "age_low"):
        ages = table[column]
        for row, age in ages[ages >= OLDEST_PERSON + 1].items():
            what = f"{column} {age:g}, but nobody is known to have lived beyond {OLDEST_PERSON}"
            yield Finding(Kind.IMPLAUSIBLE, (_row(row),), what, score=float(age))


def _outside_band(table: pd.DataFrame) -> Iterator[Finding]:
    # a band holds both ends: someone of 32 and a half is within 25…32
    below, above = table["age_low"] - table["age"], table["age"] - (table["age_high"] + 1)
    outside = table[(below > 0) | (above >= 0)]
    for row, one in outside.iterrows():
        what = f"age {one['age']:g} lies outside its band {one['age_low']:g}–{one['age_high']:g}"
        away = max(one["age_low"] - one["age"], one["age"] - one["age_high"])
        yield Finding(Kind.IMPLAUSIBLE, (_row(row),), what, score=float(away))


def _subjects_of_two_genders(table: pd.DataFrame) -> Iterator[Finding]:
    """The rows of the rarer gender, or all where neither is rarer."""
    known = table[table["gender"].notna() & table["subject"].notna()]
    keys = subject_key(known)
    mixed = known[known.groupby(keys)["gender"].transform("nunique") > 1]
    for _, rows in mixed.groupby(keys[mixed.index]):
        counts = rows["gender"].value_counts()
        rarer = rows[rows["gender"] != counts.index[0]] if counts.iloc[0] > counts.iloc[1] else rows
        said = " and ".join(f"{count} × {gender}" for gender, count in counts.items())
        what = f"subject {rows['subject'].iloc[0]} is labelled {said}"
        yield Finding(Kind.IMPLAUSIBLE, tuple(map(_row, rarer.index)), what, score=len(rarer) / len(rows))


def _far_from_guesses(table: pd.DataFrame) -> Iterator[Finding]:
    away = (table["age"] - table["apparent_age"]).abs()
    far = (away > GUESS_YEARS) & (away > GUESS_SPREADS * table["apparent_std"])
    for row, one in table.assign(away=away)[far].iterrows():
        guess = f"{one['apparent_age']:.1f} ± {one['apparent_std']:.1f}"
        what = f"age {one['age']:g}, but people guessed {guess}"
        yield Finding(Kind.DOUBTFUL_AGE, (_row(row),), what, score=float(one["away"]))


def _row(index: Any) -> int:
    return int(index)
