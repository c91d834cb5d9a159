"""The estimator that a command's options name."""

from __future__ import annotations

from pathlib import Path

from agelens.errors import ConfigError
from agelens.estimator import AgeEstimator
from agelens.faces.detectors import DetectorName, open_detector

__all__ = ["open_estimator"]


def open_estimator(
    model: Path, level: float, embedder: Path | None = None, *, detector: DetectorName = "yunet", threads: int = 0
) -> AgeEstimator:
    """Open a model for photos.

    Args:
        model: a built-in model's name, or a bundle.
        level: of the intervals.
        embedder: for a bundle that takes vectors, as ``AgeEstimator.load`` takes it.
        detector: finds the faces.
        threads: of the network; 0 for as many as there are cores.

    Raises:
        BundleError: it cannot be used.
        MissingExtraError: the detector is not installed.
        ConfigError: it has no intervals at this level, or takes vectors that nothing here makes.
    """
    try:
        estimator = AgeEstimator.load(
            model, detector=open_detector(detector), level=level, embedder=embedder, threads=threads
        )
    except ValueError as error:
        raise ConfigError(f"--level: {error}") from error
    wanted = estimator.bundle.card.embedder
    if wanted is not None and estimator.embedder is None:
        raise ConfigError(
            f"{model}: takes vectors of {wanted.name!r}, which is not here; give predict its file by --embedder"
        )
    return estimator
