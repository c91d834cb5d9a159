"""What a manifest is and holds, in a few plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.data.columns import COLUMNS
from agelens.data.manifest import Manifest

__all__ = ["UNKNOWN", "age_text", "count_folds", "count_values", "describe", "plain_rows"]

UNKNOWN: Final = "unknown"


def describe(manifest: Manifest) -> dict[str, Any]:
    """The crop spec, the embedder of vectors, how many rows were kept and removed, and what those kept are.

    These are counted by data set, split and fold.
    """
    kept = manifest.table[manifest.table["removed"].isna()]
    return {
        "crop": asdict(manifest.crop),
        "embedder": None if manifest.embedder is None else asdict(manifest.embedder),
        "rows": len(manifest.table),
        "kept": len(kept),
        "removed": count_values(manifest.table["removed"].dropna()),
        "datasets": count_values(kept["dataset"]),
        "splits": count_values(kept["split"]),
        "folds": count_folds(kept),
    }


def count_values(values: pd.Series[Any]) -> dict[str, int]:
    """How often each value is there, the most frequent first; nulls are counted as "unknown"."""
    names = values.astype(object).where(values.notna(), UNKNOWN).astype(str)
    counts = Counter(names)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def count_folds(rows: pd.DataFrame) -> dict[str, int]:
    """How many samples each fold has, the first fold first."""
    folds = Counter(rows["fold"].dropna().astype(int))
    return {str(fold): count for fold, count in sorted(folds.items())}


def plain_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a manifest as plain values, JSON-ready, each with its number in the table as ``row``.

    Args:
        rows: some of the table's rows, with its index.
    """
    table = pa.Table.from_pandas(rows, schema=COLUMNS, preserve_index=False)
    numbers = (int(number) for number in rows.index)
    return [{"row": number, **_plain(row)} for number, row in zip(numbers, table.to_pylist(), strict=True)]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [_short(one) for one in cell] if isinstance(cell, list) else _short(cell) for name, cell in row.items()
    }


def _short(value: Any) -> Any:
    """A 32-bit float as it was written: 0.9, not 0.8999999761581421."""
    return float(str(np.float32(value))) if isinstance(value, float) else value


def age_text(age: float | None, low: float | None, high: float | None) -> str:
    """An age as people write it: "34", "34.5", the band "25-32", or nothing where neither is known."""
    if age is not None and not np.isnan(age):
        return f"{age:.4g}"
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return ""
    return f"{low:.4g}-{high:.4g}"
