"""Every error that agelens raises on purpose, in one tree.

    AgelensError
    ├── ImageError          a photo that cannot be read, or that is too large to be read safely
    ├── VideoError          a video, stream or camera that cannot be read, or that is too large to be read safely
    ├── BundleError         a model file that is missing, corrupt, or made for something else
    ├── DataError           a data set, manifest or crop that is not what the work needs
    ├── ConfigError         a training configuration with a wrong key, type or value
    ├── ExportError         trained weights and the bundle made from them disagree
    ├── ServiceError        a service that refuses, or cannot be reached
    ├── OutputError         a result that cannot be written where it was asked for
    └── MissingExtraError   an optional part that is not installed (also an ImportError)

A message is one line: what came, what was wanted, what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AgelensError",
    "BundleError",
    "ConfigError",
    "DataError",
    "ExportError",
    "ImageError",
    "MissingExtraError",
    "OutputError",
    "ServiceError",
    "VideoError",
]


class AgelensError(Exception):
    """Root of the tree: catch this to catch everything that agelens raises on purpose."""


class ImageError(AgelensError):
    """A photo that cannot be read, or that is too large to be read safely."""


class VideoError(AgelensError):
    """A video, stream or camera that cannot be read, or that is too large to be read safely."""


class BundleError(AgelensError):
    """A model file that is missing, corrupt, or made for something else."""


class DataError(AgelensError):
    """A data set, manifest or crop that is not what the work needs."""


class ConfigError(AgelensError):
    """A training configuration with a wrong key, type or value."""


class ExportError(AgelensError):
    """Trained weights and the bundle made from them disagree."""


class OutputError(AgelensError):
    """A result that cannot be written where it was asked for."""


class ServiceError(AgelensError):
    """The service refused, or cannot be reached.

    Attributes:
        status: of the answer; 0 where there was none.
        code: of the problem, such as "overloaded"; "unreachable" where there was no answer.
        problem: the whole answer.
    """

    def __init__(
        self, message: str, status: int = 0, code: str = "unreachable", problem: Mapping[str, Any] | None = None
    ) -> None:
        """``problem`` is the whole answer, where there was one."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.problem = dict(problem or {})


class MissingExtraError(AgelensError, ImportError):
    """An optional part that is not installed; the message names the install line."""

    def __init__(self, extra: str, package: str) -> None:
        """``extra`` is agelens's extra ("train"), ``package`` the module that was not found."""
        super().__init__(
            f"this needs '{package}', which is not installed: in agelens's checkout, pip install '.[{extra}]'"
        )
