"""Which pictures are the same: exactly, by their files' bytes, and nearly, by a perceptual hash of their crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

__all__ = ["SAME_PICTURE", "digest", "join_groups", "near_pairs", "pack_hashes", "perceptual_hash"]

# Coefficients kept of a cosine transform of this many pixels a side: 16 x 16 signs.
SIDE: Final = 64
KEPT: Final = 16

# Bits of 256 by which two hashes may differ and still be one picture. Looked at by eye on UTKFace's 848 closest pairs:
# up to 42 all but a handful are one photo, re-encoded, recoloured or cut again; from 52 on most are two people.
SAME_PICTURE: Final = 44

# Hashes compared at once: 512 x 512 distances are 1 MB, whatever the number of pictures.
TILE: Final = 512

# A mirrored picture has the signs of its odd horizontal frequencies turned.
MIRROR: Final = np.tile(np.arange(KEPT) % 2 == 1, KEPT)


def digest(data: bytes) -> str:
    """What identifies the bytes of a file: 32 hexadecimal digits (BLAKE2b of 16 bytes)."""
    return blake2b(data, digest_size=16).hexdigest()


def perceptual_hash(crop: npt.NDArray[np.uint8]) -> str:
    """What a crop looks like: (H, W, 3) uint8 → 64 hexadecimal digits, 256 bits of which copies share most.

    The signs of the lowest 16 x 16 frequencies of the grey crop: Zauner, "Implementation and benchmarking of perceptual
    image hash functions", 2010, with signs instead of comparisons with the median, so that a mirrored crop's hash
    follows from the hash.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:KEPT, :KEPT].copy()
    low[0, 0] = 0  # brightness is not what the picture shows
    return np.packbits(low.ravel() > 1e-3).tobytes().hex()


def pack_hashes(hashes: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Hashes as ``perceptual_hash`` gives them → (N, 32) uint8."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), 32)


def near_pairs(
    hashes: npt.NDArray[np.uint8], most_bits: int = SAME_PICTURE
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]]:
    """Pairs of pictures whose hashes, or one's hash and the other's mirrored, differ in at most ``most_bits`` bits.

    Every pair is compared, a tile at a time: time grows with N², memory does not.

    Args:
        hashes: (N, 32) uint8, of ``pack_hashes``.
        most_bits: 0…256.

    Yields:
        first, second and the number of bits that differ, (M,) each, first < second.
    """
    for row in range(0, len(hashes), TILE):
        ours = _signs(hashes[row : row + TILE])
        both = np.concatenate([ours, np.where(MIRROR, -ours, ours)])
        for column in range(row, len(hashes), TILE):
            theirs = _signs(hashes[column : column + TILE])
            # signs agree in (256 + product) / 2 places
            plain, mirrored = np.split((both @ theirs.T), 2)
            bits = ((256 - np.maximum(plain, mirrored)) / 2).astype(np.int32)
            first, second = np.nonzero(bits <= most_bits)
            once = first + row < second + column
            first, second = first[once], second[once]
            yield first + row, second + column, bits[first, second]


def _signs(hashes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1


def join_groups(
    count: int, firsts: npt.NDArray[np.integer[Any]], seconds: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.int32]:
    """Number ``count`` things so that those which a pair joins, directly or in a chain, share a number.

    Args:
        count: of the things.
        firsts: (M,) positions, 0…count-1.
        seconds: (M,) positions; the m-th pair is (firsts[m], seconds[m]).

    Returns:
        (count,) int32, counted from 0 in the order of first appearance.
    """
    graph = coo_matrix((np.ones(len(firsts), dtype=bool), (firsts, seconds)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int32)
