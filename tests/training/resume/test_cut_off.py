"""A preparation that was cut off goes on where it stopped, and ends with the same bytes as one that was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data.manifest import Manifest
from agelens.errors import DataError, OutputError
from agelens.faces.detector import FixedDetector

Prepared = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, str]]
MakeCounting = Callable[..., Any]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_cut_off_anywhere_it_ends_with_the_same_bytes_and_cuts_nothing_twice(
    data: st.DataObject,
    unfinished: Path,
    whole: Path,
    people: Path,
    tmp_path: Path,
    counting: MakeCounting,
    prepared: Prepared,
    contents: Contents,
) -> None:
    journal, pack = ((unfinished / name).read_bytes() for name in ("unfinished.jsonl", "crops.pack"))
    left = journal[: data.draw(st.integers(0, len(journal)))]
    rows = [json.loads(line) for line in left.splitlines(keepends=True)[1:] if line.endswith(b"\n")]
    known = sum(row.get("length") or 0 for row in rows)
    out = tmp_path / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    (out / "unfinished.jsonl").write_bytes(left)
    # crops are written before their rows: the pack may hold more, or half a crop more
    end = data.draw(st.integers(known, len(pack)))
    (out / "crops.pack").write_bytes(pack[:end] + data.draw(st.binary(max_size=9)))

    detector = counting()
    prepared(people, out, detector=detector, val_share=0.25, workers=data.draw(st.sampled_from([1, 3])))
    assert contents(out) == contents(whole)
    assert detector.count == 12 - sum(row.get("removed") is None for row in rows)


@pytest.mark.parametrize("last", [0, 1, 7, 11])
def test_interrupted_it_goes_on_with_what_it_had(
    last: int, whole: Path, people: Path, tmp_path: Path, counting: MakeCounting, prepared: Prepared, contents: Contents
) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepared(people, tmp_path / "out", detector=counting(last), val_share=0.25, workers=1)
    progress: list[tuple[int, int]] = []
    prepared(people, tmp_path / "out", val_share=0.25, progress=lambda *done: progress.append(done))
    assert contents(tmp_path / "out") == contents(whole)
    assert progress[0][0] >= last
    assert progress[-1] == (14, 14)


def test_failing_at_the_end_leaves_no_manifest_and_nothing_to_cut_again(
    unfinished: Path, whole: Path, people: Path, counting: MakeCounting, prepared: Prepared, contents: Contents
) -> None:
    prepared(people, unfinished, detector=counting(0), val_share=0.25)
    assert contents(unfinished) == contents(whole)


def test_without_a_usable_sample_no_manifest_is_made_however_often(
    people: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    message = "no sample can be used: 12 no face, 1 unreadable, 1 bad label"
    with pytest.raises(DataError, match=message):
        prepared(people, tmp_path / "out", detector=FixedDetector())
    before = contents(tmp_path / "out")
    assert sorted(before) == ["crops.pack"]  # nothing to go on from: the pictures may be mended meanwhile
    with pytest.raises(DataError, match=message):
        prepared(people, tmp_path / "out", detector=FixedDetector())
    assert contents(tmp_path / "out") == before


def test_a_finished_preparation_of_other_pictures_is_refused(
    people: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    out = tmp_path / "out"
    prepared(people, out)
    before = contents(out)
    (people / "41_0_0_20190101000000000.jpg").write_bytes(b"new")
    with pytest.raises(OutputError, match=f"{out}: was prepared from other pictures than {people} has now"):
        prepared(people, out)
    assert contents(out) == before


def test_splits_may_be_others_when_it_goes_on(
    unfinished: Path, people: Path, counting: MakeCounting, prepared: Prepared
) -> None:
    made = prepared(people, unfinished, detector=counting(0), val_share=0.5, folds=3)
    assert len(made.split("val")) == 6
    assert made.table["fold"].nunique() == 3


def test_pictures_that_were_added_behind_are_cut_too(unfinished: Path, people: Path, prepared: Prepared) -> None:
    shutil.copy(next(people.glob("*chip.jpg")), people / "zz.jpg")
    assert len(prepared(people, unfinished).table) == 15


@pytest.mark.parametrize("line", [0, 1, 7])
def test_behind_garbage_in_the_journal_all_is_done_again(
    line: int, unfinished: Path, whole: Path, people: Path, prepared: Prepared, contents: Contents
) -> None:
    lines = (unfinished / "unfinished.jsonl").read_bytes().splitlines(keepends=True)
    lines[line] = b"\0" * len(lines[line])
    (unfinished / "unfinished.jsonl").write_bytes(b"".join(lines))
    prepared(people, unfinished, val_share=0.25)
    assert contents(unfinished) == contents(whole)


def test_the_journal_grows_with_the_work(people: Path, tmp_path: Path, prepared: Prepared) -> None:
    counts: list[int] = []

    def look(done: int, total: int) -> None:
        counts.append(len((tmp_path / "out/unfinished.jsonl").read_bytes().splitlines()) - 1)

    prepared(people, tmp_path / "out", progress=look)
    assert counts == list(range(15))
