"""Any table of pictures and ages, comma, semicolon or tab between its values; options say which column is what."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from agelens.data.reasons import Reason
from agelens.data.sources.bands import read_band
from agelens.data.sources.folders import entries, inside, no_layout, path_within
from agelens.data.sources.labels import BadLabelError, read_fold, read_gender, read_number, read_split, shown
from agelens.data.sources.sample import Options, Sample, Source
from agelens.data.sources.tables import Cells, Table, label_rows, open_table
from agelens.errors import ConfigError, DataError

__all__ = ["CSV"]

LAYOUT: Final = "a table (.csv or .tsv, UTF-8, a row a line) with columns path and age, band, or age_low and age_high"
COLUMNS: Final = {
    "path": "column of the pictures' paths",
    "age": "column of the ages, in years",
    "age_low": "column of the bands' first years",
    "age_high": "column of the bands' last years",
    "band": "column of the bands as text: 25-32, (25, 32) or 60+",
    "gender": "column of m, f, male, female, man, woman, 0 (male) or 1 (female)",
    "race": "column of races, as they are named",
    "subject": "column that tells people apart",
    "split": "column of train, val or test",
    "fold": "column of folds, counted from 0",
    "apparent_age": "column of the mean of what people guessed",
    "apparent_std": "column of the spread of what people guessed",
}
OTHERS: Final = {
    "file": "the table, within the data folder; without it the only one there",
    "root": "the folder where paths start, within the data folder; without it the table's own",
}
SUFFIXES: Final = (".csv", ".tsv")
# Gives the text that a row has for an option, empty when the table has no such column.
Get = Callable[[str], str]


def _read(folder: Path, options: Options) -> Iterator[Sample]:
    table = open_table(_table(folder, options))
    root = _root(folder, table, options)
    columns = _columns(table, options)

    def picture(cells: Cells) -> Path:
        return inside(folder, root, cells[columns["path"]])

    def label(path: Path, cells: Cells) -> Sample:
        return _label(path, lambda option: cells[columns[option]] if option in columns else "")

    yield from label_rows(table, picture, label)


def _table(folder: Path, options: Options) -> Path:
    if "file" in options:
        file = folder / _within("file", options)
        if not os.path.isfile(file):  # noqa: PTH113 (Path.is_file raises on a name that is too long)
            raise DataError(f"{file}: no such table")
        return file
    tables = [file for file in entries(folder) if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not tables:
        raise no_layout("csv", folder, LAYOUT)
    if len(tables) > 1:
        names = ", ".join(shown(file.name) for file in tables)
        raise DataError(f"{folder}: several tables, {names}; name one by the option file")
    return tables[0]


def _root(folder: Path, table: Table, options: Options) -> str:
    if "root" not in options:
        return table.path.parent.relative_to(folder).as_posix()
    root = _within("root", options)
    if not os.path.isdir(folder / root):  # noqa: PTH112 (as above)
        raise DataError(f"{folder / root}: no such folder; the option root names one within {folder}")
    return root


def _within(option: str, options: Options) -> str:
    try:
        return path_within("", options[option])
    except BadLabelError as problem:
        raise ConfigError(f"option {option}: {problem}") from None


def _columns(table: Table, options: Options) -> dict[str, str]:
    chosen = {option: options[option] for option in COLUMNS if option in options}
    # a column that an option names is not taken for another by its name
    free = set(table.columns) - set(chosen.values())
    columns = {option: option for option in COLUMNS if option in free} | chosen
    table.need(*columns.values())
    if "path" not in columns:
        raise DataError(f"{table.path}: no column 'path'; name yours by the option path; {table.list_columns()}")
    if not {"age", "band"} & columns.keys() and not {"age_low", "age_high"} <= columns.keys():
        wanted = "no column 'age', 'band', or 'age_low' and 'age_high'; name yours by the options age or band"
        raise DataError(f"{table.path}: {wanted}; {table.list_columns()}")
    return columns


def _label(path: Path, get: Get) -> Sample:
    age = read_number("age", get("age"))
    low, high = _band(get)
    return Sample(
        path,
        age=age,
        age_low=low,
        age_high=high,
        apparent_age=read_number("apparent_age", get("apparent_age")),
        apparent_std=read_number("apparent_std", get("apparent_std")),
        gender=read_gender(get("gender")),
        race=get("race") or None,
        subject=get("subject") or None,
        split=read_split(get("split")),
        fold=read_fold(get("fold")),
        fault=Reason.NO_AGE if age is None and low is None else None,
    )


def _band(get: Get) -> tuple[float, float] | tuple[None, None]:
    low, high = read_number("age_low", get("age_low")), read_number("age_high", get("age_high"))
    if low is None and high is None:
        return read_band(get("band")) if get("band") else (None, None)
    if low is None or high is None or low > high:
        raise BadLabelError(f"a band from {shown(get('age_low'))} to {shown(get('age_high'))}")
    return low, high


CSV: Final = Source(
    read=_read,
    layout=LAYOUT,
    labels="age or band, gender, race, subject, split, fold, apparent age: what the table has",
    terms="those of your data",
    home="",
    options={**COLUMNS, **OTHERS},
)
