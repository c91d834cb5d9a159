"""The search by Ray Tune: trials as actors of a cluster, the worse of them stopped early by ASHA."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import ray
from ray import tune
from ray.tune.error import TuneError
from ray.tune.schedulers import ASHAScheduler

from agelens.data.work import FIRST_ERROR, cluster
from agelens.errors import AgelensError, DataError
from agelens.tuning.book import Status, Trial
from agelens.tuning.candidates import Candidates
from agelens.tuning.work import Work

__all__ = ["Rules", "search"]

DEATHS: Final = 2  # of its process that a trial survives
FIGURE: Final = "figure"  # the best so far
# Of Ray Tune: no files of its own, no reports, Ctrl-C as everywhere else, every epoch judged at once.
SETTINGS: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


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


def search(
    work: Work,
    candidates: Candidates,
    rules: Rules,
    folder: Path,
    *,
    keep: Callable[[Trial], None],
    workers: int | None = None,
    gpu: bool = False,
) -> None:
    """Run trials on a Ray cluster (``RAY_ADDRESS``), or on one started here.

    Args:
        work: of a trial.
        candidates: what the trials try.
        rules: by which they are compared and stopped.
        folder: for what they write while they run; removed.
        keep: called with each trial when it has ended.
        workers: trials at once; None for as many as there are cores, or GPUs.
        gpu: whether they take the cluster's GPUs, where it has some.

    Raises:
        DataError: the cluster failed.
    """
    try:
        with _settings(), TemporaryDirectory() as storage, cluster():
            _tuner(
                work, candidates, rules, folder.absolute(), storage, _Recorder(candidates, rules, keep), workers, gpu
            ).fit()
    except (ray.exceptions.RayError, TuneError, ConnectionError) as error:
        raise DataError(f"Ray failed: {_reason(error)}; what is done is kept, repeat the command to go on") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tuner(
    work: Work,
    candidates: Candidates,
    rules: Rules,
    folder: Path,
    storage: str,
    recorder: tune.Callback,
    workers: int | None,
    gpu: bool,
) -> tune.Tuner:
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    kinds = {"gpu": there["GPU"]} if gpu and there.get("GPU") else {}
    cores = there.get("CPU", 1.0)
    at_once = workers or max(1, int(kinds.get("gpu", cores)))
    share = {name: min(1.0, math.floor(1e4 * count / at_once) / 1e4) for name, count in {"cpu": cores, **kinds}.items()}
    grace = min(rules.grace, rules.epochs)
    return tune.Tuner(
        tune.with_resources(_trainable(work, candidates.parameters, rules, folder), share),
        param_space=candidates.space,
        tune_config=tune.TuneConfig(
            metric=FIGURE,
            mode="min" if rules.less else "max",
            search_alg=candidates.searcher(FIGURE, "min" if rules.less else "max"),
            scheduler=ASHAScheduler("epoch", max_t=rules.epochs, grace_period=grace, reduction_factor=rules.reduction),
            num_samples=candidates.samples,
            max_concurrent_trials=at_once,
            reuse_actors=True,  # a process that is there already has imported and read everything
        ),
        run_config=tune.RunConfig(
            storage_path=storage,
            verbose=0,
            callbacks=[recorder],
            failure_config=tune.FailureConfig(max_failures=DEATHS),
        ),
    )


def _trainable(
    work: Work, parameters: Callable[[Mapping[str, Any]], dict[str, Any]], rules: Rules, folder: Path
) -> Callable[[dict[str, Any]], None]:
    """What Ray Tune calls in a trial's process; an error of the training itself is reported, not raised."""

    def trial(config: dict[str, Any]) -> None:
        started, told = time.monotonic(), _Told(rules)
        place = folder / str(tune.get_context().get_trial_id())
        try:
            work(parameters(config), place, lambda epoch, figures: tune.report(told.epoch(epoch, figures, started)))
            tune.report({**told.last, "whole": True})
        except (AgelensError, RuntimeError, ValueError, OSError, MemoryError) as error:
            tune.report({**told.last, "seconds": time.monotonic() - started, "error": _reason(error)})
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


class _Recorder(tune.Callback):
    """Keeps each trial as soon as it has ended."""

    def __init__(self, candidates: Candidates, rules: Rules, keep: Callable[[Trial], None]) -> None:
        self._candidates = candidates
        self._rules = rules
        self._keep = keep
        self._last: dict[str, Mapping[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles whatever it has, to go on from, which is not how a search goes on here."""
        return {}

    def on_trial_result(
        self, iteration: int, trials: Sequence[Any], trial: Any, result: Mapping[str, Any], **_: Any
    ) -> None:
        self._last[trial.trial_id] = result

    def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
        last = self._last.get(trial.trial_id, {})
        if "error" in last:
            self._end(trial, "failed", last["error"])
        else:
            whole = "whole" in last or last["epoch"] >= self._rules.epochs
            self._end(trial, "finished" if whole else "stopped", None)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
        text = str(trial.get_error())
        died = f"its process died {DEATHS + 1} times, as when memory is short"
        self._end(trial, "lost", died if "ActorDied" in text else _reason(TuneError(text)))

    def _end(self, trial: Any, status: Status, error: str | None) -> None:
        last = self._last.get(trial.trial_id, {})
        self._keep(
            Trial(
                number=self._candidates.number(trial.config),
                parameters=self._candidates.parameters(trial.config),
                status=status,
                epochs=int(last.get("epoch", 0)),
                best=int(last.get("best", 0)),
                figures=dict(last.get("figures", {})),
                seconds=round(float(last.get("seconds", 0.0)), 2),
                error=error,
            )
        )


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Tune's settings, which it takes from the environment."""
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _reason(error: Exception) -> str:
    """An error in one line; of a traceback from another process the error that came first."""
    found = FIRST_ERROR.search(str(error))
    if found:
        return found[0][:300]
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, AgelensError) else f"{type(error).__name__}: {text}"
