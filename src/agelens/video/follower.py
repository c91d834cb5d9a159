"""Frames in order, persons out: the part of the work on a video that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.errors import AgelensError
from agelens.estimator import AgeEstimator
from agelens.faces.detector import within
from agelens.faces.embedder import Embedder
from agelens.results import Face
from agelens.video.frames import RawFrame
from agelens.video.identities import REMEMBERED, Identities
from agelens.video.quality import face_quality
from agelens.video.running_age import HeldAge, RunningAge
from agelens.video.tracks import FaceTracker, Place, Track

__all__ = ["Follower", "Frame", "Looked", "look"]

ALIKE = 0.5  # likeness from which two faces are one person's; see benchmarks/video.md


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a video with who is in it.

    Attributes:
        index: 0, 1, …
        time: seconds since the first frame.
        image: (H, W, 3) uint8 RGB.
        faces: what this frame alone says, left to right; empty where it was not looked at.
        tracks: the persons in sight, by their numbers, with what all frames so far say.
        error: why the frame could not be looked at, or None.
    """

    index: int
    time: float
    image: npt.NDArray[np.uint8]
    faces: tuple[Face, ...]
    tracks: tuple[Track, ...]
    error: AgelensError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The frame as plain numbers and strings: one line of ``agelens video --json``."""
        return {
            "frame": self.index,
            "time": round(self.time, 3),
            "tracks": [track.to_dict() for track in self.tracks],
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A frame in which faces were looked for, or not.

    Attributes:
        raw: the frame.
        faces: None where nobody looked.
        qualities: of the faces, 0…1.
        error: why it could not be done, or None.
    """

    raw: RawFrame
    faces: Sequence[Face] | None
    qualities: Sequence[float] = ()
    error: AgelensError | None = None


def look(estimator: AgeEstimator, raw: RawFrame) -> Looked:
    """The faces of one frame, on their own; whatever happens in one frame does not stop the others."""
    try:
        faces = estimator.predict(raw.image)
    except AgelensError as error:
        return Looked(raw, (), error=error)
    return Looked(raw, faces, [face_quality(raw.image, face) for face in faces])


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """What is remembered of one person.

    Attributes:
        since: time at which they were first seen, in seconds.
    """

    since: float
    running: RunningAge = field(default_factory=RunningAge)
    held: HeldAge = field(default_factory=HeldAge)


class Follower:
    """Follows persons from frame to frame. Not for several threads."""

    def __init__(
        self, estimator: AgeEstimator, rate: float, *, detect_every: int = 1, recognise: Embedder | None = None
    ) -> None:
        """
        Args:
            estimator: the model, for its intervals.
            rate: frames a second.
            detect_every: of how many frames one is looked at.
            recognise: knows persons again who were out of sight; None: who returns is somebody new.
        """
        self._level = estimator.level
        self._mass = estimator.bundle.card.interval_mass(estimator.level)
        self._tracker = FaceTracker(rate, detect_every)
        self._identities = Identities(recognise, ALIKE)
        self._known: dict[int, Person] = {}

    def follow(self, looked: Looked) -> Frame:
        """The next frame, with the persons in it."""
        places = self._tracker.update(looked.faces, looked.raw.time)
        here = {place.number for place in places}
        tracks = [self._track(place, looked, here) for place in places]
        self._forget(here)
        shown = tuple(sorted((track for track in tracks if track is not None), key=lambda track: track.id))
        raw = looked.raw
        return Frame(raw.index, raw.time, raw.image, tuple(looked.faces or ()), shown, looked.error)

    def _track(self, place: Place, looked: Looked, here: set[int]) -> Track | None:
        face = None if place.found is None or looked.faces is None else looked.faces[place.found]
        number = self._identities.person(place.number, looked.raw.image, face, here)
        known = self._known.setdefault(number, Person(looked.raw.time))
        if face is not None and place.found is not None:
            known.running.add(face, looked.qualities[place.found], looked.raw.time)
        if not known.running.frames or not place.shown:
            return None
        return Track(number, self._settled(known, face, place, looked.raw), face, known.running.frames, known.since)

    def _forget(self, here: set[int]) -> None:
        self._identities.forget_lost(here)
        if len(self._known) > 2 * len(here) + REMEMBERED:
            known = self._identities.known()
            self._known = {person: one for person, one in self._known.items() if person in known}

    def _settled(self, known: Person, face: Face | None, place: Place, raw: RawFrame) -> Face:
        """The face with what all frames say of it."""
        probs = known.running.age_probs()
        low, high = ages.interval(probs, self._mass)
        interval = (float(low), float(high))
        gender = known.running.gender()
        height, width = raw.image.shape[:2]
        whole = Face(
            age=known.held.follow(float(ages.expected_age(probs)), interval, raw.time - known.since),
            interval=interval,
            level=self._level,
            gender=gender and gender[0],
            gender_confidence=gender and gender[1],
            box=within(place.box, width, height),
            score=None,
            landmarks=None,
            age_probs=probs,
        )
        return whole if face is None else replace(whole, score=face.score, landmarks=face.landmarks)
