"""Pairs of things that are alike, and what holds them together in groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree

__all__ = ["Links", "Pairs", "cosine_pairs"]

Pairs = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.floating[Any]]]

# Vectors compared at once: 2048 x 2048 products are 16 MB, whatever the number of faces.
TILE: Final = 2048

# Pairs held before they are thinned out: ten thousand copies of one picture are fifty million pairs.
MOST_PAIRS: Final = 2_000_000


class Links:
    """Pairs of things, each with a length, of which the shortest that hold the groups together are kept.

    That is a minimum spanning forest: fewer pairs than things, the same groups, and the longest pair left in a group is
    its weakest link.
    """

    def __init__(self, count: int) -> None:
        """``count`` is the number of things; they are numbered from 0."""
        self._count = count
        self._parts: list[Pairs] = []
        self._held = 0

    def add(self, firsts: npt.NDArray[Any], seconds: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> None:
        """Add pairs, none of which was added before: three (M,) arrays, firsts < seconds, lengths 0 or more."""
        self._parts.append((firsts, seconds, lengths))
        self._held += len(firsts)
        if self._held > MOST_PAIRS:
            self._parts = [self.forest()]
            self._held = len(self._parts[0][0])

    def forest(self) -> Pairs:
        """First, second and length of the pairs that are left: three (M,) arrays, M below the count."""
        if not self._held:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        first, second, length = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        # to scipy a length of 0 is no pair
        graph = coo_matrix((length + 1.0, (first, second)), shape=(self._count, self._count))
        tree = minimum_spanning_tree(graph.tocsr()).tocoo()
        return tree.row, tree.col, tree.data - 1


def cosine_pairs(vectors: npt.NDArray[np.float32], least: float) -> Iterator[Pairs]:
    """Pairs of vectors whose cosine is at least ``least``.

    Every pair is compared, a tile at a time: time grows with N², memory does not.

    Args:
        vectors: (N, D), each of length 1.
        least: -1…1.

    Yields:
        first, second and the cosine, (M,) each, first < second; ⌈N / TILE⌉ rows of tiles, each up to the diagonal.
    """
    for row in range(0, len(vectors), TILE):
        ours = vectors[row : row + TILE]
        for column in range(row, len(vectors), TILE):
            cosines = ours @ vectors[column : column + TILE].T
            first, second = np.nonzero(cosines >= least)
            once = first + row < second + column
            first, second = first[once], second[once]
            yield first + row, second + column, cosines[first, second]
