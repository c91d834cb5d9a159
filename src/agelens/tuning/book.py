"""The trials of a search, kept as they come.

A search's folder holds

    config.yaml      what was asked for, without the search
    trials.jsonl     what it depends on, by which a repeat is known, and a line for each trial that is done
    trials.json      the same with the best of them
    trials.csv       a row for each trial
    trials.png       the figure against each of the values
    best.yaml        the best trial's configuration, for ``agelens train``
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from agelens.data.journal import Journal, check_own_folder
from agelens.files import make_folder
from agelens.train.reading import dotted, write_config
from agelens.train.section import Section

__all__ = ["Status", "Trial", "TrialBook"]

TRIALS: Final = "trials.jsonl"
CONFIG: Final = "config.yaml"
# "stopped" before its last epoch; "failed" by an error of its own; "lost" with its process.
Status = Literal["finished", "stopped", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a search.

    Attributes:
        number: from 0 on.
        parameters: dotted keys to plain values.
        status: how it ended.
        epochs: that it went through.
        best: the epoch whose figures stand here, from 1 on; 0 where there is none.
        figures: of the validation faces, by name; NaN for what no face can tell.
        seconds: that it took.
        error: why it failed.
    """

    number: int
    parameters: Mapping[str, Any]
    status: Status
    epochs: int
    best: int
    figures: Mapping[str, float]
    seconds: float
    error: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it, which knows no NaN."""
        figures = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        return {**asdict(self), "figures": figures}


class TrialBook:
    """The folder of a search: which trials are done, and where more go. Keeps other processes out."""

    def __init__(self, folder: Path, config: Section, asked: Mapping[str, Any]) -> None:
        """Begin one, or go on with one that was begun with the same configuration.

        Args:
            folder: made where it is missing.
            config: of the trainings.
            asked: what else the trials depend on, plain values.

        Raises:
            OutputError: it cannot be written in, another process is at it, or it holds one of another configuration.
        """
        self.folder = make_folder(folder)
        check_own_folder(folder, TRIALS, CONFIG, "a search")
        settings = {**dotted(config.model_dump(mode="json")), **asked}
        self._journal = Journal(folder / TRIALS, settings, "a search", costly=True)
        write_config(config, folder / CONFIG)
        self.trials = {one.number: one for one in self._journal.read(_trial)}  # the last of a number

    def close(self) -> None:
        """Let others in."""
        self._journal.close()

    def done(self, trials: int) -> list[Trial]:
        """Those of the first ``trials`` that are done, in their order; one that its process took along is not."""
        return [one for number, one in sorted(self.trials.items()) if number < trials and one.status != "lost"]

    def missing(self, trials: int) -> list[int]:
        """The numbers of the others."""
        return sorted(set(range(trials)) - {one.number for one in self.done(trials)})

    def add(self, trial: Trial) -> None:
        """Keep a trial.

        Raises:
            OutputError: it cannot be written.
        """
        self.trials[trial.number] = trial
        self._journal.append(trial.plain)


def _trial(row: Mapping[str, Any]) -> Trial:
    figures = {name: math.nan if value is None else float(value) for name, value in row["figures"].items()}
    return Trial(**{**row, "figures": figures})
