"""What the trials of a search try: values drawn beforehand, or, one after another, those that Optuna asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ray import tune
from ray.tune.search import Searcher

from agelens.tuning.config import Range
from agelens.tuning.space import drawn

__all__ = ["Candidates", "RandomCandidates"]

NUMBER: Final = "number"


class Candidates(Protocol):
    """What is tried; Ray Tune makes a plain ``config`` of each trial, which these know to read."""

    @property
    def space(self) -> dict[str, Any]:
        """As Ray Tune wants it."""

    @property
    def samples(self) -> int:
        """How often the space is drawn from."""

    def searcher(self, metric: str, mode: str) -> Searcher | None:
        """Who draws, to make ``metric`` the least ("min") or the most ("max"); None for Ray Tune itself."""

    def number(self, config: Mapping[str, Any]) -> int:
        """Of a trial that has ended; asked once for each."""

    def parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A trial's values, plain, by dotted keys."""


@dataclass(frozen=True, slots=True)
class RandomCandidates:
    """Those of a random search, whose trials have ``numbers``; ``own`` values, where there are any, are number 0's."""

    ranges: Mapping[str, Range]
    seed: int
    numbers: Sequence[int]
    own: Mapping[str, Any] | None = None

    @property
    def space(self) -> dict[str, Any]:
        """The numbers."""
        return {NUMBER: tune.grid_search(list(self.numbers))}

    @property
    def samples(self) -> int:
        """Each number once."""
        return 1

    def searcher(self, metric: str, mode: str) -> Searcher | None:
        """Nobody: all is drawn."""
        return None

    def number(self, config: Mapping[str, Any]) -> int:
        """As it was given."""
        return int(config[NUMBER])

    def parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What is drawn for its number."""
        number = self.number(config)
        return drawn(self.ranges, self.seed, number) if number or self.own is None else dict(self.own)
