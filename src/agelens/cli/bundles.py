"""What the commands that write bundles share."""

from __future__ import annotations

from pathlib import Path

from agelens.cli.console import note
from agelens.errors import OutputError
from agelens.files import check_file
from agelens.finishing import Finished

__all__ = ["check_target", "tell_written"]


def check_target(target: Path) -> None:
    """See that a bundle can be written there.

    Raises:
        OutputError: it cannot, or its name is no bundle's.
    """
    if target.suffix != ".onnx":
        raise OutputError(f"{target}: a bundle's name ends in .onnx")
    check_file(target)


def tell_written(finished: Finished, target: Path) -> None:
    """Say what was written, and how good it is."""
    if finished.moved:
        note(f"weights in fewer bits move the age by {finished.moved:.3f} years on average")
    overall = finished.card.figures["val"]["all"]
    error = (
        f"MAE {overall['mae']:.2f} years" if overall["mae"] is not None else f"{overall['band_accuracy']:.1%} in band"
    )
    note(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB): validation {error}")
