"""What the page's user chose on the left, and the estimator for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from agelens.app.settings import settings
from agelens.bundle import BUILTIN
from agelens.errors import AgelensError
from agelens.estimator import AgeEstimator
from agelens.faces.detectors import DETECTORS, open_detector

__all__ = ["Choice", "choose"]

LEVELS: Final = (0.5, 0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user chose.

    Attributes:
        model: name of a built-in model, or a bundle's path.
        detector: name of the face detector.
        level: of the intervals.
    """

    model: str
    detector: str
    level: float


def choose() -> tuple[Choice, AgeEstimator]:
    """The choices on the left, and the estimator that they name; the page ends here where that cannot be opened."""
    models = [*settings().models, *BUILTIN]
    with st.sidebar:
        model = st.selectbox("Model", models, format_func=lambda one: Path(one).name, key="model")
        detector = st.selectbox("Face detector", DETECTORS, key="detector", help="mtcnn is slower.")
        level = st.select_slider(
            "Interval holds",
            LEVELS,
            0.9,
            format_func=lambda one: f"{one:.0%}",
            key="level",
            help="The share of true ages that lie within the intervals.",
        )
    choice = Choice(model, detector, level)
    try:
        return choice, _open(choice)
    except (AgelensError, ValueError) as error:
        st.error(str(error), icon=":material/error:")
        st.stop()


@st.cache_resource(max_entries=4, show_spinner="Opening the model …")
def _open(choice: Choice) -> AgeEstimator:
    estimator = AgeEstimator.load(choice.model, detector=open_detector(choice.detector), level=choice.level)
    if estimator.bundle.card.embedder is not None and estimator.embedder is None:
        raise AgelensError(
            f"{choice.model}: takes vectors of {estimator.bundle.card.embedder.name!r}, which is not installed"
        )
    return estimator
