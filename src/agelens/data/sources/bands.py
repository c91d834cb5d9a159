"""Bands of ages: from text to numbers, and from odd bands to official ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agelens.data.sources.labels import OLDEST, BadLabelError, shown

__all__ = ["TOP", "nearest_band", "read_band"]

Band = tuple[float, float]

# Where a band without an end ends, as in Adience's oldest.
TOP: Final = 100.0

FROM_TO: Final = re.compile(r"[(\[]?(\d{1,3})(?: ?[-–,] ?| to )(\d{1,3})[)\]]?", re.ASCII)
UPWARDS: Final = re.compile(r"(?:more than (\d{1,3})|(\d{1,3}) ?\+)", re.ASCII | re.IGNORECASE)
SINGLE: Final = re.compile(r"\d{1,3}", re.ASCII)


def read_band(text: str) -> Band:
    """The first and last year of "25-32", "(25, 32)", "25 to 32", "60+", "more than 70", or "35" (35 and 35).

    Raises:
        BadLabelError: it is none of these, ends before it begins, or goes beyond 130 years.
    """
    if match := FROM_TO.fullmatch(text):
        low, high = map(float, match.groups())
    elif match := UPWARDS.fullmatch(text):
        low = float(match[1] or match[2])
        high = max(low, TOP)
    elif SINGLE.fullmatch(text):
        low = high = float(text)
    else:
        raise BadLabelError(f"band {shown(text)} is not like 25-32, (25, 32) or 60+")
    if not low <= high <= OLDEST:
        raise BadLabelError(f"band {shown(text)} is not one within 0-{OLDEST} that ends after it begins")
    return low, high


def nearest_band(band: Band, official: Sequence[Band]) -> Band:
    """The official band that shares most years with this one; without any shared, the one across the smallest gap.

    Of several the one whose centre is nearest, then the youngest.
    """

    def rank(other: Band) -> tuple[float, float, float]:
        shared = min(band[1], other[1]) - max(band[0], other[0])  # below 0: the gap between them
        return -shared, abs(sum(band) - sum(other)), other[0]

    return min(official, key=rank)
