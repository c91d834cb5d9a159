"""IMDB and WIKI: files written by SciPy as MATLAB writes the real ones, sound and damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES, Sample, read_source
from agelens.data.sources.mat_struct import read_struct
from agelens.errors import DataError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

NAN, NO_FACE = np.nan, -np.inf


def day(year: int, month: int, day: int) -> float:
    """MATLAB's number of a day, from two that its manual names: 1 January 2000 is 730486, and it counts days."""
    return 730486.0 + (np.datetime64(f"{year:04d}-{month:02d}-{day:02d}") - np.datetime64("2000-01-01")).astype(int)


def cells(values: Sequence[Any]) -> np.ndarray:
    """A 1×N cell array."""
    array = np.empty((1, len(values)), dtype=object)
    for index, value in enumerate(values):
        array[0, index] = value
    return array


def fields(name: str, /, **changed: Any) -> dict[str, Any]:
    """The struct of three pictures, as the real file has it; ``None`` leaves a field out."""
    rows: dict[str, Any] = {
        "dob": np.array([[day(1950, 6, 30), day(1950, 7, 1), day(1899, 12, 31)]]),
        "photo_taken": np.array([[1980, 1980, 1990]], dtype=np.uint16),
        "full_path": cells(["01/a_1950-06-30_1980.jpg", "02/b.jpg", "03/ü.jpg"]),
        "gender": np.array([[0, 1, NAN]]),
        "name": cells(["Ann Ä. One", "Bob Two", np.zeros((0, 0))]),
        "face_location": cells([np.array([[1.0, 2.0, 3.0, 4.0]])] * 3),
        "face_score": np.array([[4.5, 1.25, 2.0]]),
        "second_face_score": np.array([[NAN, NAN, NAN]]),
    }
    if name == "imdb":
        rows |= {"celeb_names": cells(["Ann One", "Bob Two"]), "celeb_id": np.array([[6488, 8, 17]], dtype=np.int32)}
    return {field: value for field, value in (rows | changed).items() if value is not None}


def save(path: Path, name: str, /, *, compressed: bool = False, **changed: Any) -> None:
    """Write ``fields`` as a ``.mat``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: fields(name, **changed)}, do_compression=compressed)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("place", ["", "{}/", "{}_crop/"])
@pytest.mark.parametrize("name", ["imdb", "wiki"])
def test_age_gender_and_subject(tmp_path: Path, read: Read, name: str, place: str, compressed: bool) -> None:
    base = tmp_path / place.format(name)
    save(base / f"{name}.mat", name, compressed=compressed)
    subjects = ["6488", "8", "17"] if name == "imdb" else ["Ann Ä. One", "Bob Two", None]
    # born up to June: the birthday came before mid-year
    assert read(name) == [
        Sample(base / "01/a_1950-06-30_1980.jpg", age=30, gender="female", subject=subjects[0]),
        Sample(base / "02/b.jpg", age=29, gender="male", subject=subjects[1]),
        Sample(base / "03/ü.jpg", age=90, gender=None, subject=subjects[2]),
    ]


@pytest.mark.parametrize(
    ("dob", "taken", "score", "second", "fault", "detail"),
    [
        (day(1950, 1, 1), 1980, NO_FACE, NAN, Reason.NO_FACE, None),
        (day(1950, 1, 1), 1980, 3.0, 1.5, Reason.MORE_FACES, None),
        (day(1950, 1, 1), 1980, 3.0, NO_FACE, Reason.MORE_FACES, None),
        (day(1700, 1, 1), 2012, 3.0, NAN, Reason.BAD_LABEL, "age 312"),
        (day(1911, 1, 1), 2012, 3.0, NAN, Reason.BAD_LABEL, "age 101"),
        (day(1912, 1, 1), 2012, 3.0, NAN, None, None),
        (day(2012, 6, 1), 2012, 3.0, NAN, None, None),
        (day(2012, 7, 1), 2012, 3.0, NAN, Reason.BAD_LABEL, "age -1"),
        (366, 2012, 3.0, NAN, Reason.NO_AGE, None),
        (0, 2012, 3.0, NAN, Reason.NO_AGE, None),
        (-5, 2012, NO_FACE, NAN, Reason.NO_AGE, None),
        (1e300, 2012, 3.0, NAN, Reason.NO_AGE, None),
        (NAN, 2012, 3.0, NAN, Reason.NO_AGE, None),
        (np.inf, 2012, 3.0, NAN, Reason.NO_AGE, None),
        (day(1950, 1, 1), NAN, 3.0, NAN, Reason.NO_AGE, None),
    ],
)
def test_faults(
    tmp_path: Path,
    read: Read,
    dob: float,
    taken: float,
    score: float,
    second: float,
    fault: Reason | None,
    detail: str | None,
) -> None:
    numbers = {"dob": dob, "photo_taken": taken, "face_score": score, "second_face_score": second, "gender": 1.0}
    changed = {field: np.array([[number]]) for field, number in numbers.items()}
    save(tmp_path / "wiki.mat", "wiki", full_path=cells(["01/a.jpg"]), name=cells(["Ann"]), **changed)
    sample = read("wiki")[0]
    assert (sample.path, sample.fault, sample.detail) == (tmp_path / "01/a.jpg", fault, detail)


def test_a_path_that_leaves_or_is_none_is_a_fault(tmp_path: Path, read: Read) -> None:
    paths = cells(["../../a.jpg", np.array([[1.0]]), "/etc/passwd"])
    save(tmp_path / "wiki" / "wiki.mat", "wiki", full_path=paths)
    samples = read("wiki")
    assert [sample.fault for sample in samples] == [Reason.BAD_LABEL] * 3
    assert {sample.path for sample in samples} == {tmp_path / "wiki/wiki.mat"}
    assert samples[1].detail == "no path"


@pytest.mark.parametrize("name", ["imdb", "wiki"])
def test_missing_fields_are_all_named(tmp_path: Path, read: Read, name: str) -> None:
    save(tmp_path / f"{name}.mat", name, dob=None, face_score=None, full_path=None)
    with pytest.raises(
        DataError, match=rf"{name}\.mat: the struct '{name}' lacks the fields dob, face_score, full_path"
    ):
        read(name)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"dob": np.ones((1, 2))}, "its fields have unequal lengths: dob 2, photo_taken 3"),
        ({"full_path": cells(["a.jpg"])}, "unequal lengths: .* full_path 1"),
        ({"full_path": np.ones((1, 3))}, "its field full_path is no cell array"),
        ({"dob": cells(["a", "b", "c"])}, "an array of numbers holds something else"),
        ({"dob": np.zeros((0, 0))}, "unequal lengths: dob 0"),
    ],
)
def test_fields_of_another_kind_are_refused(tmp_path: Path, read: Read, changed: dict[str, Any], problem: str) -> None:
    save(tmp_path / "wiki.mat", "wiki", **changed)
    with pytest.raises(DataError, match=problem):
        read("wiki")


def test_another_variable_is_refused_with_those_there_are(tmp_path: Path, read: Read) -> None:
    save(tmp_path / "wiki.mat", "imdb")
    with pytest.raises(DataError, match="it holds no struct 'wiki' of one element, but 'imdb'; wanted the MATLAB 5"):
        read("wiki")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it is another format"),
        (b"GIF89a" * 100, "it is another format"),
        (
            b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(384) + b"\x89HDF\r\n\x1a\n",
            r"it is MATLAB 7\.3 \(HDF5\)",
        ),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM", "it holds no struct 'wiki' of one element, but nothing"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0f\0\0\0\2\0\0\0xx", "a variable cannot be unpacked"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0e\0\0\0\xff\xff\xff\xffxx", "it is cut short"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0e\0\0", "it is cut short"),
    ],
)
def test_another_file_is_one_line(write: Write, read: Read, data: bytes, problem: str) -> None:
    write("wiki.mat", text=data)
    with pytest.raises(DataError, match=problem) as caught:
        read("wiki")
    assert str(caught.value).isprintable()


def test_a_large_file_is_refused_unread(tmp_path: Path, read: Read) -> None:
    with (tmp_path / "wiki.mat").open("wb") as stream:
        stream.truncate(512 * 1024 * 1024 + 1)
    with pytest.raises(DataError, match="536,870,913 bytes; at most 536,870,912 are read"):
        read("wiki")


def test_two_files_are_refused(tmp_path: Path, read: Read) -> None:
    for place in ("wiki", "wiki_crop"):
        save(tmp_path / place / "wiki.mat", "wiki")
    with pytest.raises(DataError, match=r"holds .*wiki/wiki\.mat and .*wiki_crop/wiki\.mat; name the folder of one"):
        read("wiki")


NUMBER_TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@pytest.mark.parametrize("kind", NUMBER_TYPES)
@pytest.mark.parametrize("compressed", [False, True])
def test_values_are_those_of_another_reader(tmp_path: Path, kind: str, compressed: bool) -> None:
    numbers = np.array([[1, 2, 100, 0, 7]], dtype=kind)
    texts = cells(["", "a", "abcd", "Zoë Łuk", "x" * 300])
    savemat(tmp_path / "a.mat", {"s": {"n": numbers, "t": texts, "o": {"n": 1}}, "z": 1}, do_compression=compressed)
    found = read_struct(tmp_path / "a.mat", "s", ("n",), ("t",))
    other = loadmat(tmp_path / "a.mat")["s"][0, 0]
    np.testing.assert_array_equal(found.numbers["n"], other["n"][0])
    assert found.texts["t"] == ["".join(cell) for cell in other["t"][0]]


def element(order: str, kind: int, data: bytes) -> bytes:
    """One element of a file, filled up to eight bytes."""
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(order: str, kind: int, name: str, body: bytes, size: int = 1) -> bytes:
    """One array of a file."""
    head = element(order, 6, struct.pack(order + "II", kind, 0)) + element(order, 5, struct.pack(order + "ii", 1, size))
    return element(order, 14, head + element(order, 1, name.encode()) + body)


@pytest.mark.parametrize(("order", "mark"), [("<", b"\0\1IM"), (">", b"\1\0MI")])
def test_both_orders_of_bytes_and_text_in_sixteen_bits(tmp_path: Path, order: str, mark: bytes) -> None:
    coding = "utf-16-le" if order == "<" else "utf-16-be"
    text = matrix(order, 4, "", element(order, 4, "Zoë".encode(coding)), 3)
    small = struct.pack(order + "I", 2 << 16 | 3) if order == "<" else struct.pack(">HH", 2, 3)
    numbers = matrix(order, 6, "", small + struct.pack(order + "h", -7) + b"\0\0")
    names = element(order, 5, struct.pack(order + "i", 2)) + element(order, 1, b"n\0t\0")
    data = b"MATLAB 5.0".ljust(124) + mark + matrix(order, 2, "s", names + numbers + matrix(order, 1, "", text))
    (tmp_path / "a.mat").write_bytes(data)
    found = read_struct(tmp_path / "a.mat", "s", ("n",), ("t",))
    assert found.numbers["n"].tolist() == [-7]
    assert found.texts["t"] == ["Zoë"]
    if order == "<":
        assert loadmat(io.BytesIO(data))["s"][0, 0]["n"].tolist() == [[-7]]


def sound_file(compressed: bool) -> bytes:
    """A sound ``wiki.mat``."""
    stream = io.BytesIO()
    savemat(stream, {"wiki": fields("wiki")}, do_compression=compressed)
    return stream.getvalue()


SOUND = {compressed: sound_file(compressed) for compressed in (False, True)}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, compressed: bool) -> None:
    data = SOUND[compressed]
    for end in range(0, len(data) - 8, 3):
        (tmp_path / "wiki.mat").write_bytes(data[:end])
        with pytest.raises(DataError, match=r"wiki\.mat: "):
            list(read_source(SOURCES["wiki"], tmp_path))


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(100, len(SOUND[False]) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    compressed=st.booleans(),
)
def test_damage_is_refused_or_read_never_a_crash(
    tmp_path: Path, changes: list[tuple[int, int]], compressed: bool
) -> None:
    data = bytearray(SOUND[False])
    for place, byte in changes:
        data[place] = byte
    if compressed:
        packed = zlib.compress(bytes(data[128:]))
        data = data[:128] + struct.pack("<II", 15, len(packed)) + packed
    (tmp_path / "wiki.mat").write_bytes(data)
    try:
        samples = list(read_source(SOURCES["wiki"], tmp_path))
    except DataError as error:
        assert str(error).isprintable()  # noqa: PT017 (either outcome is sound)
        return
    assert len(samples) == 3
    assert all(sample.path.is_relative_to(tmp_path) for sample in samples)
