"""A small data set, prepared without a break and up to the manifest."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import agelens.data.prepare
from agelens.data.manifest import Manifest
from agelens.errors import OutputError
from agelens.faces.detector import Detection, FixedDetector


class Counting:
    """Counts the pictures in which faces are looked for; ends the process, as it were, after the ``last``."""

    def __init__(self, faces: list[Detection], last: int) -> None:
        self._faces, self._last, self._lock = faces, last, threading.Lock()
        self.count = 0

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Detection]:
        with self._lock:
            if self.count == self._last:
                raise KeyboardInterrupt
            self.count += 1
        return self._faces


@pytest.fixture
def counting(detector: FixedDetector) -> Callable[..., Counting]:
    """``counting(7)`` is the fixed detector, which counts, and ends the process at the eighth picture."""
    return lambda last=1_000_000: Counting(detector.detect(np.zeros((1, 1, 3), np.uint8)), last)


@pytest.fixture
def people(faces_folder: Path, tmp_path: Path) -> Path:
    """Twelve of the made-up people, a picture without labels, and a file that is no picture."""
    folder = tmp_path / "people"
    folder.mkdir()
    for path in sorted(faces_folder.iterdir())[:12]:
        shutil.copy(path, folder)
    shutil.copy(folder / path.name, folder / "nobody.jpg")
    (folder / "20_0_0_text.jpg").write_text("no picture")
    return folder


@pytest.fixture
def whole(people: Path, tmp_path: Path, prepared: Callable[..., Manifest]) -> Path:
    """These people prepared without a break."""
    return prepared(people, tmp_path / "whole", val_share=0.25).folder


@pytest.fixture
def unfinished(
    people: Path, tmp_path: Path, prepared: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The same but for the manifest: its journal and its pack are whole."""

    def fail(*_: object) -> None:
        raise OutputError("no luck")

    out = tmp_path / "unfinished"
    with monkeypatch.context() as patch:
        patch.setattr(agelens.data.prepare, "write_batches", fail)
        with pytest.raises(OutputError, match="no luck"):
            prepared(people, out, val_share=0.25)
    assert sorted(path.name for path in out.iterdir()) == ["crops.pack", "unfinished.jsonl"]
    return out
