"""The search by Ray Tune: trials as actors of a cluster, the worse of them stopped early by ASHA."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import ray
from ray import tune
from ray.tune.error import TuneError
from ray.tune.schedulers import ASHAScheduler

from agelens.data.work import FIRST_ERROR, cluster
from agelens.errors import DataError
from agelens.tuning.book import Status, Trial
from agelens.tuning.candidates import Candidates
from agelens.tuning.trial import FIGURE, LOST, Rules, Work, reason, trainable

__all__ = ["search"]

DEATHS: Final = 2  # of its process that a trial survives
# Of Ray Tune: no files of its own, no reports, Ctrl-C as everywhere else, every epoch judged at once.
SETTINGS: Final = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


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
        raise DataError(f"Ray failed: {reason(error)}; what is done is kept, repeat the command to go on") from error
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
        tune.with_resources(trainable(work, candidates.parameters, rules, folder), share),
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
            self._end(trial, "lost" if LOST in last else "failed", last["error"])
        else:
            whole = "whole" in last or last["epoch"] >= self._rules.epochs
            self._end(trial, "finished" if whole else "stopped", None)

    def on_trial_error(self, iteration: int, trials: Sequence[Any], trial: Any, **_: Any) -> None:
        found = FIRST_ERROR.search(Path(trial.error_file).read_text(encoding="utf-8", errors="replace"))
        died = f"its process died {DEATHS + 1} times, as when memory is short"
        self._end(trial, "lost", found[0][:300] if found else died)

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
