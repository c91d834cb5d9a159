"""The version, in the one place from which the package's metadata, the command line and the bundles take it."""

from __future__ import annotations

from typing import Final

__all__ = ["VERSION"]

VERSION: Final = "0.1.0"
