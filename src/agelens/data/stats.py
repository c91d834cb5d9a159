"""What a manifest's samples are: counted by age, gender and whatever else is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from agelens.data.columns import GENDERS, SPLITS
from agelens.data.decades import DECADES, decade_of
from agelens.data.manifest import Manifest
from agelens.data.overview import UNKNOWN, age_text, count_values, describe

__all__ = ["count_samples"]

Counts = dict[str, Any]

QUANTILES: Final = {"min": 0.0, "1%": 0.01, "5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}


def count_samples(manifest: Manifest) -> Counts:
    """Every count and figure of a manifest, JSON-ready; all but ``rows`` and ``removed`` are of the samples kept.

    An age that is known as a band only is counted in ``bands``, and neither in ``ages``, ``decades`` nor ``age``. A
    sample whose gender, race, data set or split is not known is counted as "unknown". Ages are in years.
    """
    table = manifest.table
    kept = table[table["removed"].isna()]
    exact, bands = kept[kept["age"].notna()], kept[kept["age"].isna()]
    return describe(manifest) | {
        "genders": count_values(kept["gender"]),
        "races": count_values(kept["race"]),
        "subjects": len(kept[["dataset", "subject"]].dropna().drop_duplicates()),
        "groups": int(kept["group"].nunique()),
        "exact_ages": len(exact),
        "age_bands": len(bands),
        "age": _age_figures(exact["age"]),
        "ages": _by_year(exact["age"]),
        "decades": _by_gender(
            exact, pd.Series(decade_of(exact["age"].to_numpy()), exact.index).map(DECADES.__getitem__)
        ),
        "bands": _by_gender(bands, _band_names(bands)),
        "parts": dict(_parts(table)),
        "score": _quantiles(kept["score"].dropna()),
    }


def _age_figures(ages: pd.Series[float]) -> dict[str, float] | None:
    if ages.empty:
        return None
    years = ages.astype(np.float64)
    return {name: round(float(getattr(years, name)()), 2) for name in ("mean", "median", "min", "max")}


def _by_year(ages: pd.Series[float]) -> dict[str, int]:
    years, counts = np.unique(np.floor(ages.to_numpy()).astype(int), return_counts=True)
    return {str(year): int(count) for year, count in zip(years, counts, strict=True)}


def _by_gender(rows: pd.DataFrame, names: pd.Series[str]) -> dict[str, dict[str, int]]:
    """All, and those of each gender, by name; the names in the order of the samples' ages."""
    genders = rows["gender"].astype(object).where(rows["gender"].isin(GENDERS), UNKNOWN)
    pairs = Counter(zip(names, genders, strict=True))
    order = names[rows.sort_values(["age", "age_low", "age_high"]).index]
    return {
        name: {"all": sum(counts.values()), **counts}
        for name in dict.fromkeys(order)
        for counts in [{gender: pairs[name, gender] for gender in (*GENDERS, UNKNOWN)}]
    }


def _band_names(bands: pd.DataFrame) -> pd.Series[str]:
    names = [age_text(None, low, high) for low, high in zip(bands["age_low"], bands["age_high"], strict=True)]
    return pd.Series(names, bands.index, dtype=object)


def _parts(table: pd.DataFrame) -> Iterator[tuple[str, dict[str, int]]]:
    """Each data set with its samples in each split, kept and removed."""
    names = table["dataset"].astype(object).where(table["dataset"].notna(), UNKNOWN)
    for name in count_values(names):
        rows = table[names == name]
        kept = rows[rows["removed"].isna()]
        splits = {split: int((kept["split"] == split).sum()) for split in SPLITS}
        yield name, {**splits, "kept": len(kept), "removed": len(rows) - len(kept)}


def _quantiles(scores: pd.Series[float]) -> dict[str, float] | None:
    if scores.empty:
        return None
    return {name: round(float(scores.quantile(share)), 4) for name, share in QUANTILES.items()}
