"""A made-up store of vectors: a few hundred faces, whose first numbers tell their ages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agelens.data.columns import COLUMNS
from agelens.data.manifest import Manifest, read_manifest, write_manifest
from agelens.data.vectors import VECTORS_NAME
from agelens.embed.config import MlpConfig, MlpOptim, MlpSection, VectorsConfig
from agelens.faces.align import CropSpec
from agelens.faces.embedder import EmbedderSpec

WIDTH = 12
FACES = 240
SPEC = EmbedderSpec("made-up", "ab" * 32, WIDTH, CropSpec(112, 0.0, "arcface"), "crops")

MakeStore = Callable[..., Manifest]


def _table(count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(0, 1, (count, WIDTH)).astype(np.float32)
    age = np.clip(40 + 15 * vectors[:, 0] + rng.normal(0, 2, count), 0, 100).round()
    table = pd.DataFrame({name: [None] * count for name in COLUMNS.names})
    told = {
        "path": VECTORS_NAME,
        "source_path": [f"{seed}-{number}.jpg" for number in range(count)],
        "dataset": "utkface",
        "age": age,
        "gender": np.where(vectors[:, 1] > 0, "male", "female"),
        "group": np.arange(count),
        "split": np.where(np.arange(count) % 5 == 0, "val", "train"),
        "fold": np.arange(count) % 3,
    }
    return table.assign(**told), vectors


@pytest.fixture(scope="session")
def make_store() -> MakeStore:
    """``make_store(folder, change=…, spec=…)``: vectors of made-up faces, whose table ``change`` made another."""

    def make(
        folder: Path,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        *,
        spec: EmbedderSpec = SPEC,
        seed: int = 0,
        count: int = FACES,
        broken: bool = False,
        unit: bool = False,
    ) -> Manifest:
        table, vectors = _table(count, seed)
        if vectors.shape[1] != spec.width:
            vectors = np.pad(vectors, ((0, 0), (0, spec.width - vectors.shape[1])))
        if unit:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if broken:
            vectors[3, 4] = np.nan
        folder.mkdir(parents=True)
        np.save(folder / VECTORS_NAME, vectors)
        start = (folder / VECTORS_NAME).stat().st_size - vectors.nbytes
        size = vectors[0].nbytes
        table = table.assign(offset=start + size * np.arange(count), length=size)
        write_manifest(Manifest(change(table), spec.crop, folder, spec), folder / "manifest.parquet")
        return read_manifest(folder)

    return make


@pytest.fixture(scope="session")
def vectors_store(make_store: MakeStore, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Vectors of made-up faces. Not to be written to."""
    return make_store(tmp_path_factory.mktemp("vectors") / "made-up")


@pytest.fixture(scope="session")
def vectors_config(vectors_store: Manifest) -> MlpConfig:
    """Three epochs of a small network that tells age and gender."""
    return MlpConfig(
        data=VectorsConfig(manifest=vectors_store.folder, batch_size=16),
        mlp=MlpSection(width=8, blocks=1, residuals=1, dropout=0.2),
        gender={"weight": 0.5},
        optim=MlpOptim(epochs=3, lr=0.01),
        precision="float32",
    )


@pytest.fixture(scope="session")
def elsewhere(vectors_store: Manifest) -> Callable[..., EmbedderSpec]:
    """``elsewhere(width=…)``: another embedder."""
    return lambda **changes: replace(SPEC, fingerprint="cd" * 32, name="another", **changes)
