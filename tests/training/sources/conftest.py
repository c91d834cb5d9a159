"""Data sets in miniature, in the layouts in which the real ones come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agelens.data.sources import SOURCES, Sample, read_source

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("a/1.jpg", "t.csv", text="…")`` makes files in the data folder, empty or all of one text or bytes."""

    def make(*names: str, text: str | bytes = b"") -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path

    return make


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """``read("csv", age="years")`` gives every sample of the data folder; none may lie outside it."""

    def samples(name: str, /, **options: str) -> list[Sample]:
        found = list(read_source(SOURCES[name], tmp_path, options))
        assert all(sample.path.is_relative_to(tmp_path) for sample in found)
        return found

    return samples


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    if not (folder := os.environ.get("AGELENS_DATA")):
        pytest.skip("AGELENS_DATA is not set")
    return Path(folder)
