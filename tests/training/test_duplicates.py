"""Copies of a picture are found by their prints, and other pictures are not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agelens.data import duplicates
from agelens.data.duplicates import SAME_PICTURE, digest, join_groups, near_pairs, pack_hashes, perceptual_hash

Picture = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint8]


def _bits(one: Picture, other: Picture) -> int:
    """By how many bits the hashes of two pictures differ, mirrored or not."""
    ((_, _, bits),) = near_pairs(pack_hashes([perceptual_hash(one), perceptual_hash(other)]), 256)
    return int(bits[0])


def _reencoded(picture: Picture, quality: int) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _resized(picture: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def test_a_digest_is_that_of_the_bytes() -> None:
    assert digest(b"") == "cae66941d9efbd404e4d88758ea67670"  # of BLAKE2b with 16 bytes, by b2sum -l 128
    assert digest(b"a") != digest(b"b")
    assert len(digest(bytes(10**6))) == 32


def test_a_hash_is_256_bits_of_which_about_half_are_set(made_up_face: Callable[[int, int], Picture]) -> None:
    text = perceptual_hash(made_up_face(1, 30))
    assert len(text) == 64
    assert set(text) <= set("0123456789abcdef")
    assert 80 < np.unpackbits(pack_hashes([text])).sum() < 176


@pytest.mark.parametrize("side", [16, 40, 64, 160, 1000])
def test_a_flat_picture_has_a_hash_too(side: int) -> None:
    for value in (0, 7, 255):
        assert perceptual_hash(np.full((side, side, 3), value, np.uint8)) == "0" * 64


COPIES: dict[str, Callable[[Picture], Picture]] = {
    "JPEG 95": lambda picture: _reencoded(picture, 95),
    "JPEG 40": lambda picture: _reencoded(picture, 40),
    "brighter": lambda picture: np.asarray(cv2.convertScaleAbs(picture, alpha=1.1, beta=8), np.uint8),
    "darker": lambda picture: (picture * 0.7).astype(np.uint8),
    "grey": lambda picture: np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2),
    "smaller": lambda picture: _resized(picture, 40),
    "larger": lambda picture: _resized(picture, 160),
    "cut": lambda picture: _resized(picture[1:-1, 1:-1], 64),
    "mirrored": lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    "mirrored JPEG": lambda picture: _reencoded(np.ascontiguousarray(picture[:, ::-1]), 60),
}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_near_its_original(kind: str, made_up_face: Callable[[int, int], Picture]) -> None:
    for seed in range(12):
        picture = made_up_face(seed, 30)
        copy = COPIES[kind](picture)
        assert not np.array_equal(copy, picture)
        assert _bits(picture, copy) <= SAME_PICTURE, seed


def test_other_pictures_are_far_apart(made_up_face: Callable[[int, int], Picture]) -> None:
    hashes = pack_hashes([perceptual_hash(made_up_face(seed, 2 * seed)) for seed in range(40)])
    ((_, _, bits),) = near_pairs(hashes, 256)
    assert len(bits) == 40 * 39 / 2
    assert bits.min() > SAME_PICTURE
    assert np.median(bits) > 75  # all have the same eyes, on noise of eight coarse squares a side


def test_a_picture_upside_down_is_no_copy(made_up_face: Callable[[int, int], Picture]) -> None:
    picture = made_up_face(3, 30)
    assert _bits(picture, picture[::-1].copy()) > SAME_PICTURE


def _brute_force(hashes: Hashes, most: int) -> dict[tuple[int, int], int]:
    """Pairs and their distances, by comparing bit by bit; a mirrored picture turns the signs of odd columns."""
    bits = np.unpackbits(hashes, axis=1).reshape(len(hashes), 16, 16)
    mirrored = bits.copy()
    mirrored[:, :, 1::2] ^= 1
    pairs = {}
    for first in range(len(hashes)):
        for second in range(first + 1, len(hashes)):
            least = min(int((one[first] != bits[second]).sum()) for one in (bits, mirrored))
            if least <= most:
                pairs[first, second] = least
    return pairs


def _found(hashes: Hashes, most: int) -> dict[tuple[int, int], int]:
    triples = [triple for parts in near_pairs(hashes, most) for triple in zip(*parts, strict=True)]
    found = {(int(first), int(second)): int(bits) for first, second, bits in triples}
    assert len(found) == len(triples)  # each pair once
    return found


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 30), tile=st.integers(1, 12), most=st.integers(0, 140))
def test_near_pairs_are_those_of_comparing_all_bit_by_bit(seed: int, count: int, tile: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    for place in range(1, count, 3):  # some are near others, some of them mirrored
        hashes[place] = hashes[rng.integers(count)] ^ (0x55 * int(rng.integers(2)))
        hashes[place, rng.integers(32)] ^= rng.integers(256, dtype=np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "TILE", tile)
        assert _found(hashes, most) == _brute_force(hashes, most)


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2049])
def test_pairs_are_found_across_tiles(count: int) -> None:
    hashes = np.random.default_rng(0).integers(0, 256, (count, 32), dtype=np.uint8)
    hashes[-1] = hashes[0]
    hashes[count // 2] = hashes[1021] ^ 0x55  # mirrored
    assert _found(hashes, SAME_PICTURE) == {(0, count - 1): 0, tuple(sorted((count // 2, 1021))): 0}


def test_no_hashes_have_no_pairs() -> None:
    assert pack_hashes([]).shape == (0, 32)
    assert _found(pack_hashes([]), 256) == {}
    assert join_groups(0, np.zeros(0, int), np.zeros(0, int)).tolist() == []


def _union_find(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Groups numbered by first appearance."""
    parent = list(range(count))

    def root(one: int) -> int:
        while parent[one] != one:
            one = parent[one]
        return one

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(one), len(numbers)) for one in range(count)]


@given(data=st.data(), count=st.integers(1, 30))
def test_groups_are_those_of_a_brute_force_union_find(data: st.DataObject, count: int) -> None:
    place = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=40))
    firsts, seconds = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    groups = join_groups(count, firsts, seconds)
    assert groups.dtype == np.int32
    assert groups.tolist() == _union_find(count, pairs)


def test_a_chain_is_one_group_though_its_ends_are_no_pair() -> None:
    assert join_groups(6, np.array([0, 2, 5]), np.array([2, 3, 1])).tolist() == [0, 1, 0, 0, 2, 1]
