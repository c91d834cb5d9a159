"""Other programs' answers: read from JSON lines, measured as a bundle's are, refused in a line where they are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.ages import expected_age, soft_labels
from agelens.data.manifest import Manifest
from agelens.errors import DataError
from agelens.evaluate.figures import figures
from agelens.evaluate.peers import NoAnswersError, read_peer

Run = Callable[..., Any]
NOTHING = {"age_low": np.nan, "age_high": np.nan, "apparent_age": np.nan, "apparent_std": np.nan, "subject": None}


def _rows(*paths: str, **columns: Any) -> pd.DataFrame:
    known = {"age": 30.0, "gender": None, "race": None, "dataset": "one", "score": np.nan}
    return pd.DataFrame({"source_path": list(paths), **NOTHING, **known, **columns})


def _file(folder: Path, *lines: Any) -> Path:
    path = folder / "theirs.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_what_a_bundle_printed_can_be_read_again(
    bundle_path: Path, manifest: Manifest, tmp_path: Path, run: Run
) -> None:
    lines = run("evaluate", bundle_path, manifest.folder, "--split", "all", "--per-image", "--json").out
    theirs = _file(tmp_path, *lines.splitlines())
    ours, again = (
        run("evaluate", one, manifest.folder, "--split", "all", "--json").json for one in (bundle_path, theirs)
    )
    for figure in ("mae", "rmse", "bias", "gender_accuracy", "coverage", "interval_width"):
        assert again["all"][figure] == pytest.approx(ours["all"][figure], abs=0.01), figure
    assert again["decades"].keys() == ours["decades"].keys()
    assert [again["all"][name] for name in ("crps", "nll", "at_least", "gender_auc")] == [None] * 4  # not told


def test_pictures_are_known_by_their_whole_name_or_by_its_end(tmp_path: Path) -> None:
    rows = _rows("a/1.jpg", "a/2.jpg", "b/2.jpg", "3.jpg")
    said = read_peer(
        _file(
            tmp_path,
            {"path": "./1.jpg", "predicted_age": 1},
            {"path": "b/2.jpg", "predicted_age": 2.5},
            {"path": "elsewhere.jpg", "predicted_age": 99},
            "",
            {"path": "3.jpg", "predicted_age": None, "low": 1, "high": 2},
        ),
        rows,
    )
    assert said.age.tolist() == pytest.approx([1, np.nan, 2.5, np.nan], nan_ok=True)
    assert said.intervals is None
    with pytest.raises(DataError, match=r"line 1: path '2\.jpg' names several"):
        read_peer(_file(tmp_path, {"path": "2.jpg", "predicted_age": 1}), rows)


def test_distributions_and_shares_of_gender_are_measured_too(tmp_path: Path) -> None:
    true = [20.0, 40.0, 70.0, 33.0]
    probs = soft_labels(np.array(true) + 3, 4.0)
    rows = _rows("1", "2", "3", "4", age=true, gender=["female", "male", "male", "female"])
    lines = [
        {"path": path, "predicted_age": float(expected_age(one)), "age_probs": one.tolist(), "female": female}
        for path, one, female in zip("1234", probs, [0.9, 0.6, 0.2, 0.7], strict=True)
    ]
    found = figures(read_peer(_file(tmp_path, *lines), rows), 0.9)["all"]
    assert found["gender_accuracy"] == 0.75
    assert found["gender_auc"] == 1.0
    assert 0 < found["crps"] < found["mae"]
    assert found["coverage"] is found["interval_width"] is None


def test_bands_are_judged_by_the_age_alone(tmp_path: Path) -> None:
    rows = _rows("1", "2", "3", age=np.nan, age_low=[20, 30, 40], age_high=[29, 39, 49])
    lines = [{"path": path, "predicted_age": age} for path, age in zip("123", [25, 29.4, 70], strict=True)]
    found = figures(read_peer(_file(tmp_path, *lines), rows), 0.9)["all"]
    assert found["band_accuracy"] == found["likeliest_band"] == pytest.approx(1 / 3)
    assert found["mae"] is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: no JSON"),
        ("[1]", "wanted an object"),
        ("[" * 5000, "no JSON"),
        ({"predicted_age": 3}, "path is None"),
        ({"path": "1"}, "has no predicted_age"),
        ({"path": "1", "predicted_age": float("nan")}, "predicted_age is nan"),
        ({"path": "1", "predicted_age": True}, "predicted_age is True"),
        ({"path": "1", "predicted_age": "30"}, "predicted_age is '30'"),
        ({"path": "1", "predicted_age": -1}, "predicted_age is -1"),
        ({"path": "1", "predicted_age": 10**400}, "predicted_age is 1000"),
        ({"path": "1", "predicted_age": 30, "low": 20}, "wanted low and high"),
        ({"path": "1", "predicted_age": 30, "low": 40, "high": 20}, "wanted low and high"),
        ({"path": "1", "predicted_age": 30, "predicted_gender": "woman"}, "predicted_gender is 'woman'"),
        ({"path": "1", "predicted_age": 30, "predicted_gender": ["male"]}, "predicted_gender is"),
        ({"path": "1", "predicted_age": 30, "female": 2}, "female is 2"),
        ({"path": "1", "predicted_age": 30, "age_probs": [1.0]}, "age_probs must be 101"),
        ({"path": "1", "predicted_age": 30, "age_probs": [0.5] * 101}, "age_probs must be 101"),
        ({"path": "2", "predicted_age": 30}, "answers for none of 1"),
        ({"path": "1", "predicted_age": None}, "null for all faces that it names, 1 of 1"),
        ("x" * 70_000, "longer than 65,536"),
    ],
)
def test_a_wrong_line_is_named(line: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as told:
        read_peer(_file(tmp_path, line), _rows("1"))
    assert len(str(told.value)) < 400


def test_a_picture_may_be_answered_once_and_intervals_must_be_of_all(tmp_path: Path) -> None:
    rows, one, two = _rows("1", "2"), {"path": "1", "predicted_age": 3}, {"path": "2", "predicted_age": 3}
    with pytest.raises(DataError, match="line 2: path '1' has a line already"):
        read_peer(_file(tmp_path, one, one), rows)
    with pytest.raises(DataError, match="has interval of some faces, but not of '2'"):
        read_peer(_file(tmp_path, one | {"low": 1, "high": 9}, two), rows)
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "gone.jsonl", tmp_path, tmp_path / "bytes.jsonl"):
        with pytest.raises(DataError, match="cannot be read as JSON lines"):
            read_peer(path, rows)


@given(text=st.text(max_size=80))
def test_no_text_does_anything_but_be_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("peer") / "theirs.jsonl"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(DataError):
        read_peer(path, _rows("1"))


def test_a_peer_stands_beside_bundles_on_the_faces_that_it_answered(
    bundle_path: Path, manifest: Manifest, bands: Manifest, tmp_path: Path, run: Run
) -> None:
    rows = manifest.split("val")
    lines = [{"path": path, "predicted_age": age} for path, age in zip(rows["source_path"], rows["age"], strict=True)]
    lines[0]["predicted_age"] = None
    theirs = _file(tmp_path, *lines)
    result = run("evaluate", bundle_path, theirs, manifest.folder, "--json")
    found = result.json[str(manifest.folder)]
    assert [one["all"]["faces"] for one in found.values()] == [len(rows) - 1] * 2
    assert [one["unanswered"] for one in found.values()] == [0, 1]
    assert found[str(theirs)]["all"]["mae"] == 0
    assert found[str(theirs)]["against_first"]["mae"]["difference"] == -found[str(bundle_path)]["all"]["mae"]
    told = run("evaluate", bundle_path, theirs, manifest.folder)
    assert f"{theirs} said nothing of 1 faces" in told.err


def test_a_peer_that_says_nothing_of_a_data_set_is_left_out_there(
    bundle_path: Path, manifest: Manifest, edited: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    other = edited(tmp_path / "other", lambda table: table.assign(source_path="x" + table["source_path"]))
    rows = manifest.split("val")
    theirs = _file(tmp_path, *({"path": path, "predicted_age": 30} for path in rows["source_path"]))
    result = run("evaluate", bundle_path, theirs, manifest.folder, other, "--json")
    assert [list(models) for models in result.json.values()] == [[str(bundle_path), str(theirs)], [str(bundle_path)]]
    assert "left out there" in result.err
    again = tmp_path / "again.jsonl"
    again.write_text(theirs.read_text())
    nobody = run("evaluate", theirs, again, other)
    assert nobody.status == 2
    assert "none of the files has an answer" in nobody.err
    alone = run("evaluate", theirs, other)
    assert alone.status == 2
    assert "answers for none" in alone.err
    with pytest.raises(NoAnswersError):
        read_peer(theirs, _rows("1"))


def test_a_report_of_a_peer_has_what_it_told(manifest: Manifest, tmp_path: Path, run: Run) -> None:
    rows = manifest.split("val")
    theirs = _file(tmp_path, *({"path": path, "predicted_age": 30} for path in rows["source_path"]))
    assert run("evaluate", theirs, manifest.folder, "--report", tmp_path / "report").status == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert "theirs on crops" in page
    assert "coverage" not in page
    assert "claim" not in page


def test_the_end_of_a_name_must_be_one_pictures_in_the_whole_manifest(tmp_path: Path) -> None:
    theirs = _file(tmp_path, {"path": "1.jpg", "predicted_age": 30})
    with pytest.raises(DataError, match=r"'1\.jpg' names several pictures"):
        read_peer(theirs, _rows("val/1.jpg"), _rows("train/1.jpg", "val/1.jpg"))


def test_gender_is_told_of_all_answers_or_of_none(tmp_path: Path) -> None:
    lines = [{"path": "1", "predicted_age": 30, "predicted_gender": "female"}, {"path": "2", "predicted_age": 30}]
    with pytest.raises(DataError, match="has predicted_gender of some faces, but not of '2'"):
        read_peer(_file(tmp_path, *lines), _rows("1", "2"))
