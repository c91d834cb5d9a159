"""``agelens train``: a network from a configuration."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agelens.cli.console import note, progress_bar
from agelens.cli.figure_tables import show_figures
from agelens.cli.overrides import parse_overrides
from agelens.cli.vector_training import train_on_vectors
from agelens.embed.config import on_vectors
from agelens.errors import ConfigError
from agelens.evaluate.report import write_report
from agelens.evaluate.reported import reported
from agelens.export import export
from agelens.files import real_path
from agelens.train.config import TrainConfig, changed, read_config
from agelens.train.lr_finder import find_lr, write_sweep
from agelens.train.run import BUNDLE, CONFIG, REPORT, leads, refuse_another_run
from agelens.train.run import train as train_run
from agelens.train.teaching import ANSWERS

__all__ = ["train"]


def train(
    config: Path,
    /,
    *overrides: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    manifest: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    find_rate: Annotated[bool, Parameter("--find-lr", negative="")] = False,
    deterministic: Annotated[bool, Parameter(negative="")] = False,
    export_run: Annotated[bool, Parameter("--export")] = True,
) -> None:
    """Train a network as a configuration says, export it and measure it.

    A configuration with a section mlp trains on vectors, as agelens embed writes them; any other on crops. Any value of
    the configuration can be given here by its key: --optim.lr 3e-4, --head.kind coral, --seed 1, --data.augment strong.
    docs/training.md has all keys, docs/embeddings.md those of vectors.

    Example:  agelens train configs/utkface-mobilenetv2.yaml --out runs/first --optim.epochs 20

    Parameters
    ----------
    config
        A YAML file; see configs/ for a recipe of each kind. Or the folder of a run, to go on with it by --resume.
    out
        Folder of the run; runs/ and the configuration's name by default.
    manifest
        Train on this manifest; the same as --data.manifest.
    resume
        Go on where a run was cut off; its weights end as if it had not been.
    find_rate
        Find the learning rate first, by a sweep, and train with it.
    deterministic
        The same numbers in every run on the same machine; the same as --trainer.deterministic true.
    export_run
        Make bundle.onnx and report/ of the trained network.
    """
    if config.is_dir():
        if not resume:
            raise ConfigError(f"{config}: a folder; go on with its run by --resume, or give a YAML file")
        out, config = out or config, config / CONFIG
    values = parse_overrides(overrides, manifest)
    run = out or Path("runs") / config.stem
    if not resume and real_path(run / CONFIG) == real_path(config):
        raise ConfigError(f"{run}: {config.name} in it would be written anew; choose another --out")
    if not on_vectors(config):
        _train_on_crops(config, values, run, resume, find_rate, deterministic, export_run)
    elif resume or find_rate or deterministic:
        raise ConfigError("--resume, --find-lr and --deterministic are not for vectors, which train in seconds")
    else:
        train_on_vectors(config, values, run, export_run=export_run)


def _train_on_crops(
    config: Path,
    values: dict[str, str],
    run: Path,
    resume: bool,
    find_rate: bool,
    deterministic: bool,
    export_run: bool,
) -> None:
    settings = read_config(config, values | ({"trainer.deterministic": "true"} if deterministic else {}))
    if find_rate:
        settings = _with_found_rate(settings, run, resume)
    with ExitStack() as bars:
        train_run(
            settings,
            run,
            resume=resume,
            progress=sys.stderr.isatty(),
            asking=_bar_while_asking(bars),
            report=_reporter(settings.optim.epochs),
            say=note,
        )
    if export_run and leads():
        _finish(run)
    elif leads():
        note(f"trained; next: agelens export {run}")


def _with_found_rate(settings: TrainConfig, run: Path, resume: bool) -> TrainConfig:
    if resume and not (run / CONFIG).is_file():
        raise ConfigError(f"{run}: holds no run to go on with; start without --resume")
    if resume:  # the rate that was found when the run began
        return changed(settings, optim__lr=read_config(run / CONFIG).optim.lr)
    if settings.trainer.devices * settings.trainer.num_nodes > 1:
        raise ConfigError("--find-lr works in one process; sweep first by agelens find-lr, then give its --optim.lr")
    refuse_another_run(run)
    with progress_bar("sweeping the learning rate") as advance:
        sweep = find_lr(settings, answers=run / ANSWERS, progress=advance)
    write_sweep(sweep, run)
    note(f"learning rate {sweep.suggestion:.2g} found; the sweep is drawn in {run / 'lr.png'}")
    return changed(settings, optim__lr=sweep.suggestion)


def _finish(run: Path) -> None:
    bundle = run / BUNDLE
    with progress_bar("exporting and measuring") as advance:
        exported = export(run, bundle, name=run.resolve().name, progress=advance)
    write_report(
        reported(exported.predictions, exported.card), exported.manifest, str(exported.manifest.folder), run / REPORT
    )
    show_figures(exported.card.figures["val"])
    note(f"wrote {bundle} ({bundle.stat().st_size / 1e6:.1f} MB) and {run / REPORT}")


def _bar_while_asking(bars: ExitStack) -> Callable[[int, int], None]:
    """A bar from the first face that the teachers have seen to the last: training has its own."""
    shown: list[Callable[[int, int], None]] = []

    def advance(done: int, total: int) -> None:
        if not shown:
            shown.append(bars.enter_context(progress_bar("asking the teachers")))
        shown[0](done, total)
        if done == total:
            bars.close()

    return advance


def _reporter(epochs: int) -> Callable[[Mapping[str, float]], None]:
    """Says the figures of each epoch, and how long the rest will take."""
    times: list[tuple[float, float]] = []

    def say(figures: Mapping[str, float]) -> None:
        times.append((time.monotonic(), figures["epoch"]))
        text = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items())
        (start, first), (now, epoch) = times[0], times[-1]
        left = (now - start) / (epoch - first) * (epochs - epoch) / 60 if epoch > first else 0
        note(f"{text}, {left:.0f} min left" if left >= 1 else text)

    return say
