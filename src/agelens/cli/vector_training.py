"""What the commands do with trainings on vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agelens.cli.bundles import tell_written
from agelens.cli.console import note, progress_bar
from agelens.cli.figure_tables import show_figures
from agelens.data.manifest import read_manifest
from agelens.embed.config import MlpConfig
from agelens.embed.export import export_mlp
from agelens.embed.run import load_trained_mlp, train_mlp
from agelens.evaluate.report import write_report
from agelens.evaluate.reported import reported
from agelens.train.reading import read_as
from agelens.train.run import BUNDLE, REPORT

__all__ = ["export_vector_run", "named_bars", "train_on_vectors"]


def train_on_vectors(path: Path, overrides: Mapping[str, str], run: Path, *, export_run: bool) -> None:
    """Train, and where wanted export, measure and report, as ``agelens train`` does for crops."""
    config = read_as(MlpConfig, path, overrides)
    with named_bars() as progress:
        fitted = train_mlp(config, run, progress=progress)
    best = fitted.figures[fitted.best]
    told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in best.items())
    note(f"epoch {fitted.best + 1} of {len(fitted.figures)} is the best: {told}")
    if not export_run or config.head is None:
        why = "" if config.head is not None else " (a bundle tells ages, and this network learnt gender alone)"
        note(f"trained; its weights are in {run}{why}")
        return
    export_vector_run(run, run / BUNDLE, name=run.resolve().name, report=run / REPORT)


def export_vector_run(
    run: Path,
    target: Path,
    *,
    name: str,
    terms: str = "",
    manifest_path: Path | None = None,
    report: Path | None = None,
) -> None:
    """Make a bundle of a run on vectors, and where wanted a report of its validation faces."""
    trained = load_trained_mlp(run)
    manifest = read_manifest(manifest_path or trained.config.data.manifest)
    with progress_bar("exporting and measuring") as advance:
        done = export_mlp(trained, manifest, target, name=name, terms=terms, progress=advance)
    if report is not None:
        write_report(reported(done.predictions, done.card), manifest, str(manifest.folder), report)
        show_figures(done.card.figures["val"])
    tell_written(done, target)


@contextmanager
def named_bars() -> Iterator[Callable[[str, int, int], None]]:
    """One progress bar after another: a new one for each name of what is being done."""
    with ExitStack() as bars:
        shown: dict[str, Callable[[int, int], None]] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in shown:
                bars.close()
                shown[what] = bars.enter_context(progress_bar(what))
            shown[what](done, total)

        yield advance
