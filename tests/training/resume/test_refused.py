"""When a preparation that was cut off cannot be gone on with: what is there stays, and the reason is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agelens.data.manifest import Manifest
from agelens.errors import DataError, OutputError

Prepared = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, str]]
MakeCounting = Callable[..., Any]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_score": 0.5}, r"\(min_score 0\.0, now 0\.5\)"),
        ({"faces": "only"}, r"\(faces main, now only\)"),
        ({"needs_gender": True}, r"\(needs_gender False, now True\)"),
        ({"source": "named"}, r"\(source utkface, now named\)"),
    ],
)
def test_other_settings_are_refused_by_name(
    changed: dict[str, Any], message: str, unfinished: Path, people: Path, prepared: Prepared, contents: Contents
) -> None:
    shutil.copy(people / "nobody.jpg", people / "a_30_f.jpg")
    before = contents(unfinished)
    with pytest.raises(OutputError, match=f"holds an unfinished preparation with other settings {message}"):
        prepared(people, unfinished, **changed)
    assert contents(unfinished) == before


def _add_before(people: Path) -> None:
    shutil.copy(people / "nobody.jpg", people / "0_0_0_first.jpg")


def _remove_first(people: Path) -> None:
    min(people.iterdir()).unlink()


def _remove_last(people: Path) -> None:
    (people / "nobody.jpg").unlink()


@pytest.mark.parametrize("change", [_add_before, _remove_first, _remove_last])
def test_a_data_set_that_has_changed_is_refused(
    change: Callable[[Path], None], unfinished: Path, people: Path, prepared: Prepared, contents: Contents
) -> None:
    change(people)
    before = contents(unfinished)
    with pytest.raises(DataError, match=r"has changed since its preparation was cut off \(there was .*\.jpg\); remove"):
        prepared(people, unfinished, val_share=0.25)
    assert contents(unfinished) == before


def test_labels_that_have_changed_are_refused(
    people: Path, tmp_path: Path, prepared: Prepared, counting: MakeCounting
) -> None:
    def label(age: int) -> None:
        names = sorted(path.name for path in people.glob("*chip.jpg"))
        rows = [f"{name},{age if number == 3 else 20}" for number, name in enumerate(names)]
        (people / "labels.csv").write_text("\n".join(["path,age", *rows]))

    label(30)
    with pytest.raises(KeyboardInterrupt):
        prepared(people, tmp_path / "out", "csv", detector=counting(8), workers=1)
    label(40)
    with pytest.raises(DataError, match="has changed since"):
        prepared(people, tmp_path / "out", "csv")
    label(30)
    assert len(prepared(people, tmp_path / "out", "csv").table) == 12


def test_a_pack_that_has_lost_crops_is_refused(unfinished: Path, people: Path, prepared: Prepared) -> None:
    os.truncate(unfinished / "crops.pack", 100)
    with pytest.raises(OutputError, match=r"crops\.pack: holds 100 of .* bytes; remove its folder and prepare anew"):
        prepared(people, unfinished)


@pytest.mark.skipif(os.name != "posix", reason="nothing locks there")
def test_only_one_prepares_into_a_folder(
    people: Path, whole: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    refused: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        if done == 5:
            with pytest.raises(OutputError, match="another process is at work in this folder; wait for it"):
                prepared(people, tmp_path / "out", val_share=0.25)
            refused.append(done)

    prepared(people, tmp_path / "out", val_share=0.25, progress=meanwhile)
    assert refused == [5]
    assert contents(tmp_path / "out") == contents(whole)


def test_what_another_process_finished_meanwhile_is_not_done_again(
    people: Path,
    whole: Path,
    counting: MakeCounting,
    prepared: Prepared,
    contents: Contents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(whole)
    monkeypatch.setattr(os.path, "exists", lambda path: False)  # it was not there at the first look
    prepared(people, whole, detector=counting(0), val_share=0.25)
    assert contents(whole) == before


@contextmanager
def _room(most: int) -> Iterator[None]:
    """No file can grow beyond so many bytes, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("most", "file"), [(40, "unfinished.jsonl"), (700, "crops.pack"), (3000, "crops.pack"), (6001, "crops.pack")]
)
def test_a_full_disk_is_one_line_and_what_was_done_is_kept(
    most: int, file: str, people: Path, whole: Path, tmp_path: Path, prepared: Prepared, contents: Contents
) -> None:
    out = tmp_path / "out"
    with _room(most), pytest.raises(OutputError, match=f"{file}: cannot be written: File too large$"):
        prepared(people, out, val_share=0.25)
    assert not (out / "manifest.parquet").exists()
    prepared(people, out, val_share=0.25)
    assert contents(out) == contents(whole)


def test_a_disk_that_is_full_for_the_manifest_leaves_none(
    unfinished: Path, people: Path, whole: Path, prepared: Prepared, contents: Contents
) -> None:
    before = contents(unfinished)
    with _room(2000), pytest.raises(OutputError, match=r"manifest\.parquet: cannot be written"):
        prepared(people, unfinished, val_share=0.25)
    assert contents(unfinished) == before
    prepared(people, unfinished, val_share=0.25)
    assert contents(unfinished) == contents(whole)
