"""What Ray Tune calls in a trial's process, and what it is told there."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agelens.data.work import FIRST_ERROR
from agelens.errors import AgelensError, ConfigError, ExportError

__all__ = ["FIGURE", "LOST", "Report", "Rules", "Work", "reason", "trainable"]

FIGURE: Final = "figure"  # the best so far
LOST: Final = "lost"
# Takes the number of an epoch, from 1 on, and the figures of its validation faces.
Report = Callable[[int, Mapping[str, float]], None]
# Takes a trial's values, a path for what it writes, which is its own, and what it reports to.
Work = Callable[[Mapping[str, Any], Path, Report], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How trials are compared.

    Attributes:
        metric: by which figure.
        less: whether the lowest is the best.
        epochs: of a whole trial.
        grace: epochs that every trial gets.
        reduction: of so many trials that have come as far, one goes on.
    """

    metric: str
    less: bool
    epochs: int
    grace: int
    reduction: int


def trainable(
    work: Work, parameters: Callable[[Mapping[str, Any]], dict[str, Any]], rules: Rules, folder: Path
) -> Callable[[dict[str, Any]], None]:
    """A function for Ray Tune; an error of the training itself is reported, not raised.

    Args:
        work: of a trial.
        parameters: reads a trial's values from its configuration.
        rules: by which trials are compared.
        folder: for what they write, each in a folder of its own.
    """
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        started, told = time.monotonic(), _Told(rules)
        place = folder / str(tune.get_context().get_trial_id())
        shutil.rmtree(place, ignore_errors=True)  # of a process that died
        try:
            work(parameters(config), place, lambda epoch, figures: tune.report(told.epoch(epoch, figures, started)))
            tune.report({**told.last, "whole": True})
        except (ConfigError, ExportError, RuntimeError, ValueError) as error:
            tune.report({**told.last, "seconds": time.monotonic() - started, "error": reason(error)})
        except (AgelensError, OSError, MemoryError) as error:  # not for its values: it may go well another time
            tune.report({**told.last, "seconds": time.monotonic() - started, "error": reason(error), LOST: True})
        finally:
            shutil.rmtree(place, ignore_errors=True)

    return trial


class _Told:
    """The figures of a trial so far."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.last: dict[str, Any] = {"epoch": 0, "best": 0, FIGURE: math.nan, "figures": {}, "seconds": 0.0}

    def epoch(self, epoch: int, figures: Mapping[str, float], started: float) -> dict[str, Any]:
        value, best = float(figures[self._rules.metric]), self.last[FIGURE]
        self.last |= {"epoch": epoch, "seconds": time.monotonic() - started}
        if math.isnan(best) or (value < best if self._rules.less else value > best):
            plain = {name: float(f"{one:.6g}") for name, one in figures.items()}
            self.last |= {"best": epoch, FIGURE: value, "figures": plain}
        return dict(self.last)


def reason(error: Exception) -> str:
    """An error in one line; of a traceback from another process the error that came first."""
    found = FIRST_ERROR.search(str(error))
    if found:
        return found[0][:300]
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AgelensError) else f"{type(error).__name__}: {text}"
