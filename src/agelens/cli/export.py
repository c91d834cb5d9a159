"""``agelens export``: a run to a bundle."""

from __future__ import annotations

from pathlib import Path

from agelens.cli.console import note
from agelens.export import export as export_run

__all__ = ["export"]


def export(
    run: Path,
    /,
    *,
    out: Path | None = None,
    name: str | None = None,
    terms: str = "",
    flip: bool = True,
) -> None:
    """Make a bundle of a run's best weights, calibrated and measured on the validation split.

    Refused when the bundle and the trained network disagree by more than 0.001 years on real crops.

    Example:  agelens export runs/first --out first.onnx

    Parameters
    ----------
    run
        The folder of a run.
    out
        The bundle to write; bundle.onnx in the run's folder by default.
    name
        Of the model, for its card; the folder's name by default.
    terms
        Under which the model may be used, for its card.
    flip
        Average each face with its mirror image: more accurate, twice the network's time.
    """
    target = out or run / "bundle.onnx"
    card = export_run(run, target, name=name or run.resolve().name, terms=terms, flip=flip)
    overall = card.figures["val"]["all"]
    note(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB): validation MAE {overall['mae']:.2f} years")
