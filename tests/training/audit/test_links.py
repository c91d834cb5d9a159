"""Pairs, the forests they are thinned to, and pairs by cosine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.audit import links
from agelens.audit.links import Links, cosine_pairs
from agelens.data.duplicates import join_groups

COUNT = 12
PAIRS = st.dictionaries(
    st.tuples(st.integers(0, COUNT - 2), st.integers(1, COUNT - 1)).filter(lambda pair: pair[0] < pair[1]),
    st.integers(0, 5).map(lambda length: length / 5),
)


def _weakest_way(pairs: dict[tuple[int, int], float]) -> np.ndarray:
    """The longest step that cannot be avoided between any two things: Floyd and Warshall with max for plus."""
    ways = np.full((COUNT, COUNT), np.inf)
    for (first, second), length in pairs.items():
        ways[first, second] = ways[second, first] = min(length, ways[first, second])
    for middle in range(COUNT):
        ways = np.minimum(ways, np.maximum(ways[:, [middle]], ways[[middle]]))
    np.fill_diagonal(ways, 0)
    return ways


@given(PAIRS, st.integers(1, 4))
def test_a_forest_makes_the_same_groups_with_the_same_weakest_links(
    pairs: dict[tuple[int, int], float], most: int
) -> None:
    kept = Links(COUNT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links, "MOST_PAIRS", most)  # thinned out after every few pairs
        for (first, second), length in pairs.items():
            kept.add(np.array([first]), np.array([second]), np.array([length]))
    first, second, length = kept.forest()
    assert len(first) < COUNT
    forest = {tuple(sorted(pair)): one for *pair, one in zip(first.tolist(), second.tolist(), length, strict=True)}
    assert np.allclose(_weakest_way(forest), _weakest_way(pairs))
    whole = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    assert join_groups(COUNT, first, second).tolist() == join_groups(COUNT, whole[:, 0], whole[:, 1]).tolist()


def test_links_of_no_pairs_are_an_empty_forest() -> None:
    assert all(len(one) == 0 for one in Links(3).forest())


@pytest.mark.parametrize("tile", [1, 7, 100])
def test_cosine_pairs_are_those_of_the_whole_product(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "TILE", tile)
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = {
        (int(first), int(second)): float(cosine)
        for part in cosine_pairs(vectors, 0.5)
        for first, second, cosine in zip(*part, strict=True)
    }
    products = vectors.astype(np.float64) @ vectors.T
    wanted = {(i, j) for i in range(30) for j in range(i + 1, 30) if products[i, j] >= 0.5}
    assert set(found) == wanted
    assert all(abs(found[pair] - products[pair]) < 1e-6 for pair in wanted)
