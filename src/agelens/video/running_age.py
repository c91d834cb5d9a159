"""A person's age from frame after frame."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.results import Face

__all__ = ["HeldAge", "RunningAge"]

ALIKE_SECONDS: Final = 0.2  # frames that are closer than this fail together
PRIOR_FRAMES: Final = 3.0  # how many frames' worth the guess of their scatter has
LEAST_SHARE: Final = 0.25  # of a single frame's variance, which always stays: what all frames get wrong together
HELD_YEARS: Final = 0.5
HELD_SHARE: Final = 0.05  # of the interval's width
SETTLED_SECONDS: Final = 1.0


class RunningAge:
    """Pools what the model says of one person in many frames.

    The pooled distribution is the mean of the frames' own, each weighted by its quality and its precision (one over
    its variance). Its spread is not that of the mean: what is wrong with a single frame is partly wrong with all of
    them, as a face that looks older than it is, and partly its own, as a blur. Only the latter is averaged away. So the
    variance of a single frame's answer is lessened by the share of it that the frames were seen to scatter,
    ``V - s²·(1 - 1/n)``: a face that stands still keeps its interval, one that moves gets a narrower one. ``n`` counts
    frames that are ``ALIKE_SECONDS`` apart.
    """

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self.frames = 0
        self._weight = 0.0
        self._squares = 0.0
        self._probs = np.zeros(ages.NUM_BINS)
        self._within = 0.0  # Σ w·variance
        self._sum = 0.0  # Σ w·age
        self._sum_of_squares = 0.0
        self._genders: dict[str, float] = {}
        self._first = 0.0
        self._seconds = 0.0

    def add(self, face: Face, quality: float, time: float) -> None:
        """Count one frame's face.

        Args:
            face: with the model's distribution of this frame.
            quality: how far this frame is to be believed, above 0.
            time: of the frame, in seconds; does not fall.
        """
        spread = max(float(ages.variance(face.age_probs)), 0.25)
        weight = quality / spread
        self._first = self._first if self.frames else time
        self._seconds = time - self._first
        self.frames += 1
        self._weight += weight
        self._squares += weight**2
        self._probs += weight * face.age_probs
        self._within += weight * spread
        self._sum += weight * face.age
        self._sum_of_squares += weight * face.age**2
        if face.gender is not None and face.gender_confidence is not None:
            seen = self._genders.get(face.gender, 0.0)
            self._genders[face.gender] = seen + weight * (2 * face.gender_confidence - 1)

    def age_probs(self) -> npt.NDArray[np.float32]:
        """The pooled distribution, (101,).

        Raises:
            ValueError: nothing has been seen yet.
        """
        if not self.frames:
            raise ValueError("no face has been added yet")
        pooled = self._probs / self._probs.sum()
        own = self._within / self._weight
        scatter = self._scatter()
        wanted = max(own - scatter * (1 - 1 / self._independent()), LEAST_SHARE * own)
        factor = np.sqrt(wanted / max(float(ages.variance(pooled)), 1e-6))
        return ages.contract(pooled, min(1.0, float(factor))).astype(np.float32)

    def gender(self) -> tuple[str, float] | None:
        """The gender that most of the weight is for, with the mean probability of it, 0.5…1; None: none was told."""
        if not self._genders:
            return None
        best = max(self._genders, key=lambda name: self._genders[name])
        margin = 2 * self._genders[best] - sum(self._genders.values())
        return best, 0.5 + 0.5 * margin / self._weight

    def _scatter(self) -> float:
        """Variance of single frames' ages about their mean, drawn to none while they are few."""
        mean = self._sum / self._weight
        about = max(self._sum_of_squares / self._weight - mean**2, 0.0)
        count = self._weight**2 / self._squares
        return about * count / (count + PRIOR_FRAMES)

    def _independent(self) -> float:
        """How many frames that do not fail together the seen ones are worth: Kish's number, at most one each while."""
        return min(self._weight**2 / self._squares, 1 + self._seconds / ALIKE_SECONDS)


class HeldAge:
    """The age that people are shown: all frames' together, and still while that moves by less than matters.

    Frames of a face that stands still differ by years from second to second, and their mean wanders for as long. The
    shown age follows the mean only so far that it stays within a band about it: of a twentieth of the interval's width,
    and of half a year at most, half of the unit that is shown. In the first second, while it settles, the band opens.
    """

    def __init__(self) -> None:
        """Nothing has been shown yet."""
        self._shown: float | None = None

    def follow(self, age: float, interval: tuple[float, float], seconds: float) -> float:
        """The age to show, within ``interval`` where ``age`` is.

        Args:
            age: of all frames so far, in years.
            interval: (low, high) in years.
            seconds: since the person was first seen.
        """
        low, high = interval
        band = min(HELD_YEARS, HELD_SHARE * (high - low)) * min(1.0, seconds / SETTLED_SECONDS)
        shown = age if self._shown is None else min(max(self._shown, age - band), age + band)
        self._shown = min(max(shown, min(low, age)), max(high, age))
        return self._shown
