"""Crops to vectors: what is written, what is left out, and what a killed process leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import agelens.data.embedding
from agelens.audit.run import audit
from agelens.audit.settings import AuditSettings
from agelens.data.columns import COLUMNS
from agelens.data.embedding import embed_manifest
from agelens.data.journal import JOURNAL_NAME
from agelens.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from agelens.data.merging import merge
from agelens.data.unpacking import unpack
from agelens.data.vectors import VECTORS_NAME, read_vectors
from agelens.embedders import open_embedder
from agelens.errors import BundleError, DataError, OutputError
from agelens.faces.align import CropSpec, realign_matrix, recrop, warp
from agelens.faces.embedder import Embedder

Write = Callable[..., Path]
Run = Callable[..., Any]
Contents = Callable[[Path], dict[str, str]]
Vectors = npt.NDArray[np.float32]
BATCH = 8
PLACE = ["path", "offset", "length"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five batches of the forty made-up people."""
    monkeypatch.setattr(agelens.data.embedding, "BATCH", BATCH)


@pytest.fixture
def embedder(feature_bundle: Path) -> Embedder:
    """Gives a crop's 768 numbers as they are."""
    return open_embedder(feature_bundle, threads=1)


@pytest.fixture
def store(manifest: Manifest, embedder: Embedder, tmp_path: Path) -> Manifest:
    """The made-up people's vectors."""
    return read_manifest(embed_manifest(manifest, embedder, tmp_path / "store"))


class Odd(Embedder):
    """Makes something odd of the vectors."""

    change: Callable[[Vectors], Vectors] = staticmethod(lambda vectors: vectors)

    def embed_some(self, crops: npt.NDArray[np.uint8]) -> Vectors:
        return self.change(super().embed_some(crops))


@pytest.fixture
def odd(embedder: Embedder) -> Callable[[Callable[[Vectors], Vectors]], Embedder]:
    """``odd(change)``: the same embedder, whose vectors are changed."""

    def make(change: Callable[[Vectors], Vectors]) -> Embedder:
        made = Odd(embedder._network)
        made.change = change
        return made

    return make


def _stop_at(faces: int) -> Callable[[int, int], None]:
    def stop(done: int, total: int) -> None:
        if done == faces:
            raise KeyboardInterrupt

    return stop


def test_vectors_are_those_of_the_aligned_crops(manifest: Manifest, store: Manifest, embedder: Embedder) -> None:
    crops = [recrop(manifest.read_crop(row), manifest.crop, embedder.spec.crop) for _, row in manifest.table.iterrows()]
    assert np.array_equal(read_vectors(store, store.split("all")), embedder.embed(np.stack(crops)))
    assert (store.embedder, store.crop) == (embedder.spec, embedder.spec.crop)


def test_all_columns_but_the_place_are_kept(manifest: Manifest, store: Manifest) -> None:
    rest = [name for name in COLUMNS.names if name not in PLACE]
    pd.testing.assert_frame_equal(store.table[rest], manifest.table[rest])
    assert set(store.table["path"]) == {VECTORS_NAME}


def test_the_matrix_is_a_plain_numpy_file(store: Manifest) -> None:
    matrix = np.load(store.folder / VECTORS_NAME, mmap_mode="r", allow_pickle=False)
    assert (matrix.shape, matrix.dtype.str, matrix.flags.c_contiguous) == ((40, 768), "<f2", True)
    assert {path.name for path in store.folder.iterdir()} == {VECTORS_NAME, MANIFEST_NAME}


def test_crops_of_another_template_are_aligned_by_their_landmarks(
    manifest: Manifest, write_embedder: Write, tmp_path: Path
) -> None:
    embedder = open_embedder(write_embedder())
    table = manifest.table.copy()
    table.at[3, "landmarks"] = None
    made = read_manifest(embed_manifest(replace(manifest, table=table), embedder, tmp_path / "out", dtype="float32"))
    crops = []
    for _, row in table.iterrows():
        landmarks = None if row["landmarks"] is None else row["landmarks"].reshape(5, 2)
        matrix = realign_matrix(manifest.crop, embedder.spec.crop, landmarks)
        crops.append(warp(manifest.read_crop(row), matrix, 112))
    np.testing.assert_allclose(read_vectors(made, made.split("all")), embedder.embed(np.stack(crops)), atol=1e-6)


@pytest.mark.parametrize("faces", [0, 8, 24, 40])
@pytest.mark.parametrize("torn", [False, True])
def test_a_killed_process_goes_on_and_ends_with_the_same_bytes(
    faces: int, torn: bool, manifest: Manifest, store: Manifest, embedder: Embedder, tmp_path: Path, contents: Contents
) -> None:
    out = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        embed_manifest(manifest, embedder, out, progress=_stop_at(faces))
    assert not (out / MANIFEST_NAME).exists()
    if torn:
        for name in (VECTORS_NAME, JOURNAL_NAME):
            with (out / name).open("ab") as stream:
                stream.write(b'{"offset": 5, "len')
    seen: list[int] = []
    embed_manifest(manifest, embedder, out, progress=lambda done, total: seen.append(done))
    assert seen == list(range(faces, 41, BATCH))
    assert contents(out) == contents(store.folder)


def test_workers_change_nothing(
    manifest: Manifest, store: Manifest, embedder: Embedder, tmp_path: Path, contents: Contents
) -> None:
    embed_manifest(manifest, embedder, tmp_path / "many", workers=7)
    assert contents(tmp_path / "many") == contents(store.folder)


def test_called_again_it_does_nothing(manifest: Manifest, store: Manifest, embedder: Embedder) -> None:
    times = {path: path.stat().st_mtime_ns for path in store.folder.iterdir()}
    assert embed_manifest(manifest, embedder, store.folder) == store.folder / MANIFEST_NAME
    assert {path: path.stat().st_mtime_ns for path in store.folder.iterdir()} == times


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("change", ["dtype", "embedder", "manifest"])
def test_other_vectors_are_not_mixed_with_these(
    change: str, finished: bool, manifest: Manifest, embedder: Embedder, write_embedder: Write, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    if finished:
        embed_manifest(manifest, embedder, out)
    else:
        with pytest.raises(KeyboardInterrupt):
            embed_manifest(manifest, embedder, out, progress=_stop_at(16))
    settings: dict[str, Any] = {"manifest": manifest, "embedder": embedder, "dtype": "float16"}
    others = {"dtype": "float32", "manifest": replace(manifest, table=manifest.table.iloc[1:])}
    others["embedder"] = open_embedder(write_embedder()) if change == "embedder" else None
    message = "holds another data set, or other vectors" if finished else rf"with other settings \({change}"
    with pytest.raises(OutputError, match=message) as caught:
        embed_manifest(**(settings | {change: others[change]}), out=out)
    assert "\n" not in str(caught.value)


def test_what_lies_there_is_not_replaced(manifest: Manifest, embedder: Embedder, tmp_path: Path) -> None:
    shutil.copytree(manifest.folder, tmp_path / "crops")
    with pytest.raises(OutputError, match="holds another data set"):
        embed_manifest(read_manifest(tmp_path / "crops"), embedder, tmp_path / "crops")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / VECTORS_NAME).write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"vectors\.npy: is there already"):
        embed_manifest(manifest, embedder, tmp_path / "mine")
    assert (tmp_path / "mine" / VECTORS_NAME).read_bytes() == b"mine"


def test_a_damaged_crop_is_removed_and_the_rest_goes_on(
    edited: Callable[..., Path], embedder: Embedder, store: Manifest, tmp_path: Path
) -> None:
    def odd_places(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[3, "path"] = "gone.pack"
        table.loc[9, "length"] = 7
        return table

    made = read_manifest(
        embed_manifest(read_manifest(edited(tmp_path / "crops", odd_places)), embedder, tmp_path / "o")
    )
    removed = made.table[made.table["removed"].notna()]
    assert removed.index.tolist() == [3, 9]
    assert set(removed["removed"]) == {"unreadable crop"}
    assert removed["detail"].str.split(":").str[0].tolist() == ["gone.pack", "crops.pack"]
    assert removed[[*PLACE, "group", "split", "fold"]].isna().all(axis=None)
    others = store.split("all").drop(index=[3, 9])
    assert np.array_equal(read_vectors(made, made.split("all")), read_vectors(store, others))


def test_what_was_removed_before_stays_removed(edited: Callable[..., Path], embedder: Embedder, tmp_path: Path) -> None:
    def without(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[5, ["removed", "detail", "split"]] = ["duplicate", "copy of x", None]
        return table

    made = read_manifest(embed_manifest(read_manifest(edited(tmp_path / "crops", without)), embedder, tmp_path / "o"))
    assert made.table.loc[5, ["removed", "detail"]].tolist() == ["duplicate", "copy of x"]
    assert pd.isna(made.table.loc[5, "path"])
    assert read_vectors(made, made.split("all")).shape == (39, 768)


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (np.inf, "float32"), (1e5, "float16")])
def test_a_vector_that_is_not_finite_is_left_out(
    value: float, dtype: Any, manifest: Manifest, odd: Callable[..., Embedder], tmp_path: Path
) -> None:
    def spoil(vectors: Vectors) -> Vectors:
        vectors[2:3, 7] = value
        return vectors

    made = read_manifest(embed_manifest(manifest, odd(spoil), tmp_path / "out", dtype=dtype))
    removed = made.table[made.table["removed"].notna()]
    assert removed.index.tolist() == list(range(2, 40, BATCH))
    assert set(removed["removed"]) == {"no vector"}
    assert np.isfinite(read_vectors(made, made.split("all"))).all()


def test_where_nothing_can_be_embedded_nothing_is_written(
    edited: Callable[..., Path], embedder: Embedder, tmp_path: Path
) -> None:
    broken = edited(tmp_path / "crops")
    pack = (broken / "crops.pack").read_bytes()
    (broken / "crops.pack").write_bytes(b"\0" * len(pack))
    with pytest.raises(
        DataError, match=r"no crop can be embedded: 40 unreadable crop \(crops\.pack: a crop is damaged"
    ):
        embed_manifest(read_manifest(broken), embedder, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    (broken / "crops.pack").write_bytes(pack)
    embed_manifest(read_manifest(broken), embedder, tmp_path / "out")


def test_a_network_that_fails_ends_the_work(manifest: Manifest, odd: Callable[..., Embedder], tmp_path: Path) -> None:
    def fail(vectors: Vectors) -> Vectors:
        if len(vectors) > 1:
            raise BundleError("the network failed")
        return vectors

    with pytest.raises(BundleError, match="the network failed"):
        embed_manifest(manifest, odd(fail), tmp_path / "out")


def test_crops_that_show_too_little_are_refused(manifest: Manifest, feature_bundle: Path, tmp_path: Path) -> None:
    narrow = replace(manifest, crop=CropSpec(48, 0.0))
    message = r"margin 0\.000, but 0\.100 is wanted; prepare the data set again for this embedder"
    with pytest.raises(DataError, match=message):
        embed_manifest(narrow, open_embedder(feature_bundle), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_vectors_are_no_crops(store: Manifest, manifest: Manifest, embedder: Embedder, tmp_path: Path) -> None:
    row = store.split("all").iloc[0]
    works: list[Callable[[], object]] = [
        lambda: store.read_crop(row),
        lambda: embed_manifest(store, embedder, tmp_path / "again"),
        lambda: unpack(store, store.table, tmp_path / "files"),
        lambda: merge([manifest.folder, store.folder], tmp_path / "merged"),
        lambda: audit(store.folder, AuditSettings()),
    ]
    for work in works:
        with pytest.raises(DataError, match=r"holds vectors of .*features\.onnx, no crops; take the manifest that"):
            work()
    assert {path.name for path in tmp_path.iterdir()} == {"store", "features.onnx"}


def test_commands_that_need_no_picture_work_on_vectors(store: Manifest, run: Run, tmp_path: Path) -> None:
    shown = run("manifest", "show", store.folder)
    assert store.embedder is not None
    assert f"768 numbers of {store.embedder.name}, fingerprint {store.embedder.fingerprint[:16]}" in shown.out
    assert run("manifest", "show", store.folder, "--json").json["embedder"]["width"] == 768
    assert run("manifest", "check", store.folder).status == 0
    assert run("manifest", "to-csv", store.folder, tmp_path / "table.csv").status == 0
    assert run("stats", store.folder, "--out", tmp_path / "stats").status == 0
    assert {path.name for path in (tmp_path / "stats").iterdir()} == {"stats.json", "histogram.png"}
    assert run("split", store.folder, "--out", tmp_path / "folds", "--folds", 4).status == 0
    folds = read_manifest(tmp_path / "folds")
    assert folds.embedder == store.embedder
    assert set(folds.table["fold"]) == {0, 1, 2, 3}
    assert np.array_equal(read_vectors(folds, folds.split("all")), read_vectors(store, store.split("all")))


def test_the_command_counts_what_it_kept(
    edited: Callable[..., Path], feature_bundle: Path, run: Run, tmp_path: Path
) -> None:
    def odd_place(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(length=table["length"].where(table.index != 9, 7))

    arguments = ("embed", edited(tmp_path / "crops", odd_place), tmp_path / "out", "--embedder", feature_bundle)
    done = run(*arguments, "--dtype", "float32", "--workers", 3)
    assert done.status == 0
    said = f"wrote {tmp_path}/out/manifest.parquet and vectors.npy beside it: 768 numbers a face, float32, of "
    assert done.err == f"{said}{feature_bundle}\n"
    parts = read_manifest(tmp_path / "out").table["split"].value_counts().to_dict()
    rows = {"found": 40, "removed: unreadable crop": 1, "kept": 39, **parts}
    printed = [" ".join(line.split()) for line in done.out.splitlines()]
    assert [line for line in printed if line[-1:].isdigit()] == [f"{name} {count}" for name, count in rows.items()]
    written = (tmp_path / "out/removed.csv").read_text().splitlines()
    assert written == ["faces,count", *(f"{name},{count}" for name, count in rows.items())]
    assert run(*arguments, "--dtype", "float32") == done
    assert "holds another data set, or other vectors" in run(*arguments).complaint


def test_the_commands_help_names_its_options(run: Run) -> None:
    shown = run("embed", "--help")
    assert shown.status == 0
    for option in ("--embedder", "--embedder-scale", "--dtype", "--workers", "--engine"):
        assert option in shown.out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--embedder", "open"), "names no features that its heads take"),
        (("--embedder", "nowhere.onnx"), "nowhere.onnx: no such model file"),
        (("--dtype", "int8"), "int8"),
    ],
)
def test_the_command_refuses_in_one_line(
    options: tuple[str, ...], complaint: str, manifest: Manifest, run: Run, tmp_path: Path
) -> None:
    assert complaint in run("embed", manifest.folder, tmp_path / "out", *options).complaint
    assert not (tmp_path / "out").exists()


def test_an_audit_takes_an_embedder_by_its_path(manifest: Manifest, write_embedder: Write, run: Run) -> None:
    done = run("audit", manifest.folder, "--check", "duplicates", "--embedder", write_embedder(), "--same-face", -1)
    assert "near duplicate" in done.out
    assert "names no features" in run("audit", manifest.folder, "--embedder", "open").complaint
