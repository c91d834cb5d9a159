"""What a service is started with."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from agelens.bundle import DEFAULT
from agelens.errors import ConfigError
from agelens.serve.logs import LogKind

__all__ = ["SETTINGS", "ServeSettings", "read_keys", "settings_from_environment"]

KEYS_FILE: Final = "keys_file"
SETTINGS: Final = "AGELENS_SERVE"  # variable of the environment by which the command tells its workers


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Limits and choices of one service.

    Attributes:
        model: name of a built-in model, or a bundle's path.
        detector: name of the face detector.
        level: of the intervals.
        embedder: for a bundle that takes vectors: what makes them from photos; empty for the one that it names.
        max_bytes: of a request's body.
        max_held: bytes of the bodies of all requests in one process; more are refused with 503.
        max_images: of a request.
        max_faces: of an image.
        max_pixels: of an image, by its header, before anything is decoded.
        max_vectors: of a request.
        threads: that decode and look for faces in each process; 0 for as many as there are cores.
        batch_size: faces for one run of the network, about.
        batch_wait: milliseconds that the first photo of a batch waits for others.
        queue: images that wait or are in work, at most; more are refused with 503.
        head_seconds: that a request's first lines, before its body, may take.
        request_seconds: that a request may take, from its body's first byte to its answer.
        rate: requests a second of one client, on average; 0 for any number. More are refused with 429.
        burst: requests that one client may send at once where there is a rate.
        keys: bearer keys, one of which a request must carry; none: everybody may ask.
        origins: of other pages that may ask from a browser (CORS); none by default.
        log: of requests: "text", "json" or "none".
    """

    model: str = DEFAULT
    detector: str = "yunet"
    level: float = 0.9
    embedder: str = ""
    max_bytes: int = 20 * 2**20
    max_held: int = 512 * 2**20
    max_images: int = 16
    max_faces: int = 100
    max_pixels: int = 40_000_000
    max_vectors: int = 4096
    threads: int = 0
    batch_size: int = 4
    batch_wait: float = 5.0
    queue: int = 32
    head_seconds: float = 10.0
    request_seconds: float = 20.0
    rate: float = 0.0
    burst: int = 20
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    log: LogKind = "text"

    def __post_init__(self) -> None:
        """
        Raises:
            ConfigError: a time or a rate is no number.
        """
        for name in ("batch_wait", "head_seconds", "request_seconds", "rate"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)}; wanted a number")

    @property
    def images_at_once(self) -> int:
        """Of a request: more than the queue would never find room."""
        return min(self.max_images, self.queue)

    @property
    def body_bytes(self) -> int:
        """Of a request: more than can be held would never find room."""
        return min(self.max_bytes, self.max_held)

    def to_json(self, keys_file: Path | None = None) -> str:
        """For the environment, in which keys do not stand: each process reads them from their file."""
        told = asdict(replace(self, keys=()))
        return json.dumps(told if keys_file is None else {**told, KEYS_FILE: str(keys_file.resolve())})


def settings_from_environment() -> ServeSettings:
    """What the command told its workers; the usual ones where it told nothing.

    Raises:
        ConfigError: the file of keys cannot be read, or holds none.
    """
    return _settings(os.environ.get(SETTINGS, "{}"))


@cache
def _settings(told: str) -> ServeSettings:
    raw = json.loads(told)
    file = raw.pop(KEYS_FILE, "")
    lists = {name: tuple(raw[name]) for name in ("keys", "origins") if name in raw}
    found = ServeSettings(**{**raw, **lists})
    return replace(found, keys=read_keys(Path(file))) if file else found


def read_keys(path: Path) -> tuple[str, ...]:
    """The bearer keys of a file, one a line; a line that begins with # is a comment.

    Raises:
        ConfigError: it cannot be read, or a line is no key.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"--keys {path}: cannot be read ({error})") from error
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found or any(len(key) < 16 or not key.isascii() for key in found):
        raise ConfigError(f"--keys {path}: wanted a key of at least 16 ASCII characters in each line")
    return found
