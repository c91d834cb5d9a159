"""agelens: age (and gender) from faces, with an interval that can be believed.

from agelens import AgeEstimator

estimator = AgeEstimator.load()
for face in estimator.predict("photo.jpg"):
    print(face.age, face.interval, face.gender)
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would tell its makers of every model that is opened

from agelens._version import VERSION
from agelens.errors import (
    AgelensError,
    BundleError,
    ConfigError,
    DataError,
    ExportError,
    ImageError,
    MissingExtraError,
    OutputError,
    ServiceError,
    VideoError,
)
from agelens.estimator import AgeEstimator
from agelens.results import Face, Photo

__all__ = [
    "AgeEstimator",
    "AgelensError",
    "BundleError",
    "ConfigError",
    "DataError",
    "ExportError",
    "Face",
    "ImageError",
    "MissingExtraError",
    "OutputError",
    "Photo",
    "ServiceError",
    "VideoError",
    "__version__",
]

__version__ = VERSION
