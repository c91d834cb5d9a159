"""The page of a training: its curves, live, and its best and worst faces at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from agelens.app.charts import curves_chart
from agelens.app.settings import settings
from agelens.files import real_path

__all__ = ["page", "runs_below"]

METRICS: Final = "metrics.csv"
FRESH: Final = 2.0  # seconds between looks
IDLE: Final = 120.0  # seconds without a line, after which a training is taken to have ended or been cut off
DEPTH: Final = 3
MOST_BYTES: Final = 20 * 2**20
CURVES: Final = {"loss": "loss", "mae": "mean error in years", "gender": "gender", "accuracy": "accuracy"}


def page() -> None:
    """Choose a run folder and follow it."""
    st.title("Training")
    root = Path(settings().runs)
    runs = runs_below(root)
    if not runs:
        st.info(f"No training in {root}/ yet. Start one with: agelens train CONFIG --out {root}/NAME")
        return
    chosen = st.selectbox("Run", runs, format_func=lambda one: str(one.relative_to(root)), key="run")
    if not st.toggle("Follow live", value=True, key="live"):
        _look(chosen)
        return
    st.fragment(_look, run_every=FRESH)(chosen)


def runs_below(root: Path) -> list[Path]:
    """Run folders, the one that was last written to first; links are not followed."""
    patterns = ["/".join(["*"] * depth + [METRICS]) for depth in range(1, DEPTH + 1)]
    found = [file for pattern in patterns for file in root.glob(pattern) if _within(file, root)]
    return [file.parent for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)]


def _within(file: Path, root: Path) -> bool:
    """Whether a file lies below a folder, whatever links lead to it."""
    return real_path(file).is_relative_to(real_path(root))


def _look(run: Path) -> None:
    table = _metrics(run / METRICS)
    if table is None:
        st.info("No epoch is through yet.")
        return
    last, written = table.iloc[-1], (run / METRICS).stat().st_mtime
    error = table["val_mae"].dropna() if "val_mae" in table else pd.Series(dtype=float)
    with st.container(horizontal=True):
        st.metric("Epochs", int(table["epoch"].max()), border=True)
        if len(error):
            at = int(table.dropna(subset=["val_mae"])["epoch"].iloc[int(error.argmin())])
            st.metric(
                "Least mean error", f"{error.min():.2f} years", f"epoch {at}", "off", delta_arrow="off", border=True
            )
        if "faces_per_second" in table and pd.notna(last["faces_per_second"]):
            st.metric("Faces a second", f"{last['faces_per_second']:.0f}", border=True)
        st.metric("State", _state(run, time.time() - written), border=True)
    _curves(table)
    _pictures(run)


def _metrics(path: Path) -> pd.DataFrame | None:
    try:
        if path.stat().st_size > MOST_BYTES:
            st.error(f"{path.name} is larger than {MOST_BYTES // 2**20} MB; it is no training's")
            return None
        table = pd.read_csv(path)
    except (OSError, ValueError):  # between two writes, or no table
        return None
    numbers = table.apply(pd.to_numeric, errors="coerce")  # other words than numbers are nothing
    return numbers.dropna(subset=["epoch"]) if "epoch" in numbers and numbers["epoch"].notna().any() else None


def _state(run: Path, seconds: float) -> str:
    if (run / "bundle.onnx").exists():
        return "exported"
    return "running" if seconds < IDLE else f"quiet for {seconds / 60:.0f} min"


def _curves(table: pd.DataFrame) -> None:
    shown = [(name, title) for name, title in CURVES.items() if f"val_{name}" in table]
    columns = st.columns(2)
    for place, (name, title) in enumerate(shown):
        names = {f"train_{name}": "training", f"val_{name}": "validation"}
        there = {key: value for key, value in names.items() if key in table}
        columns[place % 2].altair_chart(curves_chart(table, there, title), width="stretch", key=f"curve-{name}")


def _pictures(run: Path) -> None:
    """The report's grids of faces, once it is written."""
    grids = [(run / "report" / f"{name}.png", f"{name.capitalize()} answers") for name in ("best", "worst")]
    there = [(path, title) for path, title in grids if path.is_file() and _within(path, Path(settings().runs))]
    for column, (path, title) in zip(st.columns(2), there, strict=False):
        column.image(path.read_bytes(), caption=title, width="stretch", alt=title)
