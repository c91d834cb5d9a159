"""A public data set in; aligned crops and a manifest out, with a reason for every removal.

Rows and crops go to the disk as they come. A preparation that was killed goes on where it stopped, and ends with the
same bytes as one that was not.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from agelens.data.columns import COLUMNS
from agelens.data.copies import remove_copies
from agelens.data.crops import PACK_NAME, PackWriter
from agelens.data.cut import CutSettings, Cutter, label_row, sample_name
from agelens.data.engines import Engine, cut_by_threads
from agelens.data.grouping import SplitPlan, assign_splits
from agelens.data.journal import JOURNAL_NAME, Journal
from agelens.data.manifest import MANIFEST_NAME, open_table, write_batches
from agelens.data.sources import find_source, read_source
from agelens.data.sources.sample import Options, Sample
from agelens.errors import DataError, OutputError
from agelens.faces.detector import Detector
from agelens.faces.yunet import YuNet
from agelens.files import make_folder, real_path

__all__ = ["Preparation", "prepare"]

SETTINGS_KEY: Final = b"agelens.prepared"
ROWS_AT_ONCE: Final = 1024
# The columns that tell which samples belong together.
TELLING: Final = ("source_path", "age", "age_low", "age_high", "gender", "subject", "split", "fold", "digest", "phash")


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to prepare, and how; the same preparation of the same folder gives the same bytes.

    Attributes:
        source: name of the layout, as ``sources.find_source`` knows it.
        cut: how crops are made.
        options: the source's.
        split: how samples are split.
        name: of the data set, for the manifest; empty: the source's.
        drop_duplicates: of files with the same bytes all but the first are removed, and all where labels conflict, as
            those that are listed twice always are.
        make_detector: makes what finds the faces.
    """

    source: str
    cut: CutSettings
    options: Options = field(default_factory=dict)
    split: SplitPlan = field(default_factory=SplitPlan)
    drop_duplicates: bool = False
    name: str = ""
    make_detector: Callable[[], Detector] = YuNet


class _NothingKeptError(DataError):
    pass


def prepare(
    preparation: Preparation,
    folder: Path,
    out: Path,
    *,
    engine: Engine = cut_by_threads,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Detect, align and crop every face of a data set; write crops and ``manifest.parquet`` under ``out``.

    Called again after it was cut off, it goes on; called again when all is done, it does nothing.

    Args:
        preparation: what to prepare, and how.
        folder: the data set as it is distributed; never written to.
        out: folder for the crops and the manifest.
        engine: who does the work.
        workers: threads, or tasks of a cluster, that detect and crop at once.
        progress: called with the number of samples done and their total.

    Returns:
        The manifest's path.

    Raises:
        DataError: the folder is not laid out as the source says, has changed since the preparation was cut off, or
            no sample can be used.
        OutputError: ``out`` cannot be written, holds another prepared data set, or overlaps with ``folder``.
    """
    if real_path(out).is_relative_to(real_path(folder)):
        raise OutputError(f"{out}: lies within the data set's own folder, which is never written to; choose another")
    manifest = out / MANIFEST_NAME
    if os.path.exists(manifest):  # noqa: PTH110 (Path.exists raises on a name that is too long)
        return _finished(manifest, preparation, folder)
    source = find_source(preparation.source)
    total = sum(1 for _ in read_source(source, folder, preparation.options))
    if not total:
        raise DataError(f"{folder}: lists no picture; wanted: {source.layout}")
    make_folder(out)
    folder = folder.absolute()  # a cluster's machines may work in other folders
    with closing(Journal(out / JOURNAL_NAME, _work_settings(preparation))) as journal:
        if manifest.exists():  # another process has finished it meanwhile
            return _finished(manifest, preparation, folder)
        samples = read_source(source, folder, preparation.options)
        _skip_done(journal, samples, folder)
        _cut_rest(journal, samples, folder, out, preparation, engine, workers, lambda done: progress(done, total))
        try:
            found = _belonging(journal, preparation)
        except _NothingKeptError:  # whoever mends that has other pictures: begin anew then
            (out / JOURNAL_NAME).unlink()
            raise
        settings = {SETTINGS_KEY.decode(): json.dumps(_settings(preparation))}
        write_batches(_batches(journal, found), preparation.cut.crop, manifest, settings)
        (out / JOURNAL_NAME).unlink()
    return manifest


def _finished(manifest: Path, preparation: Preparation, folder: Path) -> Path:
    """The manifest that is there, once it is known to be of this preparation and of this folder as it is now."""
    table, _, _ = open_table(manifest)
    made = (table.schema.metadata or {}).get(SETTINGS_KEY)
    if made is None or json.loads(made) != json.loads(json.dumps(_settings(preparation))):
        raise OutputError(
            f"{manifest.parent}: holds a data set that was prepared in another way; "
            "remove it first, or choose another folder"
        )
    samples = read_source(find_source(preparation.source), folder, preparation.options)
    if table["source_path"].to_pylist() != [sample_name(sample.path, folder) for sample in samples]:
        raise OutputError(
            f"{manifest.parent}: was prepared from other pictures than {folder} has now; "
            "remove it first, or choose another folder"
        )
    manifest.with_name(JOURNAL_NAME).unlink(missing_ok=True)
    return manifest


def _work_settings(preparation: Preparation) -> dict[str, Any]:
    """What rows and crops depend on, in plain values."""
    return {
        "source": preparation.source,
        "options": dict(preparation.options),
        **asdict(preparation.cut),
        "detector": getattr(preparation.make_detector, "__name__", type(preparation.make_detector).__name__),
    }


def _settings(preparation: Preparation) -> dict[str, Any]:
    split = asdict(preparation.split)
    split["val_names"] = sorted(preparation.split.val_names or ()) or None
    last = {
        "split": split,
        "drop_duplicates": preparation.drop_duplicates,
        "name": preparation.name or preparation.source,
    }
    return {**_work_settings(preparation), **last}


def _skip_done(journal: Journal, samples: Iterator[Sample], folder: Path) -> None:
    for row, sample in zip_longest(journal.rows(), islice(samples, journal.count)):
        if sample is None or row != {**row, **label_row(sample, folder)}:
            raise DataError(
                f"{folder}: has changed since its preparation was cut off (there was {row.get('source_path')}); "
                "remove the unfinished folder and prepare anew"
            )


def _cut_rest(
    journal: Journal,
    samples: Iterator[Sample],
    folder: Path,
    out: Path,
    preparation: Preparation,
    engine: Engine,
    workers: int,
    progress: Callable[[int], None],
) -> None:
    make_cutter = partial(Cutter, folder, preparation.cut, preparation.make_detector)  # all that a cluster is sent
    progress(journal.count)
    with closing(PackWriter(out / PACK_NAME, journal.last_crop_end)) as pack:
        for cut in engine(make_cutter, samples, workers):
            place: Mapping[str, Any] = {}
            if cut.jpeg:
                offset, length = pack.append(cut.jpeg)
                place = {"path": PACK_NAME, "offset": offset, "length": length}
            journal.append({**cut.row, **place})
            progress(journal.count)
        pack.flush()


def _belonging(journal: Journal, preparation: Preparation) -> pd.DataFrame:
    """What only all samples together tell of each: copies that are removed, groups, splits and folds."""
    schema = pa.schema([COLUMNS.field(name) for name in (*TELLING, "removed")])
    batches = [pa.RecordBatch.from_pylist(rows, schema=schema) for rows in _parts(journal)]
    frame: pd.DataFrame = pa.Table.from_batches(batches, schema=schema).to_pandas()
    frame["dataset"] = preparation.name or preparation.source
    frame["removed"] = remove_copies(frame, "source_path")  # a table may name a picture twice
    if preparation.drop_duplicates:
        frame["removed"] = remove_copies(frame, "digest")
    if not frame["removed"].isna().any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in frame["removed"].value_counts().items())
        raise _NothingKeptError(f"no sample can be used: {reasons}")
    assign_splits(frame, preparation.split)
    return frame[["dataset", "removed", "group", "split", "fold"]]


def _batches(journal: Journal, found: pd.DataFrame) -> Iterator[pa.RecordBatch]:
    """The manifest's rows, some at a time: those of the journal with what was found."""
    start = 0
    for rows in _parts(journal):
        batch = pa.RecordBatch.from_pylist(rows, schema=COLUMNS)
        for name, values in found.iloc[start : start + len(rows)].items():
            column = pa.Array.from_pandas(values, type=COLUMNS.field(name).type)
            batch = batch.set_column(COLUMNS.get_field_index(name), COLUMNS.field(name), column)
        yield batch
        start += len(rows)


def _parts(journal: Journal) -> Iterator[list[dict[str, Any]]]:
    rows = journal.rows()
    while part := list(islice(rows, ROWS_AT_ONCE)):
        yield part
