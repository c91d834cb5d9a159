"""Photos in, faces with ages out: the one inference path of agelens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from agelens import ages
from agelens.ahead import map_ahead
from agelens.bundle import DEFAULT, Bundle, Output
from agelens.embedders import check_embedder, named_embedder, open_embedder
from agelens.errors import AgelensError, BundleError, ImageError
from agelens.faces.align import align, crop_whole
from agelens.faces.detector import Box, Detection, Detector, main_face, within
from agelens.faces.embedder import Embedder, Scale
from agelens.faces.yunet import YuNet
from agelens.images import MAX_PIXELS, ImageSource, read_image
from agelens.results import Face, Photo

__all__ = ["AgeEstimator", "Found"]

Source = TypeVar("Source", bound=ImageSource)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A photo whose faces are cut out and wait for the network, or whose error is known.

    Attributes:
        photo: without its faces.
        detections: what the detector found, left to right; None where the whole image is the face.
        crops: (size, size, 3) uint8 RGB of each.
    """

    photo: Photo
    detections: Sequence[Detection | None] = ()
    crops: Sequence[npt.NDArray[np.uint8]] = ()


class AgeEstimator:
    """Finds faces and estimates their ages. Safe to call from several threads."""

    def __init__(
        self, bundle: Bundle, detector: Detector, *, level: float = 0.9, embedder: Embedder | None = None
    ) -> None:
        """
        Args:
            bundle: the model.
            detector: finds the faces.
            level: of the intervals; one that the bundle was calibrated at.
            embedder: makes the vectors for a bundle that takes those; without it such a bundle is for vectors alone.

        Raises:
            BundleError: the bundle learnt from another embedder's vectors, or takes crops.
            ValueError: the bundle has no interval at this level.
        """
        if embedder is not None:
            check_embedder(bundle.card, embedder.spec)
        self.bundle = bundle
        self.detector = detector
        self.level = level
        self.embedder = embedder
        self._mass = bundle.card.interval_mass(level)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = DEFAULT,
        *,
        detector: Detector | None = None,
        level: float = 0.9,
        threads: int = 0,
        embedder: str | os.PathLike[str] | Embedder | None = None,
    ) -> AgeEstimator:
        """An estimator with a built-in model, or with another bundle.

        Args:
            model: the name of a built-in model, as ``agelens models`` lists them, or the path of a bundle that
                ``agelens export`` wrote.
            detector: finds the faces; None for ``YuNet()``.
            level: of the intervals, as in the constructor.
            threads: of the network; 0 for as many as there are cores.
            embedder: for a bundle that takes vectors: a name or file as ``open_embedder`` takes it, or one that is
                open; None for the one that the bundle names where it is installed, else it is for vectors alone.

        Raises:
            BundleError: the file is no usable bundle, or the embedder is no such, or another than the bundle's.
            ValueError: the bundle has no interval at this level.
        """
        bundle = Bundle.load(Path(model), threads=threads)
        if embedder is None:
            embedder = named_embedder(bundle.card, threads)
        elif not isinstance(embedder, Embedder):
            wanted = bundle.card.embedder
            scale: Scale = "raw" if wanted is not None and wanted.scale == "raw" else "arcface"
            embedder = open_embedder(Path(embedder), scale=scale, threads=threads)
        return cls(bundle, YuNet() if detector is None else detector, level=level, embedder=embedder)

    def predict(self, source: ImageSource, *, cropped: bool = False) -> list[Face]:
        """The faces in one photo, left to right; an empty list when there are none.

        Args:
            source: a path, the bytes of a file, an RGB array or a PIL image, as ``images.read_image`` takes it.
            cropped: the image is the crop of one face: of several the main one counts, and where none is
                detected the whole image is the face.

        Raises:
            ImageError: the photo cannot be read.
        """
        found = self.find(source, cropped)
        if found.photo.error is not None:
            raise found.photo.error
        return list(self.finish([found])[0].faces)

    def predict_embeddings(self, vectors: npt.NDArray[np.floating[Any]]) -> list[Face]:
        """The faces of an embedder's vectors, in order, for a bundle that takes those.

        A face has no place in a photo here: its box is all 0, its score and landmarks are None.

        Args:
            vectors: (N, width) floats of the embedder that ``bundle.card.embedder`` names; of any length but 0 where it
                gives vectors of length 1.

        Raises:
            ValueError: the vectors are not of this shape or not finite, or the bundle takes crops.
        """
        output = self.bundle.run_vectors(vectors)
        nowhere = Found(Photo(None), [None] * len(vectors), [np.zeros(0, np.uint8)] * len(vectors))
        return list(self._faces(nowhere, output, 0))

    def predict_many(
        self, sources: Iterable[Source], *, cropped: bool = False, batch_size: int = 32, workers: int | None = None
    ) -> Iterator[tuple[Source, list[Face]]]:
        """(source, faces) of each photo, in order; faces of several photos share a run of the network.

        Arguments as of ``photos``, which does not stop at a photo that cannot be read.

        Raises:
            ImageError: a photo cannot be read; raised at its turn, which ends the iteration.
        """
        for photo in self.photos(sources, cropped=cropped, batch_size=batch_size, workers=workers):
            if photo.error is not None:
                raise photo.error
            yield photo.source, list(photo.faces)

    def photos(
        self, sources: Iterable[Source], *, cropped: bool = False, batch_size: int = 32, workers: int | None = None
    ) -> Iterator[Photo]:
        """Every photo with its faces or its error, in order, decoding and detecting while the network runs.

        Args:
            sources: as ``predict`` takes them; read lazily, a few ahead.
            cropped: as in ``predict``.
            batch_size: faces for one run of the network, about.
            workers: threads that decode and detect; None for as many as there are cores, at most 4: each may hold a
                whole photo.

        Raises:
            ValueError: ``batch_size`` or ``workers`` is below 1.
            TypeError: ``sources`` is one path.
        """
        if isinstance(sources, str | bytes | os.PathLike):
            raise TypeError("photos() takes several sources; for one photo there is predict()")
        workers = min(4, os.cpu_count() or 1) if workers is None else workers
        if batch_size < 1 or workers < 1:
            raise ValueError(f"batch_size is {batch_size} and workers {workers}; both must be at least 1")
        return self._photos(sources, cropped, batch_size, workers)

    def _photos(self, sources: Iterable[Any], cropped: bool, batch_size: int, workers: int) -> Iterator[Photo]:
        waiting: list[Found] = []
        for found in map_ahead(lambda source: self.find(source, cropped), sources, workers, 2 * workers):
            waiting.append(found)
            # without a bound on photos a thousand without faces would be held back for one with a face
            if sum(len(one.crops) for one in waiting) >= batch_size or len(waiting) >= batch_size:
                yield from self.finish(waiting)
                waiting = []
        yield from self.finish(waiting)

    def find(self, source: ImageSource, cropped: bool = False, *, max_pixels: int = MAX_PIXELS) -> Found:
        """The first half of ``predict``: read a photo and cut its faces out. Never raises for what is in the photo.

        Args:
            source, cropped: as in ``predict``.
            max_pixels: as in ``images.read_image``.
        """
        try:
            image = read_image(source, max_pixels=max_pixels)
        except AgelensError as error:
            return Found(Photo(source, error=error))
        photo = Photo(source, image.shape[1], image.shape[0])
        try:
            return self._cut(photo, image, cropped)
        except Exception as error:  # whatever a detector makes of one photo, the others go on
            return Found(_failed(photo, f"the face detector failed ({type(error).__name__}: {error})"))

    def _cut(self, photo: Photo, image: npt.NDArray[np.uint8], cropped: bool) -> Found:
        spec = self.bundle.card.crop
        detections = self.detector.detect(image)
        if cropped:
            face = main_face(detections, photo.width, photo.height)
            return Found(photo, [face], [align(image, face.landmarks, spec) if face else crop_whole(image, spec)])
        return Found(photo, detections, [align(image, face.landmarks, spec) for face in detections])

    def finish(self, found: Sequence[Found]) -> list[Photo]:
        """The second half: the ages of the faces of several photos, in one run of the network.

        Raises:
            BundleError: the network fails.
        """
        crops = [crop for one in found for crop in one.crops]
        output = self._run(np.stack(crops)) if crops else None
        done, start = [], 0
        for one in found:
            count = len(one.crops)
            if output is None or not count:
                done.append(one.photo)
            elif np.isnan(output.age_probs[start : start + count]).any():
                done.append(_failed(one.photo, "the embedder makes no vector of a face in it"))
            else:
                done.append(replace(one.photo, faces=self._faces(one, output, start)))
            start += count
        return done

    def _run(self, crops: npt.NDArray[np.uint8]) -> Output:
        """What the bundle says of each face; NaN of those that the embedder makes no vector of."""
        card = self.bundle.card
        if card.embedder is None:
            return self.bundle.run(crops)
        if self.embedder is None:
            raise BundleError(
                f"the bundle {card.name!r} takes vectors of the embedder {card.embedder.name!r}, which is not here; "
                "name it or its file as embedder"
            )
        vectors = self.embedder.embed_some(crops)
        usable = np.asarray(np.isfinite(vectors).all(axis=1))
        return Output(*(_spread(probs, usable) for probs in self.bundle.run_vectors(vectors[usable])))

    def _faces(self, found: Found, output: Output, start: int) -> tuple[Face, ...]:
        mine = slice(start, start + len(found.crops))
        age_probs, gender_probs = output.age_probs[mine], output.gender_probs[mine]
        expected, intervals = ages.expected_age(age_probs), ages.interval(age_probs, self._mass)
        return tuple(
            Face(
                age=float(expected[index]),
                interval=(float(intervals[index, 0]), float(intervals[index, 1])),
                level=self.level,
                gender=self._gender(gender_probs[index]),
                gender_confidence=float(gender_probs[index].max()) if gender_probs.size else None,
                box=_box(detection, found.photo.width, found.photo.height),
                score=None if detection is None else detection.score,
                landmarks=None if detection is None else detection.landmarks,
                age_probs=age_probs[index],
            )
            for index, detection in enumerate(found.detections)
        )

    def _gender(self, probs: npt.NDArray[np.float32]) -> str | None:
        return self.bundle.card.genders[int(probs.argmax())] if probs.size else None


def _failed(photo: Photo, reason: str) -> Photo:
    name = photo.to_dict()["path"] or "photo"
    return replace(photo, error=ImageError(f"{name}: {reason}"))


def _spread(probs: npt.NDArray[np.float32], usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Rows at the places that are ``usable``, (N,), and NaN between them."""
    whole = np.full((len(usable), probs.shape[1]), np.nan, np.float32)
    whole[usable] = probs
    return whole


def _box(detection: Detection | None, width: int, height: int) -> Box:
    """The detector's box as far as it lies in the photo, or the whole photo."""
    return (0.0, 0.0, float(width), float(height)) if detection is None else within(detection.box, width, height)
