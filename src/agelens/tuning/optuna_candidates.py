"""What Optuna wants tried next, from what is known of the trials before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from ray import tune
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from agelens.tuning.book import Trial
from agelens.tuning.config import Range
from agelens.tuning.space import short

__all__ = ["OptunaCandidates"]


class OptunaCandidates:
    """Those of Optuna's sampler, which is a tree-structured Parzen estimator."""

    def __init__(
        self,
        ranges: Mapping[str, Range],
        seed: int,
        numbers: Sequence[int],
        done: Sequence[Trial],
        metric: str,
        own: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            ranges: by dotted keys.
            seed: of the sampler.
            numbers: of the trials that are to be run, given to them as they end.
            done: those that the sampler learns from first.
            metric: by which trials are compared.
            own: values that are tried first where nothing is known.
        """
        self._ranges = ranges
        self._seed = seed
        self._numbers = list(numbers)
        self._known = [one for one in done if math.isfinite(one.figures.get(metric, math.nan))]
        self._metric = metric
        self._own = own
        self.space: dict[str, Any] = {}
        self.samples = len(numbers)

    def searcher(self, metric: str, mode: str) -> Searcher | None:
        """Ray Tune's door to Optuna."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        first = [self._own] if self._own is not None and not self._known else []
        return OptunaSearch(
            OptunaSearch.convert_search_space({key: _domain(one) for key, one in self._ranges.items()}),
            metric=metric,
            mode=mode,
            seed=self._seed + len(self._known),  # going on, it would begin with the same values again
            points_to_evaluate=[self._point(one) for one in [*first, *(known.parameters for known in self._known)]],
            evaluated_rewards=[one.figures[self._metric] for one in self._known] or None,
        )

    def number(self, config: Mapping[str, Any]) -> int:
        """The next one; 0 is kept for the trial with the configuration's own values."""
        others = len(self._numbers) > 1 and self._numbers[0] == 0 and self._own is not None
        return self._numbers.pop(1 if others and self.parameters(config) != self._own else 0)

    def parameters(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Choices by their places, numbers in four digits."""
        return {key: _plain(config[key], one) for key, one in self._ranges.items()}

    def _point(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: parameters[key] if one.choice is None else list(one.choice).index(parameters[key])
            for key, one in self._ranges.items()
        }


def _domain(one: Range) -> Any:
    """As Ray Tune names it; of choices their places, for Optuna takes no lists."""
    if one.choice is not None:
        return tune.choice(list(range(len(one.choice))))
    low, high = one.ends
    if one.integer is not None:
        return tune.randint(low, high + 1)
    return tune.loguniform(low, high) if one.log is not None else tune.uniform(low, high)


def _plain(value: Any, one: Range) -> Any:
    if one.choice is not None:
        return one.choice[int(value)]
    return int(value) if one.integer is not None else short(float(value), one)
