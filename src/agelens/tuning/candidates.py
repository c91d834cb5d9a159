"""What the trials of a search try: values drawn beforehand, or those that Optuna asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ray import tune
from ray.tune.search import Searcher

from agelens.tuning.book import Trial
from agelens.tuning.config import Range
from agelens.tuning.space import drawn, short

__all__ = ["Candidates", "OptunaCandidates", "RandomCandidates"]

NUMBER = "number"


class Candidates(Protocol):
    """What is tried. Ray Tune makes a plain ``config`` of each trial, which these know to read."""

    @property
    def space(self) -> dict[str, Any]:
        """As Ray Tune wants it."""

    @property
    def samples(self) -> int:
        """How often the whole space is drawn from."""

    def searcher(self, metric: str, mode: str) -> Searcher | None:
        """Who draws; None for Ray Tune itself."""

    def number(self, config: Mapping[str, Any]) -> int:
        """Of a trial that has ended, each asked once."""

    def parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's values, plain, by dotted keys."""


@dataclass(frozen=True, slots=True)
class RandomCandidates:
    """Trials of a random search: the ``numbers`` say what they try."""

    ranges: Mapping[str, Range]
    seed: int
    numbers: Sequence[int]
    samples: int = 1

    @property
    def space(self) -> dict[str, Any]:
        return {NUMBER: tune.grid_search(list(self.numbers))}

    def searcher(self, metric: str, mode: str) -> Searcher | None:
        return None

    def number(self, config: Mapping[str, Any]) -> int:
        return int(config[NUMBER])

    def parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return drawn(self.ranges, self.seed, int(config[NUMBER]))
