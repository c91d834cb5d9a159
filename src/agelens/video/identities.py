"""Who comes back: a person who was out of sight is known again by an embedder's vectors of the face."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import numpy as np
import numpy.typing as npt

from agelens.errors import BundleError
from agelens.faces.align import align
from agelens.faces.embedder import Embedder
from agelens.results import Face

__all__ = ["REMEMBERED", "Identities"]

REMEMBERED: Final = 200  # persons; who was not seen for longest is forgotten first
RENEWED_EVERY: Final = 15  # frames, after which a person in sight is looked at anew
NEWER: Final = 0.3  # weight of a new look beside what is known


class Identities:
    """Gives followed faces the numbers of persons.

    Without an embedder each face that the tracker takes up is a new person.
    """

    def __init__(self, embedder: Embedder | None, alike: float) -> None:
        """
        Args:
            embedder: whose vectors are close for one person.
            alike: scalar product of two vectors of length 1 from which they are one person's.
        """
        self._embedder = embedder
        self._alike = alike
        self._persons: dict[int, int] = {}  # by the tracker's number
        self._vectors: OrderedDict[int, npt.NDArray[np.float32]] = OrderedDict()  # by person, last seen last
        self._looks: dict[int, int] = {}  # frames of each person in sight
        self._count = 0

    def person(self, number: int, image: npt.NDArray[np.uint8], face: Face | None, here: set[int]) -> int:
        """The person of a followed face.

        Args:
            number: of the tracker.
            image: the frame, (H, W, 3) uint8 RGB.
            face: in this frame; None where it is hidden or was not looked at.
            here: the tracker's numbers of who is followed.
        """
        if number not in self._persons:
            vector = self._look(image, face)
            self._persons[number] = self._known(vector, here) or self._new()
            self._remember(self._persons[number], vector)
        elif face is not None:
            person = self._persons[number]
            self._looks[person] = self._looks.get(person, 0) + 1
            if self._looks[person] % RENEWED_EVERY == 0:
                self._remember(person, self._look(image, face))
        return self._persons[number]

    def forget_lost(self, here: set[int]) -> None:
        """Drop the tracker's numbers that are followed no more; their persons stay known."""
        self._persons = {number: person for number, person in self._persons.items() if number in here}
        self._looks = {person: looks for person, looks in self._looks.items() if person in self._persons.values()}

    def known(self) -> set[int]:
        """Persons who are in sight, or would be known again."""
        return {*self._persons.values(), *self._vectors}

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _known(self, vector: npt.NDArray[np.float32] | None, here: set[int]) -> int | None:
        if vector is None:
            return None
        present = {person for number, person in self._persons.items() if number in here}
        likeness = {person: float(vector @ one) for person, one in self._vectors.items() if person not in present}
        best = max(likeness, key=lambda person: likeness[person], default=None)
        return best if best is not None and likeness[best] >= self._alike else None

    def _look(self, image: npt.NDArray[np.uint8], face: Face | None) -> npt.NDArray[np.float32] | None:
        if self._embedder is None or face is None or face.landmarks is None:
            return None
        try:
            vector = self._embedder.embed_some(align(image, face.landmarks, self._embedder.spec.crop)[None])[0]
        except (BundleError, ValueError):
            return None
        length = float(np.linalg.norm(vector))
        return vector / length if np.isfinite(length) and length > 0 else None

    def _remember(self, person: int, vector: npt.NDArray[np.float32] | None) -> None:
        if vector is None:
            return
        known = self._vectors.get(person)
        mixed = vector if known is None else (1 - NEWER) * known + NEWER * vector
        self._vectors[person] = (mixed / np.linalg.norm(mixed)).astype(np.float32)
        self._vectors.move_to_end(person)
        if len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)
