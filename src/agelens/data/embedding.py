"""A manifest's crops in; an embedder's vectors and a manifest of them out.

Vectors go to the disk as they come, a batch at a time. Work that was killed goes on where it stopped, and ends with the
same bytes as work that was not: batches are the same ones then, for a network's last digits may depend on how many
faces it sees at once.
"""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from agelens.data.columns import COLUMNS
from agelens.data.crops import PackWriter
from agelens.data.embedding_batch import BatchEmbedder
from agelens.data.journal import JOURNAL_NAME, Journal
from agelens.data.manifest import MANIFEST_NAME, Manifest, open_table, write_manifest
from agelens.data.selection import select_rows
from agelens.data.vectors import VECTORS_NAME, Kind, kind_of, vectors_header
from agelens.data.work import Made, Mapper, map_by_threads
from agelens.errors import DataError, OutputError
from agelens.faces.align import realign_matrix
from agelens.faces.embedder import Embedder
from agelens.files import make_folder

__all__ = ["embed_manifest"]

SETTINGS_KEY: Final = b"agelens.embedded"
BATCH: Final = 64
PLACE: Final = ("path", "offset", "length", "landmarks")
SHORT: Final = 16  # digits of a digest in settings, which are shown to people

Progress = Callable[[int, int], None]


def embed_manifest(
    manifest: Manifest,
    embedder: Embedder,
    out: Path,
    *,
    dtype: Kind = "float16",
    engine: Mapper = map_by_threads,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Embed every crop of a manifest; write ``vectors.npy`` and ``manifest.parquet`` under ``out``.

    The new manifest has the rows and the columns of the old one, splits and folds included, with a vector's place in
    that of its crop. A crop that cannot be read, or of which the network makes no vector, is removed, with the reason.
    Called again after it was cut off, it goes on; called again when all is done, it does nothing.

    Args:
        manifest: with crops.
        embedder: best opened with one thread, since several workers run it at once.
        out: folder for the vectors and the manifest.
        dtype: of the stored numbers.
        engine: who does the work.
        workers: threads, or tasks of a cluster, that read, align and embed at once.
        progress: called with the number of faces done and their total.

    Returns:
        The new manifest's path.

    Raises:
        DataError: the manifest holds vectors, none of its crops can be used, or they show less than the embedder wants.
        BundleError: the network fails.
        OutputError: ``out`` cannot be written, or holds another data set.
    """
    manifest.check_crops()
    _check_fit(manifest, embedder)
    kept = select_rows(manifest.table, "kept")
    settings = _settings(manifest, embedder, dtype)
    target = out / MANIFEST_NAME
    if os.path.exists(target):  # noqa: PTH110 (Path.exists raises on a name that is too long)
        return _finished(target, settings)
    _check_free(make_folder(out))
    with closing(Journal(out / JOURNAL_NAME, settings, "an unfinished embedding")) as journal:
        if target.exists():  # another process has finished it meanwhile
            return _finished(target, settings)
        rowless = replace(manifest, table=manifest.table.iloc[:0], folder=manifest.folder.absolute())
        make_work = partial(BatchEmbedder, rowless, embedder, dtype)  # all that a cluster is sent
        made = engine(make_work, _batches(kept, journal.count), workers)
        with closing(PackWriter(out / VECTORS_NAME, journal.last_crop_end)) as pack:
            if not journal.count:
                pack.append(vectors_header(len(kept), embedder.spec.width, dtype))
            _write(journal, pack, made, lambda batches: progress(min(batches * BATCH, len(kept)), len(kept)))
        embedded = _with_vectors(manifest, kept, journal, embedder, dtype)
        if not embedded.table["removed"].isna().any():  # whoever mends that has other crops: begin anew then
            (out / JOURNAL_NAME).unlink()
            (out / VECTORS_NAME).unlink()
            raise DataError(f"{manifest.folder}: no crop can be embedded: {_reasons(embedded.table.loc[kept.index])}")
        write_manifest(embedded, target, {SETTINGS_KEY.decode(): json.dumps(settings)})
        (out / JOURNAL_NAME).unlink()
    return target


def _check_fit(manifest: Manifest, embedder: Embedder) -> None:
    try:
        realign_matrix(manifest.crop, embedder.spec.crop)
    except ValueError as error:
        raise DataError(f"{manifest.folder}: {error}; prepare the data set again for this embedder") from error


def _settings(manifest: Manifest, embedder: Embedder, dtype: Kind) -> dict[str, Any]:
    """What the vectors depend on, in plain values."""
    rows = pa.Table.from_pandas(manifest.table, schema=COLUMNS, preserve_index=False).to_pylist()
    digest = hashlib.sha256(json.dumps([asdict(manifest.crop), *rows]).encode()).hexdigest()
    fingerprint = embedder.spec.fingerprint
    return {"manifest": digest[:SHORT], "embedder": fingerprint[:SHORT], "dtype": dtype, "batch": BATCH}


def _finished(target: Path, settings: dict[str, Any]) -> Path:
    """The manifest that is there, once it is known to be made so."""
    table, _, _ = open_table(target)
    made = (table.schema.metadata or {}).get(SETTINGS_KEY)
    if made is None or json.loads(made) != settings:
        raise OutputError(
            f"{target.parent}: holds another data set, or other vectors; remove it first, or choose another folder"
        )
    target.with_name(JOURNAL_NAME).unlink(missing_ok=True)
    return target


def _check_free(out: Path) -> None:
    if os.path.lexists(out / VECTORS_NAME) and not os.path.lexists(out / JOURNAL_NAME):
        raise OutputError(f"{out / VECTORS_NAME}: is there already; remove it first, or choose another folder")


def _write(journal: Journal, pack: PackWriter, made: Iterator[Made], progress: Callable[[int], None]) -> None:
    progress(journal.count)
    for missing, vectors in made:
        offset, length = pack.append(vectors)
        pack.flush()  # before the journal says that they are there
        journal.append({"offset": offset, "length": length, "missing": json.loads(missing)})
        progress(journal.count)


def _batches(kept: pd.DataFrame, done: int) -> Iterator[str]:
    """Where the crops of the batches from ``done`` on lie, and how their faces lie in them."""
    schema = pa.schema([COLUMNS.field(name) for name in PLACE])
    for start in range(done * BATCH, len(kept), BATCH):
        rows = kept.iloc[start : start + BATCH]
        yield json.dumps(pa.Table.from_pandas(rows, schema=schema, preserve_index=False).to_pylist())


def _with_vectors(
    manifest: Manifest, kept: pd.DataFrame, journal: Journal, embedder: Embedder, dtype: Kind
) -> Manifest:
    """The manifest with the vectors' places, and without those that have none."""
    spec, table = embedder.spec, manifest.table.copy()
    size = spec.width * kind_of(dtype).itemsize
    table["path"], table["offset"], table["length"] = None, np.nan, np.nan
    table.loc[kept.index, "path"] = VECTORS_NAME
    table.loc[kept.index, "offset"] = len(vectors_header(len(kept), spec.width, dtype)) + size * np.arange(len(kept))
    table.loc[kept.index, "length"] = size
    for number, row in enumerate(journal.rows()):
        for place, said in row["missing"].items():
            index = kept.index[number * BATCH + int(place)]
            table.loc[index, ["removed", "detail"]] = said
            table.loc[index, ["path", "offset", "length", "group", "split", "fold"]] = None
    return replace(manifest, table=table, crop=spec.crop, embedder=spec)


def _reasons(rows: pd.DataFrame) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in rows["removed"].value_counts().items())
    return f"{counts} ({rows['detail'].iloc[0]})"
