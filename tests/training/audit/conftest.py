"""Small manifests, made row by row; and the faults that benchmarks plant into real faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from agelens.audit.findings import Finding
from agelens.audit.run import audit
from agelens.audit.settings import AuditSettings
from agelens.data.columns import COLUMNS
from agelens.data.crops import PACK_NAME, encode
from agelens.data.duplicates import digest, perceptual_hash
from agelens.data.manifest import MANIFEST_NAME, Manifest, write_manifest
from agelens.faces.align import CropSpec

Picture = npt.NDArray[np.uint8]
Make = Callable[..., Path]

SPEC = CropSpec(size=64, margin=0.1)


@pytest.fixture(scope="session")
def planting(load_script: Callable[[str], ModuleType]) -> ModuleType:
    """benchmarks/planting.py."""
    return load_script("benchmarks/planting.py")


@pytest.fixture
def make(tmp_path: Path, made_up_face: Callable[[int, int], Picture]) -> Make:
    """Writes a manifest of the given rows, as ``make({"age": 30}, {"face": 0, "split": "val"})``.

    ``face`` is a picture or the number of a made-up person, by default a new one; ``digest`` and ``phash`` are those of
    the picture. A ``name`` makes a folder other than the last one.
    """

    def write(*rows: dict[str, Any], name: str = "crops") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        table, pack = [], b""
        for number, row in enumerate(rows):
            face = row.pop("face", number)
            picture = made_up_face(face, 60) if isinstance(face, int) else face
            jpeg = encode(picture)
            known = {
                "path": PACK_NAME,
                "offset": len(pack),
                "length": len(jpeg),
                "source_path": f"{number:03d}.jpg",
                "dataset": "made up",
                "age": 30.0,
                "gender": "male",
                "split": "train",
                "score": 0.9,
                "digest": digest(picture.tobytes()),
                "phash": perceptual_hash(picture),
            }
            table.append(dict.fromkeys(COLUMNS.names) | known | row)
            pack += jpeg
        (folder / PACK_NAME).write_bytes(pack)
        frame = pd.DataFrame(table, columns=COLUMNS.names)
        write_manifest(Manifest(frame, SPEC, folder), folder / MANIFEST_NAME)
        return folder / MANIFEST_NAME

    return write


@pytest.fixture
def look() -> Callable[..., list[Finding]]:
    """``look(manifest, "labels")``: what an audit with these checks finds."""

    def find(path: Path, *checks: Any, **settings: Any) -> list[Finding]:
        return list(audit(path, AuditSettings(checks=checks, **settings)).findings)

    return find
