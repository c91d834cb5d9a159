"""Face detectors by name."""

from __future__ import annotations

from typing import Final, Literal, get_args

from agelens.errors import ConfigError
from agelens.faces.detector import Detector

__all__ = ["DETECTORS", "DetectorName", "open_detector"]

DetectorName = Literal["yunet", "mtcnn"]
DETECTORS: Final[tuple[str, ...]] = get_args(DetectorName)  # the first is the default


def open_detector(name: str) -> Detector:
    """Open a detector as it is by default.

    Args:
        name: one of ``DETECTORS``.

    Raises:
        ConfigError: there is none of that name.
        BundleError: the weights of "yunet" are not installed.
        MissingExtraError: the packages of "mtcnn" are not installed.
    """
    if name == "yunet":
        from agelens.faces.yunet import YuNet

        return YuNet()
    if name == "mtcnn":
        from agelens.faces.mtcnn import Mtcnn

        return Mtcnn()
    raise ConfigError(f"there is no face detector {str(name)[:80]!r}; there are: {', '.join(DETECTORS)}")
