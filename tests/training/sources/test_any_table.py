"""Any table: its options, every kind of value that cannot be, and bytes that are no table at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES, Sample, read_source
from agelens.errors import ConfigError, DataError

Write = Callable[..., Path]
Read = Callable[..., list[Sample]]

FULL = "path,age,age_low,age_high,gender,race,subject,split,fold,apparent_age,apparent_std\n"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_all_that_a_table_can_say(write: Write, read: Read, mark: bytes, end: str, delimiter: str) -> None:
    values = ["a/ü.jpg", " 31.5 ", "30", "35", "Woman", '"Asian, other"', "anna", "Validation", "2.0", "29", "1.5"]
    text = end.join([FULL.strip().replace(",", delimiter), delimiter.join(values), ""])
    folder = write("labels.CSV" if delimiter == "," else "labels.tsv", text=mark + text.encode())
    wanted = Sample(folder / "a/ü.jpg", 31.5, 30, 35, 29, 1.5, "female", "Asian, other", "anna", "val", 2)
    assert read("csv") == [wanted]


def test_options_name_the_columns(write: Write, read: Read) -> None:
    folder = write("t.csv", text="file,years,sex,age,gender\na.jpg,31,1,old,it\n")
    assert read("csv", path="file", age="years", gender="sex") == [Sample(folder / "a.jpg", age=31, gender="female")]


def test_a_column_named_for_one_thing_is_not_taken_for_another(write: Write, read: Read) -> None:
    folder = write("t.csv", text="path,age\na.jpg,50-59\n")
    assert read("csv", band="age") == [Sample(folder / "a.jpg", age_low=50, age_high=59)]


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("25-32", (25, 32)),
        ("(25, 32)", (25, 32)),
        ("[25,32]", (25, 32)),
        ("25 to 32", (25, 32)),
        ("25 – 32", (25, 32)),
        ("60+", (60, 100)),
        ("101 +", (101, 101)),
        ("More than 70", (70, 100)),
        ("0-0", (0, 0)),
        ("7", (7, 7)),
    ],
)
def test_bands_as_text(write: Write, read: Read, text: str, band: tuple[float, float]) -> None:
    folder = write("t.csv", text=f"path;band\na.jpg;{text}\n")
    assert read("csv") == [Sample(folder / "a.jpg", age_low=band[0], age_high=band[1])]


@pytest.mark.parametrize(
    ("text", "gender"),
    [(text, "male") for text in ("m", "Male", "MAN", "0")]
    + [(text, "female") for text in ("F", "female", "Woman", "1")]
    + [("", None), ("u", None), ("Unknown", None)],
)
def test_genders(write: Write, read: Read, text: str, gender: str | None) -> None:
    write("t.csv", text=f"path,age,gender\na.jpg,1,{text}\n")
    assert [(sample.gender, sample.fault) for sample in read("csv")] == [(gender, None)]


@pytest.mark.parametrize(
    ("column", "text", "problem"),
    [
        ("age", "abc", "age 'abc' is no number"),
        ("age", "1_0", "age '1_0' is no number"),
        ("age", "٣", "age '٣' is no number"),
        ("age", "-1", "age '-1' is not within 0-130"),
        ("age", "nan", "age 'nan' is not within 0-130"),
        ("age", "inf", "age 'inf' is not within 0-130"),
        ("age", "1e999", "age '1e999' is not within 0-130"),
        ("age", "130.5", "age '130.5' is not within 0-130"),
        ("age", "9" * 5000, f"age '{'9' * 40}...' is not within 0-130"),
        ("band", "32-25", "band '32-25' is not one within 0-130 that ends after it begins"),
        ("band", "25-320", "band '25-320' is not one within 0-130 that ends after it begins"),
        ("band", "young", "band 'young' is not like 25-32, (25, 32) or 60+"),
        ("age_low", "3", "a band from '3' to ''"),
        ("age_high", "3", "a band from '' to '3'"),
        ("gender", "x\x1b", "gender 'x\\x1b' is none of: m, male, man, 0, f, female, woman, 1, u, unknown"),
        ("split", "dev", "split 'dev' is none of: train, training, val, valid, validation, test"),
        ("fold", "-1", "fold '-1' is not within 0-10000"),
        ("fold", "1.5", "fold '1.5' is no whole number"),
        ("apparent_age", "?", "apparent_age '?' is no number"),
        ("apparent_std", "-2", "apparent_std '-2' is not within 0-130"),
    ],
)
def test_a_value_that_cannot_be_is_a_fault_of_its_row(
    write: Write, read: Read, column: str, text: str, problem: str
) -> None:
    columns = ["path", "age", "band", "age_low", "age_high", "gender", "split", "fold", "apparent_age", "apparent_std"]
    good = {"path": "a.jpg", "age": "1"}
    rows = [good, {**good, column: text}, good]
    lines = [",".join(f'"{row[name]}"' if name in row else "" for name in columns) for row in rows]
    folder = write("t.csv", text="\n".join([",".join(columns), *lines]))
    samples = read("csv")
    assert [sample.fault for sample in samples] == [None, Reason.BAD_LABEL, None]
    assert samples[1] == Sample(folder / "a.jpg", fault=Reason.BAD_LABEL, detail=f"t.csv line 3: {problem}")


def test_low_above_high_is_a_fault(write: Write, read: Read) -> None:
    write("t.csv", text="path,age_low,age_high\na,9,3\nb,3,9\nc,,\n")
    assert [sample.fault for sample in read("csv")] == [Reason.BAD_LABEL, None, Reason.NO_AGE]


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "C:\\a.jpg", "\\\\host\\a", "..", ".", ""]
)
def test_a_path_out_of_the_data_folder_is_a_fault(write: Write, read: Read, text: str) -> None:
    folder = write("t.csv", text=f"path,age\n{text},1\n")
    sample = read("csv")[0]
    assert (sample.path, sample.fault) == (folder / "t.csv", Reason.BAD_LABEL)
    assert str(sample.detail).startswith("t.csv line 2: ")


def test_damaged_lines_are_faults_and_the_rest_is_read(write: Write, read: Read) -> None:
    lines = [
        b"path,age",
        b"a.jpg,1,2",
        b"a.jpg",
        b"\xff.jpg,1",
        b"a\0.jpg,1",
        b'"a.jpg,1',
        b"",
        b"a\rb,1",
        b"good.jpg,1",
    ]
    folder = write("t.csv", text=b"\r\n".join(lines) + b"\r\n")
    samples = read("csv")
    assert [sample.fault for sample in samples] == [Reason.BAD_LABEL] * 6 + [None]
    assert [str(sample.detail).split(": ")[0] for sample in samples[:6]] == [
        f"t.csv line {number}" for number in (2, 3, 4, 5, 6, 8)
    ]
    assert samples[6] == Sample(folder / "good.jpg", age=1)
    assert all(str(sample.detail).isprintable() for sample in samples)


@pytest.mark.parametrize("size", [200_000, (1 << 20) - 4, (1 << 20) - 3, 1 << 20, (2 << 20) + 17])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_very_long_line_is_one_fault(write: Write, read: Read, size: int, end: bytes) -> None:
    write("t.csv", text=b"path,age\na,1\n" + b"x" * size + b",1\nb,2\n" + b"y" * size + end)
    samples = read("csv")
    assert [sample.path.name for sample in samples] == ["a", "t.csv", "b", "t.csv"]
    assert [sample.fault for sample in samples] == [None, Reason.BAD_LABEL, None, Reason.BAD_LABEL]


def test_empty_age_is_no_age_unless_there_is_a_band(write: Write, read: Read) -> None:
    write("t.csv", text="path,age,band,gender\na,,,m\nb,,3-5,f\n")
    samples = [(sample.age_low, sample.fault, sample.gender) for sample in read("csv")]
    assert samples == [(None, Reason.NO_AGE, "male"), (3, None, "female")]


def test_paths_start_beside_the_table_or_in_the_root(write: Write, read: Read) -> None:
    folder = write("labels/t.csv", text="path,age\nb.jpg,1\n../c.jpg,1\n../../d.jpg,1\nsub\\.\\e.jpg,1\n")
    write("pictures/b.jpg")

    def paths(**options: str) -> list[str]:
        return [sample.path.relative_to(folder).as_posix() for sample in read("csv", file="labels/t.csv", **options)]

    assert paths() == ["labels/b.jpg", "c.jpg", "labels/t.csv", "labels/sub/e.jpg"]
    assert paths(root="pictures") == ["pictures/b.jpg", "c.jpg", "labels/t.csv", "pictures/sub/e.jpg"]
    assert paths(root=".")[:2] == ["b.jpg", "labels/t.csv"]
    with pytest.raises(DataError, match="nowhere: no such folder"):
        paths(root="nowhere")
    with pytest.raises(ConfigError, match=r"option root: path '\.\.' leaves the data folder"):
        paths(root="..")


def test_several_tables_are_listed_and_one_can_be_named(write: Write, read: Read) -> None:
    write("a.csv", "b.tsv", "._a.txt", text="path,age\nx,1\n")
    with pytest.raises(DataError, match=r"several tables, 'a\.csv', 'b\.tsv'; name one by the option file"):
        read("csv")
    assert len(read("csv", file="b.tsv")) == 1
    for name in ("c.csv", "c" * 300):
        with pytest.raises(DataError, match=f"{name}: no such table"):
            read("csv", file=name)
    with pytest.raises(ConfigError, match="option file: path '/etc/passwd' is absolute"):
        read("csv", file="/etc/passwd")


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        (
            b"path,years\na,1\n",
            {},
            "no column 'age', 'band', or .* by the options age or band; the table has: 'path', 'y",
        ),
        (b"path,age_low\na,1\n", {}, "no column 'age', 'band', or 'age_low' and 'age_high'; name yours"),
        (b"path,age\na,1\n", {"gender": "age"}, "no column 'age', 'band'"),
        (b"file,age\na,1\n", {}, "no column 'path'; name yours by the option path; the table has: 'file', 'age'"),
        (b"path,age\na,1\n", {"gender": "sex"}, "no column 'sex'; the table has: 'path', 'age'"),
        (b"path,age,age\na,1,1\n", {}, "more than one column 'age'"),
        (b"", {}, "no table that can be read: line 1: it has no first line"),
        (b"\npath,age\n", {}, "it has no first line"),
        (b"p\0ath,age\n", {}, "line 1: a NUL byte"),
        ("path,age\n".encode("utf-16"), {}, "line 1: bytes that are no UTF-8"),
        (b'"path,age\n', {}, "line 1: no row of a table"),
        (b"x" * (2 << 20), {}, "line 1: longer than"),
        (b"path,a\x1bge\na,1", {"age": "age"}, "no column 'age'; the table has: 'path', 'a.x1bge'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    write: Write, read: Read, text: bytes, options: dict[str, str], problem: str
) -> None:
    write("t.csv", text=text)
    with pytest.raises(DataError, match=problem) as caught:
        read("csv", **options)
    assert str(caught.value).isprintable()


def test_a_folder_with_a_tables_name_is_no_table(tmp_path: Path, read: Read) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match="not laid out as csv"):
        read("csv")


def test_real_photos_with_a_table(real_data: Path) -> None:
    folder = real_data / "FairFace-photos"
    samples = list(read_source(SOURCES["csv"], folder, {"path": "file", "band": "age"}))
    assert {sample.path for sample in samples} == set(folder.glob("*.jpg"))
    assert len(samples) == 90
    assert all(sample.fault is None and sample.age_low is not None and sample.gender for sample in samples)


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(
        [b"", b"path,age\n", b"\xef\xbb\xbfpath;age;band;gender;fold\n", b"path\tage_low\tage_high\r\n"]
    ),
    body=st.one_of(
        st.binary(max_size=400),
        st.text(alphabet='a1,;\t"\n\r.-/\\ 0(+é\0', max_size=200).map(str.encode),
    ),
)
def test_whatever_the_bytes_every_line_is_a_sample_or_the_table_is_refused(
    tmp_path: Path, head: bytes, body: bytes
) -> None:
    (tmp_path / "t.csv").write_bytes(head + body)
    try:
        samples = list(read_source(SOURCES["csv"], tmp_path))
    except DataError as error:
        assert str(error).isprintable()  # noqa: PT017 (either outcome is sound)
        return
    lines = [line for line in (head + body).split(b"\n")[1:] if line.strip(b" \r")]
    assert len(samples) == len(lines)
    for sample in samples:
        assert sample.path.is_relative_to(tmp_path)
        assert ".." not in sample.path.relative_to(tmp_path).parts
        assert sample.fault or sample.age is not None or sample.age_low is not None
        assert sample.detail is None or sample.detail.isprintable()
