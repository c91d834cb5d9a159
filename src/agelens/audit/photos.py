"""Which samples show one photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
import pandas as pd

from agelens.audit.crops import Progress, silent
from agelens.audit.links import Links, Pairs
from agelens.audit.samples import Samples
from agelens.data.duplicates import TILE, join_groups, near_pairs, pack_hashes
from agelens.data.registration import registered_pairs

BITS = 256  # of a perceptual hash

__all__ = ["Photos", "group_photos", "hash_links", "registration_links"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """What the kept samples show; arrays of N, one a kept sample in the manifest's order.

    Attributes:
        file: a number for each file's content, which exact copies share.
        photo: a number for each photo, which exact and near copies share.
        likeness: for each sort of links, how alike the least alike neighbours in the sample's photo are, at most 1; NaN
            where no such link joined it.
    """

    file: Ints
    photo: Ints
    likeness: Mapping[str, Floats]


def group_photos(kept: pd.DataFrame, links: Mapping[str, Links]) -> Photos:
    """Group the kept samples by what they show: the same bytes, or joined by a link.

    Args:
        kept: the samples that were not removed, N of them.
        links: between their places 0…N-1, by sort; lengths say how unlike two are.
    """
    file = _files(kept)
    order = np.argsort(file, kind="stable")
    same = file[order[1:]] == file[order[:-1]]
    forests = {sort: one.forest() for sort, one in links.items()}
    firsts = np.concatenate([order[:-1][same], *(first for first, _, _ in forests.values())])
    seconds = np.concatenate([order[1:][same], *(second for _, second, _ in forests.values())])
    photo = join_groups(len(kept), firsts, seconds).astype(np.int64)
    return Photos(file, photo, {sort: 1 - _weakest(photo, forest) for sort, forest in forests.items()})


def hash_links(samples: Samples, progress: Progress = silent) -> Links:
    """Links between kept samples whose perceptual hashes are close, by the share of bits that differ."""
    kept = samples.kept
    broken = [row for fault in samples.faults if "hash" in fault.what for row in fault.rows]
    places = np.flatnonzero(kept["phash"].notna() & ~kept.index.isin(broken))
    links = Links(len(kept))
    tiles = ceil(len(places) / TILE)
    total = tiles * (tiles + 1) // 2
    for done, (first, second, bits) in enumerate(near_pairs(pack_hashes(kept["phash"].iloc[places].tolist())), start=1):
        links.add(places[first], places[second], bits / BITS)
        progress(done, total)
    return links


def registration_links(
    count: int, places: Ints, greys: npt.NDArray[np.uint8], pairs: tuple[Ints, Ints], progress: Progress = silent
) -> Links:
    """Links between kept samples whose crops are one photo when laid over each other, by 1 - their correlation.

    Args:
        count: of the kept samples.
        places: (M,) those that have a crop.
        greys: (M, 64, 64), see ``nearest.grey``.
        pairs: of ``greys``, those to try; see ``nearest.nearest_pairs``.
        progress: called with the number of pairs done and their total.
    """
    links = Links(count)
    for one, other, alike in registered_pairs(greys, *pairs, progress):
        links.add(places[one], places[other], np.clip(1 - alike, 0, None))
    return links


def _files(kept: pd.DataFrame) -> Ints:
    """A number for each digest, and one of its own for a sample without."""
    codes, known = pd.factorize(kept["digest"])
    return np.where(codes < 0, len(known) + np.arange(len(kept)), codes).astype(np.int64)


def _weakest(photo: Ints, pairs: Pairs) -> Floats:
    """For each thing the longest pair of its group, NaN where there is none."""
    first, _, length = pairs
    longest = np.full(int(photo.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(longest, photo[first], length)
    return np.asarray(np.where(np.isinf(longest), np.nan, longest)[photo])
