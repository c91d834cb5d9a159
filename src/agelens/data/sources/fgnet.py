"""FG-NET: ``001A02.JPG`` is person 1 at two; a letter tells several pictures of one age apart.

Source: Lanitis, Taylor, Cootes, "Toward automatic simulation of aging effects on face images", TPAMI 2002, whose ageing
database this is: 1,002 scanned pictures of 82 people, from infancy on.
"""

from __future__ import annotations

import re
from typing import Final

from agelens.data.sources.names import read_stems
from agelens.data.sources.sample import Source

__all__ = ["FGNET"]

LAYOUT: Final = "<subject>A<age>.JPG, as 001A02.JPG or 001A43a.JPG"
NAME: Final = re.compile(r"(?P<subject>\d{3})A(?P<age>\d{2})[a-z]?", re.ASCII | re.IGNORECASE)

FGNET: Final = Source(
    read=read_stems("fgnet", LAYOUT, NAME),
    layout=LAYOUT,
    labels="age 0-69, subject",
    terms="research",
    home="https://yanweifu.github.io/FG_NET_data/",
)
