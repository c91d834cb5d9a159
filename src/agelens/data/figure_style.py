"""How figures look: light, quiet, the same whatever settings a user has for matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from agelens.files import atomic_path

__all__ = ["COLOURS", "DOTS", "QUIET", "light_figure", "png_bytes", "save_png"]

INK: Final = "#22262e"
QUIET: Final = "#6b7280"
FAINT: Final = "#e4e7ec"
# Told apart by readers who see few colours, and in print without any, by their lightness.
COLOURS: Final = ("#2a6f97", "#f2a65a", "#b9c0ca", "#7fb7a4")

DOTS: Final = 160  # an inch
SETTINGS: Final[Mapping[str, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a name with dollars is a name
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "axes.labelsize": 9,
    "axes.labelpad": 8,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


@contextmanager
def light_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, ``width`` x ``height`` inches, of 160 dots each."""
    with style.context(["default", dict(SETTINGS)]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # names are in any script
        figure = Figure(figsize=(width, height), dpi=DOTS, facecolor="white")
        FigureCanvasAgg(figure)
        yield figure


def png_bytes(figure: Figure) -> bytes:
    """A figure as a PNG in memory, within the block of ``light_figure``."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, within the block of ``light_figure``.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
