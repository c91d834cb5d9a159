"""A search from its configuration to the best values; see ``book`` for what lies in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pandas as pd

from agelens.data.manifest import read_manifest
from agelens.embed.checks import fingerprint
from agelens.embed.config import MlpConfig
from agelens.errors import ConfigError, MissingExtraError
from agelens.files import write_text
from agelens.train.reading import dotted, write_config
from agelens.tuning.book import Trial, TrialBook
from agelens.tuning.config import Tuning
from agelens.tuning.picture import draw_trials
from agelens.tuning.space import applied, check_space, own_values
from agelens.tuning.trial import Rules
from agelens.tuning.work import check_work, work_of

__all__ = ["BEST", "PICTURE", "RESULT", "TABLE", "tune"]

BEST: Final = "best.yaml"
RESULT: Final = "trials.json"
TABLE: Final = "trials.csv"
PICTURE: Final = "trials.png"
RUNNING: Final = "running"  # what trials write while they run

Progress = Callable[[int, int], None]


def tune(
    tuning: Tuning,
    out: Path,
    *,
    workers: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Search for the best values of a configuration.

    Called again after it was cut off, or with more trials, it goes on with those that are missing.

    Args:
        tuning: what is searched, and how.
        out: the folder of the results, see ``book``.
        workers: trials at once; None for as many as there are cores, or GPUs.
        progress: called with the number of trials done and their total.

    Returns:
        What ``trials.json`` holds: "best", the number of the best trial, "metric", "stopped" and "failed", how many did
        so, "seconds" of all together, and "trials", as ``book.Trial``, each with its number.

    Raises:
        ConfigError: a key or value of the space is wrong, the configuration does not fit the machine, or every trial
            failed.
        DataError: the manifest is not what the configuration wants, or the cluster failed.
        OutputError: ``out`` cannot be written, or holds another search.
        MissingExtraError: Ray Tune, or Optuna where it is wanted, is not installed.
    """
    config, section = tuning
    _check_installed(section.search)
    check_space(config, section.space)
    check_work(config)
    manifest = read_manifest(config.data.manifest)
    search = dotted({"tune": section.model_dump(mode="json", exclude={"trials"}, exclude_none=True)})
    asked = {**search, "faces": fingerprint(manifest.split("all"), manifest)}
    with closing(TrialBook(out, config, asked)) as book:
        if book.missing(section.trials):
            _run(tuning, book, workers, progress)
        return _finish(tuning, book)


def _check_installed(search: str) -> None:
    """See that what a search needs can be imported, before any work."""
    try:
        import ray.tune  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("tune", error.name or "ray[tune]") from error
    if search == "optuna":
        try:
            import optuna  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("optuna", "optuna") from error


def _run(tuning: Tuning, book: TrialBook, workers: int | None, progress: Progress) -> None:
    from agelens.tuning.search import search  # Ray is an extra

    config, section = tuning

    def keep(trial: Trial) -> None:
        book.add(trial)
        progress(section.trials - len(book.missing(section.trials)), section.trials)

    progress(len(book.done(section.trials)), section.trials)
    search(
        work_of(config),
        _candidates(tuning, book),
        Rules(tuning.metric, tuning.less_is_better, _most_epochs(tuning), section.grace, section.reduction),
        book.folder / RUNNING,
        keep=keep,
        workers=workers,
        gpu=not isinstance(config, MlpConfig) and config.trainer.accelerator != "cpu",
    )


def _candidates(tuning: Tuning, book: TrialBook) -> Any:
    from agelens.tuning.candidates import RandomCandidates

    section = tuning.section
    numbers, own = book.missing(section.trials), own_values(tuning.config, section.space)
    if section.search == "random":
        return RandomCandidates(section.space, section.seed, numbers, own)
    from agelens.tuning.optuna_candidates import OptunaCandidates

    return OptunaCandidates(section.space, section.seed, numbers, book.done(section.trials), tuning.metric, own)


def _most_epochs(tuning: Tuning) -> int:
    epochs = tuning.section.space.get("optim.epochs")
    return max(map(int, epochs.ends)) if epochs is not None else tuning.config.optim.epochs


def _finish(tuning: Tuning, book: TrialBook) -> dict[str, Any]:
    """Write what came of a search."""
    metric, trials = tuning.metric, [one for _, one in sorted(book.trials.items())]
    known = [one for one in trials if math.isfinite(one.figures.get(metric, math.nan)) and one.error is None]
    if not known:
        raise ConfigError(
            f"{book.folder}: every trial failed ({len(trials)}); the first: {trials[0].error}; "
            "remove the folder to try the same values again"
        )
    best = min(known, key=lambda one: one.figures[metric] * (1 if tuning.less_is_better else -1))
    result = {
        "best": best.number,
        "metric": metric,
        "stopped": sum(one.status == "stopped" for one in trials),
        "failed": sum(one.error is not None for one in trials),
        "seconds": round(sum(one.seconds for one in trials), 1),
        "tune": tuning.section.model_dump(mode="json", exclude_none=True),
        "trials": [one.plain for one in trials],
    }
    write_text(book.folder / RESULT, json.dumps(result, indent=1, allow_nan=False) + "\n")
    write_text(book.folder / TABLE, pd.DataFrame(_rows(trials)).to_csv(index=False))
    draw_trials(known, best, metric, tuning.section.space, book.folder / PICTURE)
    write_config(applied(tuning.config, best.parameters), book.folder / BEST)
    return result


def _rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    return [
        {
            "trial": one.number,
            "status": one.status,
            **one.parameters,
            "epochs": one.epochs,
            "best_epoch": one.best,
            **one.figures,
            "seconds": one.seconds,
            "error": one.error,
        }
        for one in trials
    ]
