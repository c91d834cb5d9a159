"""A picture of what each challenge age costs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.ticker import PercentFormatter

from agelens.data.figure_style import COLOURS, QUIET, light_figure, save_png
from agelens.evaluate.thresholds import Sides, threshold_curve

__all__ = ["draw_threshold"]

SPAN: Final = 25  # years beyond the legal age
NAMES: Final = ("below age, passed", "of age, asked for a proof")


def draw_threshold(faces: Sides, challenge: float, path: Path) -> None:
    """Draw both rates over the challenge age, with one of them marked, as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    last = max(faces.legal + SPAN, int(np.ceil(challenge)) + 3)
    challenges = np.arange(max(0, faces.legal - 8), last + 0.05, 0.1)
    shares = threshold_curve(faces, challenges)
    with light_figure(6.4, 3.8) as figure:
        axes = figure.add_subplot()
        for place, (name, colour) in enumerate(zip(NAMES, (COLOURS[1], COLOURS[0]), strict=True)):
            axes.plot(challenges, shares[:, place], color=colour, label=name)
        axes.axvline(challenge, color=QUIET, linewidth=0.8, linestyle="--")
        axes.annotate(
            f"challenge age {challenge:.1f}",
            (challenge, 0.97),
            xytext=(4, 0),
            textcoords="offset points",
            color=QUIET,
            va="top",
        )
        axes.set_xlabel("challenge age, years of estimated age")
        axes.set_ylabel("share of their faces")
        axes.set_ylim(0, 1)
        axes.set_xlim(challenges[0], challenges[-1])
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="y")
        axes.legend(loc="center left")
        axes.set_title(f"Who passes for {faces.legal} years and over", loc="left", fontweight="bold")
        figure.tight_layout()
        save_png(figure, path)
