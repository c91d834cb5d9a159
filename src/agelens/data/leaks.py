"""Pictures and people that lie in more than one split."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from agelens.data.columns import SPLITS

__all__ = ["Leak", "count_leaks"]


@dataclass(frozen=True, slots=True)
class Leak:
    """Groups that reach from one split, of one data set, into another.

    Attributes:
        source: data set and split, as ("utkface", "train").
        target: data set and split that is held back from it, as ("fairface", "val").
        groups: pictures or people that are in both.
        samples: how many of the target's samples are in these groups.
    """

    source: tuple[str, str]
    target: tuple[str, str]
    groups: int
    samples: int

    def __str__(self) -> str:
        groups = "1 group" if self.groups == 1 else f"{self.groups} groups"
        samples = "1 sample" if self.samples == 1 else f"{self.samples} samples"
        return f"{' '.join(self.source)} → {' '.join(self.target)}: {groups}, {samples}"


def count_leaks(table: pd.DataFrame) -> list[Leak]:
    """Every way in which groups reach from one split into another, most groups first.

    Args:
        table: samples with ``group``, ``split``, ``dataset`` and ``removed``.
    """
    kept = table[table["removed"].isna() & table["split"].isin(SPLITS)].fillna({"dataset": "unknown"})
    parts = kept.groupby(["group", "dataset", "split"], sort=False).size().rename("samples").reset_index()
    parts["rank"] = parts["split"].map(SPLITS.index)
    pairs = parts.merge(parts, on="group", suffixes=("_from", "_to"))
    pairs = pairs[pairs["rank_from"] < pairs["rank_to"]]
    ways = pairs.groupby(["dataset_from", "split_from", "dataset_to", "split_to"])["samples_to"].agg(["size", "sum"])
    leaks = [Leak(way[:2], way[2:], int(groups), int(samples)) for way, groups, samples in ways.itertuples()]
    return sorted(leaks, key=lambda leak: (-leak.groups, leak.source, leak.target))
