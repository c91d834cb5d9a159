"""Crops in packs: what goes in comes out, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data.crops import PackWriter, encode, read_bytes, read_crop
from agelens.errors import DataError, OutputError

Picture = npt.NDArray[np.uint8]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack of three parts, of 5, 0 and 9 bytes."""
    path = tmp_path / "crops.pack"
    with closing(PackWriter(path)) as writer:
        assert [writer.append(part) for part in (b"first", b"", b"the third")] == [(0, 5), (5, 0), (5, 9)]
        writer.flush()
    return path


def test_parts_come_back_by_their_places(pack: Path) -> None:
    assert read_bytes(pack.parent, "crops.pack", 0, 5) == b"first"
    assert read_bytes(pack.parent, "crops.pack", 5.0, 9.0) == b"the third"  # as pandas gives them beside nulls


@pytest.mark.parametrize("places", [(None, None), (float("nan"), float("nan")), (None, 5), (3, None)], ids=str)
def test_without_a_place_the_whole_file_is_the_crop(places: tuple[float | None, float | None], pack: Path) -> None:
    assert read_bytes(pack.parent, "crops.pack", *places) == b"firstthe third"


def test_a_writer_goes_on_behind_what_is_known_and_cuts_off_the_rest(pack: Path) -> None:
    with closing(PackWriter(pack, 5)) as writer:
        assert pack.read_bytes() == b"first"
        assert writer.append(b"another") == (5, 7)
    assert pack.read_bytes() == b"firstanother"


def test_a_pack_that_is_too_short_is_refused_as_it_is(pack: Path) -> None:
    with pytest.raises(OutputError, match=r"crops\.pack: holds 14 of 1,000 bytes; remove its folder and prepare anew"):
        PackWriter(pack, 1000)
    assert pack.read_bytes() == b"firstthe third"


def test_a_pack_that_cannot_be_opened_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        PackWriter(tmp_path)
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        PackWriter(tmp_path / "nowhere/crops.pack")


def test_a_write_that_takes_a_part_only_is_gone_on_with(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PackWriter(pack, 14)
    stream = writer._stream

    class Slow:
        def write(self, data: memoryview) -> int:
            return stream.write(data[:2])

    with closing(stream):
        monkeypatch.setattr(writer, "_stream", Slow())
        assert writer.append(b"fourth one") == (14, 10)
    assert pack.read_bytes().endswith(b"thirdfourth one")


@pytest.mark.parametrize(
    ("offset", "length", "message"),
    [
        (0, 15, "ends before byte 15"),
        (14, 1, "ends before byte 15"),
        (5, 10**12, "ends before byte"),
        (2**40, 3, "ends before byte"),
        (2**63 - 1, 3, "cannot be read|ends before byte"),
        (float(2**63), 3, "cannot be read"),
        (-1, 3, "cannot be read"),
        (0, -1, "ends before byte"),
        (0, -7, "cannot be read"),
    ],
)
def test_a_place_that_is_not_there_is_a_data_error(offset: float, length: float, message: str, pack: Path) -> None:
    with pytest.raises(DataError, match=rf"crops\.pack: ({message}).*; prepare the data set again"):
        read_bytes(pack.parent, "crops.pack", offset, length)


def test_a_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    for path, reason in (("gone.pack", "No such file"), (".", "Is a directory"), ("x" * 300, "File name too long")):
        with pytest.raises(DataError, match=f"cannot be read \\({reason}.*prepare the data set again"):
            read_bytes(tmp_path, path, 0, 3)


def test_a_crop_survives_its_jpeg(made_up_face: Callable[[int, int], Picture], tmp_path: Path) -> None:
    face = made_up_face(3, 40)
    face[:32, :, 2] = 0  # that no channel takes another's place
    (tmp_path / "a.jpg").write_bytes(encode(face))
    crop = read_crop(tmp_path, "a.jpg", None, None)
    assert crop.shape == face.shape
    assert np.abs(cv2.blur(crop, (4, 4)).astype(int) - cv2.blur(face, (4, 4))).mean() < 6
    assert crop[4:28, :, 2].mean() < 12


def test_a_damaged_crop_is_a_data_error(pack: Path) -> None:
    with pytest.raises(DataError, match=r"crops\.pack: a crop is damaged \(not an image.*\); prepare the"):
        read_crop(pack.parent, "crops.pack", 0, 5)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.binary(max_size=50), max_size=12), data=st.data())
def test_any_parts_written_in_any_number_of_goes_come_back(
    parts: list[bytes], data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "many.pack"
    path.unlink(missing_ok=True)
    places: list[tuple[int, int]] = []
    while len(places) < len(parts):
        with closing(PackWriter(path, sum(places[-1]) if places else 0)) as writer:
            some = parts[len(places) : len(places) + data.draw(st.integers(1, 5))]
            places.extend(writer.append(part) for part in some)
        with path.open("ab") as killed:  # a crop that nobody knows of
            killed.write(data.draw(st.binary(max_size=9)))
    assert [read_bytes(tmp_path, "many.pack", *place) for place in places] == parts


def test_a_pack_needs_no_more_rights_than_its_owner_has(tmp_path: Path) -> None:
    PackWriter(tmp_path / "pack").close()
    assert os.stat(tmp_path / "pack").st_mode & 0o022 == 0  # noqa: PTH116
