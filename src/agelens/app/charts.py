"""Small charts, that follow the page's light or dark theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd

from agelens.ages import MAX_AGE
from agelens.results import Face
from agelens.video.summary import Seen

__all__ = ["curves_chart", "distribution_chart", "track_chart"]

BLUE: Final = "#106EBE"
GREY: Final = "#8A97A5"
LEAST_YEARS: Final = 20  # that a chart of a distribution shows


def distribution_chart(face: Face) -> alt.LayerChart:
    """How likely each year is: bars, those within the interval in colour, and a line at the age."""
    low, high = face.interval
    first = max(0, min(int(low) - 8, MAX_AGE - LEAST_YEARS))
    last = min(MAX_AGE, max(int(high) + 8, first + LEAST_YEARS))
    years = range(first, last + 1)
    table = pd.DataFrame(
        {
            "years": list(years),
            "probability": [float(face.age_probs[year]) for year in years],
            "within": [low - 0.5 <= year <= high + 0.5 for year in years],
        }
    )
    bars = (
        alt.Chart(table)
        .mark_bar(size=max(2, 160 // len(years)))
        .encode(
            x=alt.X("years:Q", title="years", scale=alt.Scale(domain=[first - 0.5, last + 0.5], nice=False)),
            y=alt.Y("probability:Q", title=None, axis=None),
            color=alt.Color("within:N", legend=None, scale=alt.Scale(domain=[True, False], range=[BLUE, GREY])),
            tooltip=["years", alt.Tooltip("probability", format=".1%")],
        )
    )
    rule = alt.Chart(pd.DataFrame({"years": [face.age]})).mark_rule(color=BLUE, strokeWidth=2).encode(x="years:Q")
    both: alt.LayerChart = (bars + rule).properties(height=110)
    return both


def track_chart(person: Seen) -> alt.LayerChart:
    """A person's age through a video: each frame's own as dots, the settled one as a line, its interval as a band."""
    columns = ["seconds", "age", "low", "high", "this frame"]
    table = pd.DataFrame(_thinned(person.ages), columns=columns)
    x = alt.X("seconds:Q", title="seconds")
    scale = alt.Scale(zero=False, domainMin=0)
    band = alt.Chart(table).mark_area(opacity=0.2, color=BLUE).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    dots = (
        alt.Chart(table.dropna())
        .mark_circle(size=14, color=GREY, opacity=0.6)
        .encode(x=x, y=alt.Y("this frame:Q"), tooltip=["seconds", alt.Tooltip("this frame", format=".1f")])
    )
    line = (
        alt.Chart(table)
        .mark_line(color=BLUE, strokeWidth=2.5)
        .encode(x=x, y=alt.Y("age:Q", title="years"), tooltip=["seconds", alt.Tooltip("age", format=".1f")])
    )
    together: alt.LayerChart = (band + dots + line).properties(height=220)
    return together


def curves_chart(table: pd.DataFrame, names: Mapping[str, str], title: str) -> alt.Chart:
    """Columns of ``table`` over its epochs, each under its own name."""
    shown = table[["epoch", *names]].rename(columns=dict(names)).melt("epoch", var_name="faces", value_name=title)
    lines: alt.Chart = (
        alt.Chart(shown.dropna())
        .mark_line(point=len(table) < 40)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(f"{title}:Q", scale=alt.Scale(zero=False)),
            color=alt.Color(
                "faces:N", scale=alt.Scale(range=[GREY, BLUE]), legend=alt.Legend(orient="top", title=None)
            ),
            tooltip=["epoch", "faces", alt.Tooltip(title, format=".3f")],
        )
        .properties(height=240)
    )
    return lines


def _thinned(rows: Sequence[Any], most: int = 1500) -> Sequence[Any]:
    """So many rows that a browser draws them at once."""
    return rows[:: max(1, len(rows) // most)]
