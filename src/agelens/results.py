"""What comes of a photo: its faces, and what the model makes of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.errors import AgelensError
from agelens.faces.detector import Box

__all__ = ["Face", "Photo"]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face and what the model makes of it.

    Attributes:
        age: expected age in years, 0…100. An estimate, never a proof.
        interval: (low, high) in years; holds the true age of about ``level`` of the faces it was calibrated on.
        level: of the interval, 0…1.
        gender: "male" or "female", as people labelled such faces; perceived, not known. None where a model tells none.
        gender_confidence: the model's probability of it, 0.5…1; None likewise.
        box: (x1, y1, x2, y2) in pixels of the photo, within it.
        score: the detector's confidence, 0…1; None where the whole image was taken for the face.
        landmarks: (5, 2) float32 in pixels: eyes, nose tip, mouth corners, the viewer's left first; None likewise.
        age_probs: (101,) float32, the probability of each whole year 0…100.
    """

    age: float
    interval: tuple[float, float]
    level: float
    gender: str | None
    gender_confidence: float | None
    box: Box
    score: float | None
    landmarks: npt.NDArray[np.float32] | None
    age_probs: npt.NDArray[np.float32]

    def at_least(self, age: int) -> float:
        """The model's probability, 0…1, that the person has had this birthday (0…100).

        Raises:
            ValueError: ``age`` is off the axis.
        """
        return float(ages.prob_at_least(self.age_probs, age))

    def to_dict(self) -> dict[str, Any]:
        """The face as plain numbers and strings, as ``agelens predict --json`` writes it."""
        return {
            "box": [round(edge, 1) for edge in self.box],
            "score": None if self.score is None else round(self.score, 4),
            "age": round(self.age, 2),
            "interval": [round(end, 2) for end in self.interval],
            "level": self.level,
            "gender": self.gender,
            "gender_confidence": None if self.gender_confidence is None else round(self.gender_confidence, 4),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One photo of many: its faces, or the error that kept them from being found.

    Attributes:
        source: what was given to be read.
        width, height: in pixels, upright; 0 when it could not be read.
        faces: left to right.
        error: why it could not be read, or None.
    """

    source: Any
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] = ()
    error: AgelensError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The photo as plain numbers and strings: one line of ``agelens predict --json``."""
        return {
            "path": str(self.source) if isinstance(self.source, str | os.PathLike) else None,
            "width": self.width,
            "height": self.height,
            "faces": [face.to_dict() for face in self.faces],
            "error": None if self.error is None else str(self.error),
        }
