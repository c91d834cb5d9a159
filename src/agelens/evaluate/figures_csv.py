"""Figures as one flat table, for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

__all__ = ["figures_table"]

# The curve is in the JSON only; the other is a column for each age, and none where it is not known.
NESTED: Final = ("cs", "at_least")


def figures_table(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """A row for each group of each model on each data set.

    Args:
        measured: what ``figures`` gives, by data set and model.

    Returns:
        Columns "manifest", "model", "kind" ("all", "decade", "gender", …), "group", and the figures by their names; the
        ends of 95 % intervals are "mae_low", "mae_high" and so on, of probabilities "at_least_18_brier" and so on.
    """
    rows = []
    for manifest, models in measured.items():
        for model, one in models.items():
            kinds = {"all": {"all": one["all"]}, "decade": one["decades"], **one["groups"]}
            for kind, groups in kinds.items():
                for group, figures in groups.items():
                    known = {"manifest": manifest, "model": model, "kind": kind, "group": group}
                    rows.append({**known, **dict(_flat(figures))})
    return pd.DataFrame(rows)


def _flat(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in figures.items():
        if name == "uncertainty":
            for figure, (low, high) in value.items():
                yield f"{figure}_low", low
                yield f"{figure}_high", high
        elif isinstance(value, dict):
            for age, scores in value.items():
                for score, number in scores.items():
                    yield f"{name}_{age}_{score}", number
        elif name not in NESTED:
            yield name, value
