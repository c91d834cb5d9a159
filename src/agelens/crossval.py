"""What cross-validations have in common: the runs of every fold and seed, kept as they come, and their mean and spread.

A cross-validation's folder holds

    config.yaml      what was asked for
    runs.jsonl       what it depends on, and a line for each run: variant, fold, seed, figures of train, val and test
    crossval.json    the same with mean and standard deviation over the runs
    crossval.csv     a row for each run and part
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from agelens.data.journal import Journal, check_own_folder
from agelens.files import make_folder, write_text
from agelens.train.reading import dotted, write_config
from agelens.train.section import Section

__all__ = ["PARTS", "PRETRAINED", "SCRATCH", "CrossvalPlan", "Run", "RunBook", "summary"]

PARTS: Final = ("train", "val", "test")
RUNS: Final = "runs.jsonl"
CONFIG: Final = "config.yaml"

Figures = Mapping[str, float]
SCRATCH: Final = "from scratch"
PRETRAINED: Final = "pre-trained"


class CrossvalPlan(NamedTuple):
    """Of a cross-validation.

    Attributes:
        folds: so many new ones; None for the manifest's own.
        seeds: trainings of each fold, with the seeds from 0 on.
        val_share: of the faces that are not held back, by which the epoch is chosen.
        together: members of a stack at most; they come out the same, but for the rounding of sums.
    """

    folds: int | None = None
    seeds: int = 5
    val_share: float = 0.1
    together: int = 25


@dataclass(frozen=True, slots=True)
class Run:
    """One training of a cross-validation, and how well it did.

    Attributes:
        variant: ``SCRATCH`` or ``PRETRAINED``.
        fold: that was held back for the test.
        seed: of its weights and its order.
        figures: by part of ``PARTS``, each by name; NaN for what no face can tell.
    """

    variant: str
    fold: int
    seed: int
    figures: Mapping[str, Figures]


class RunBook:
    """The folder of a cross-validation: which runs are done, and where more go. Keeps other processes out."""

    def __init__(self, folder: Path, config: Section, asked: Mapping[str, Any]) -> None:
        """Begin one, or go on with one that was begun with the same configuration.

        Args:
            folder: made where it is missing.
            config: of the trainings.
            asked: what else the runs depend on, plain values.

        Raises:
            OutputError: it cannot be written in, another process is at it, or it holds one of another configuration.
        """
        self.folder = make_folder(folder)
        check_own_folder(folder, RUNS, CONFIG, "a cross-validation")
        self._config = config.model_dump(mode="json")
        self._journal = Journal(folder / RUNS, {**dotted(self._config), **asked}, "a cross-validation", costly=True)
        write_config(config, folder / CONFIG)
        self.runs = self._journal.read(_run)

    def close(self) -> None:
        """Let others in."""
        self._journal.close()

    def missing(self, variant: str, places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The folds and seeds of a variant that are still to be done."""
        done = {(one.fold, one.seed) for one in self.runs if one.variant == variant}
        return [place for place in places if place not in done]

    def add(self, run: Run) -> None:
        """Keep a run.

        Raises:
            OutputError: it cannot be written.
        """
        self.runs.append(run)
        self._journal.append(_plain(asdict(run)))

    def finish(self) -> dict[str, Any]:
        """Write ``crossval.json`` and ``.csv``, and give what the former holds.

        Raises:
            OutputError: they cannot be written.
        """
        runs = [_plain(asdict(one)) for one in self.runs]
        result = {"config": self._config, "runs": runs, "summary": summary(self.runs)}
        write_text(self.folder / "crossval.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
        rows = [
            {"variant": one.variant, "fold": one.fold, "seed": one.seed, "part": part, **one.figures[part]}
            for one in self.runs
            for part in PARTS
        ]
        write_text(self.folder / "crossval.csv", pd.DataFrame(rows).to_csv(index=False))
        return result


def summary(runs: Sequence[Run]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """By variant, part and figure: ``mean`` and ``std`` (with n - 1) over the ``runs`` that can tell it."""
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for variant in dict.fromkeys(one.variant for one in runs):
        mine = [one for one in runs if one.variant == variant]
        for part in PARTS:
            for name in mine[0].figures[part]:
                values = np.array([one.figures[part][name] for one in mine])
                values = values[~np.isnan(values)]
                if len(values):
                    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
                    told = {"mean": float(values.mean()), "std": spread, "runs": len(values)}
                    found.setdefault(variant, {}).setdefault(part, {})[name] = told
    return found


def _run(row: Mapping[str, Any]) -> Run:
    figures = {part: {name: _number(value) for name, value in row["figures"][part].items()} for part in PARTS}
    return Run(str(row["variant"]), int(row["fold"]), int(row["seed"]), figures)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _plain(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
