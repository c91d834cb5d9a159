"""A manifest without the faults that an audit found: samples removed, each with the reason, and leaks closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.audit.findings import Finding, Kind
from agelens.audit.leaks import close_leaks
from agelens.audit.photos import Photos
from agelens.audit.samples import PLACE, Samples, fault_columns
from agelens.data.checks import Fault, find_faults
from agelens.data.columns import COLUMNS
from agelens.data.manifest import Manifest
from agelens.data.reasons import Reason
from agelens.errors import DataError

__all__ = ["REASONS", "fix"]

# The first reason that fits a sample is the one that is written.
REASONS: Final = {
    Kind.BROKEN: Reason.UNREADABLE,
    Kind.IMPLAUSIBLE: Reason.BAD_LABEL,
    Kind.CONFLICT_EXACT: Reason.CONFLICT,
    Kind.CONFLICT_NEAR: Reason.CONFLICT,
    Kind.WRONG_AGE: Reason.LIKELY_WRONG,
    Kind.WRONG_GENDER: Reason.LIKELY_WRONG,
    Kind.DOUBTFUL_AGE: Reason.LIKELY_WRONG,
    Kind.EXACT: Reason.DUPLICATE,
    Kind.NEAR: Reason.DUPLICATE,
}
ONLY_IF_ASKED: Final = {Kind.WRONG_AGE, Kind.WRONG_GENDER, Kind.DOUBTFUL_AGE}
ONE_STAYS: Final = {Kind.EXACT, Kind.NEAR}

# Of rows that say the same here, the first is sound.
REPEATED: Final = {("path", "offset"), ("source_path", "dataset")}


def fix(samples: Samples, findings: Sequence[Finding], photos: Photos | None, *, labels: bool = False) -> Manifest:
    """A manifest in which an audit finds no duplicates, leaks, broken rows or implausible labels any more.

    Removed are broken rows and implausible labels, all samples of a photo whose labels conflict, and of other
    duplicates all but the first. What belongs together and still lies in several splits goes to "train", so that what
    is held back stays clean, and what lies in several folds to the first one's.

    Args:
        samples: of the manifest; they stay as they are.
        findings: of the audit.
        photos: which samples show one photo; None: the audit did not look for leaks, and none are closed.
        labels: remove samples whose labels are likely wrong too.

    Raises:
        DataError: nothing would be left.
    """
    table = samples.table.copy()
    kept = set(samples.kept.index)
    removed: dict[int, tuple[str, str]] = {}
    for row, reason, detail in _removals(samples, findings, labels):
        if row in kept:
            removed.setdefault(row, (str(reason), detail))
    for place, name in enumerate(("removed", "detail")):
        table.loc[list(removed), name] = [said[place] for said in removed.values()]
    if len(removed) == len(kept):
        raise DataError(f"{samples.file}: every sample has a fault; nothing would be left")
    if photos is not None:
        close_leaks(table, samples.kept.index, photos)
    _empty_removed(table, samples)
    return replace(samples.manifest, table=table)


def _removals(samples: Samples, findings: Sequence[Finding], labels: bool) -> Iterator[tuple[int, Reason, str]]:
    names = samples.table["source_path"].tolist()
    removed = set(samples.table.index[samples.table["removed"].notna()])
    # a manifest with a fault cannot be read: those are removed whatever was looked for
    for fault in samples.faults:
        for row in _faulty(samples.table, fault):
            removed.add(row)
            yield row, Reason.UNREADABLE if set(fault_columns(fault)) & PLACE else Reason.BAD_LABEL, fault.what
    faulty = {row for fault in samples.faults for row in fault.rows}
    for kind, reason in REASONS.items():
        if kind in ONLY_IF_ASKED and not labels:
            continue
        for finding in (one for one in findings if one.kind == kind):
            rows = [row for row in finding.rows if row not in removed]
            if kind in ONE_STAYS and rows:
                detail, rows = f"copy of {names[rows[0]]}", rows[1:]
            elif kind == Kind.BROKEN:  # what the table tells has been seen to
                detail, rows = finding.what, [row for row in rows if row not in faulty]
            else:
                detail = finding.what
            removed.update(rows)
            yield from ((row, reason, detail) for row in rows)


def _faulty(table: pd.DataFrame, fault: Fault) -> Iterable[int]:
    columns = fault_columns(fault)
    rows = list(fault.rows)
    if columns not in REPEATED:
        return rows
    return [int(row) for row in np.array(rows)[table.loc[rows, list(columns)].duplicated().to_numpy()]]


def _empty_removed(table: pd.DataFrame, samples: Samples) -> None:
    """Take from removed samples their place in the splits, and the values with which no manifest can be read."""
    removed = table["removed"].notna()
    table.loc[removed, ["group", "split", "fold"]] = None
    plain = pa.Table.from_pandas(table, schema=COLUMNS, preserve_index=False)
    for fault in find_faults(plain, samples.manifest.folder):
        rows = np.array(fault.rows)
        table.loc[rows[removed.to_numpy()[rows]], list(fault_columns(fault))] = None
