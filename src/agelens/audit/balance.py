"""Ages and genders of which there are few, and splits that differ in age."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd

from agelens.audit.findings import Finding, Kind
from agelens.data.columns import GENDERS
from agelens.data.decades import DECADES, decade_of
from agelens.data.grouping import middle_age

__all__ = ["find_imbalance"]

# A decade with fewer is not learnt: at 10,000 samples, a hundred.
LEAST_DECADE: Final = 0.01
MOST_RATIO: Final = 20.0
LEAST_GENDER: Final = 0.3
# Total variation, 0…1: the share of one split that would have to get another decade to be as the other.
MOST_VARIATION: Final = 0.1


def find_imbalance(kept: pd.DataFrame) -> Iterator[Finding]:
    """Decades and genders that are rare, and splits whose ages differ; each finding is of the whole data set.

    Args:
        kept: the samples that were not removed.
    """
    ages = middle_age(kept)
    sound = np.isfinite(ages) & (ages >= 0)
    names = np.array(DECADES)[decade_of(ages[sound])]
    decades = pd.Series(names, index=kept.index[sound], dtype="str")
    yield from _rare_decades(decades, kept["gender"][sound])
    yield from _rare_gender(kept["gender"])
    yield from _unlike_splits(decades, kept["split"][sound])


def _rare_decades(decades: pd.Series[str], genders: pd.Series[str]) -> Iterator[Finding]:
    counts = decades.value_counts()
    if counts.empty:
        return
    share, ratio = counts.min() / counts.sum(), counts.max() / counts.min()
    if share < LEAST_DECADE or ratio > MOST_RATIO:
        what = (
            f"age {counts.idxmin()}: {counts.min():,} ({share:.1%}); "
            f"age {counts.idxmax()}: {counts.max():,}, {ratio:.0f} times as many"
        )
        yield Finding(Kind.IMBALANCE, (), what, float(ratio), {"table": _table(decades, genders, GENDERS)})


def _rare_gender(genders: pd.Series[str]) -> Iterator[Finding]:
    counts = {gender: int((genders == gender).sum()) for gender in GENDERS}
    known = sum(counts.values())
    rarer = min(counts, key=lambda gender: counts[gender])
    if known and counts[rarer] < LEAST_GENDER * known:
        share = counts[rarer] / known
        what = f"{rarer}: {counts[rarer]:,} ({share:.1%}) of {known:,}"
        yield Finding(Kind.IMBALANCE, (), what, 1 - share, {"table": {"all": counts}})


def _unlike_splits(decades: pd.Series[str], splits: pd.Series[str]) -> Iterator[Finding]:
    names = list(splits.dropna().unique())
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            shares = [decades[splits == name].value_counts(normalize=True) for name in (one, other)]
            variation = float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)
            if variation > MOST_VARIATION:
                what = f"splits {one} and {other} differ in age: {variation:.0%} of one would need another decade"
                details = {"table": _table(decades, splits, (one, other))}
                yield Finding(Kind.IMBALANCE, (), what, variation, details)


def _table(decades: pd.Series[str], groups: pd.Series[str], names: tuple[str, ...]) -> Mapping[str, Mapping[str, int]]:
    """How many of each decade and group: decade → group → count."""
    counts = pd.crosstab(decades, groups.to_numpy()).reindex(columns=list(names), fill_value=0)
    return {str(decade): {str(name): int(row[name]) for name in names} for decade, row in counts.iterrows()}
