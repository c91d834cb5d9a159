"""Photos as faults of disks, networks and attackers leave them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image

__all__ = ["WAYS", "corrupted", "recoded"]

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
HURTFUL: Final = (0x00, 0xFF, 0x7F, 0x80, 0xD9, 0xC4)


def recoded(photo: bytes, side: int = 160) -> list[bytes]:
    """A photo, small, as a file of every kind that is read."""
    files = []
    with Image.open(BytesIO(photo)) as image:
        small = image.convert("RGB").resize((side, side))
    for name in FORMATS:
        stream = BytesIO()
        small.save(stream, format=name)
        files.append(stream.getvalue())
    return files


def corrupted(files: Sequence[bytes], random: np.random.Generator) -> bytes:
    """One of the files, with one to three faults."""
    data = files[int(random.integers(len(files)))]
    for _ in range(int(random.integers(1, 4))):
        way = WAYS[int(random.integers(len(WAYS)))]
        data = way(data, random, files[int(random.integers(len(files)))])
    return data or b"\0"


def _place(data: bytes, random: np.random.Generator) -> int:
    """Anywhere, half of the time in the first 200 bytes, where the headers are."""
    end = max(1, len(data) if random.random() < 0.5 else min(len(data), 200))
    return int(random.integers(end))


def _cut_off(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: _place(data, random)]


def _flipped(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 64))):
        if changed:
            changed[_place(data, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _overwritten(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    start = _place(data, random)
    what = bytes([HURTFUL[int(random.integers(len(HURTFUL)))]]) * int(random.integers(1, 32))
    return data[:start] + what + data[start + len(what) :]


def _left_out(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    start = _place(data, random)
    return data[:start] + data[start + int(random.integers(1, 500)) :]


def _repeated(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    start = _place(data, random)
    return data[:start] + data[start : start + 300] * int(random.integers(2, 20)) + data[start:]


def _joined(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    return data[: _place(data, random)] + other[_place(other, random) :]


def _lying(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    """Four bytes of the header, where sizes are, become a huge or odd number."""
    start = _place(data[:60], random)
    number = (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 50_000)[int(random.integers(6))]
    order = "big" if random.random() < 0.5 else "little"
    return data[:start] + number.to_bytes(4, order) + data[start + 4 :]  # type: ignore[arg-type]


def _lying_with_a_checksum(data: bytes, random: np.random.Generator, other: bytes) -> bytes:
    """A PNG's size is changed and its checksum made right again; other files lie plainly."""
    if not data.startswith(b"\x89PNG") or len(data) < 33:
        return _lying(data, random, other)
    wide, high = (int(random.integers(1, 2**16)) for _ in range(2))
    header = b"IHDR" + wide.to_bytes(4, "big") + high.to_bytes(4, "big") + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


WAYS: Final[Sequence[Callable[[bytes, np.random.Generator, bytes], bytes]]] = (
    _cut_off,
    _flipped,
    _overwritten,
    _left_out,
    _repeated,
    _joined,
    _lying,
    _lying_with_a_checksum,
)
