"""``agelens audit``: what it prints and writes, and the page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens.audit.findings import ABOUT, Kind
from agelens.images import read_image

Make = Callable[..., Path]
Run = Callable[..., Any]

HOSTILE = "<script>alert(1)</script>\"'&amp;\n{{ 7 * 7 }}"


@pytest.fixture
def faulty(make: Make) -> Path:
    """Two exact copies with other ages, a leak, and sound samples; names and subjects are hostile."""
    return make(
        {"face": 0, "source_path": HOSTILE, "subject": HOSTILE},
        {"face": 0, "age": 60},
        {"face": 1},
        {"face": 1, "split": "val", "subject": HOSTILE},
        {"face": 2},
    )


class Page(HTMLParser):
    """What stands in a page: tags that are opened and never closed, text, and addresses."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_table_counts_findings_and_samples_by_kind(run: Run, faulty: Path) -> None:
    result = run("audit", faulty, "--check", "duplicates", "leaks")
    assert result.status == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.out.splitlines() if line.strip()][2:]
    assert rows == [
        ["conflicting exact duplicate", "error", "1", "2"],
        ["duplicate across splits", "error", "1", "2"],
        ["subject across splits", "error", "1", "2"],
        ["exact duplicate", "warning", "1", "2"],
        ["all", "4", "4 of 5"],
    ]


def test_json_holds_everything(run: Run, faulty: Path, tmp_path: Path) -> None:
    result = run("audit", faulty, "--check", "duplicates", "leaks", "--json", "--out", tmp_path / "out")
    found = result.json
    assert found == json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (found["format"], found["rows"], found["kept"], found["samples"]) == (1, 5, 5, 4)
    assert found["checks"] == ["duplicates", "leaks"]
    assert found["counts"]["exact duplicate"] == {"severity": "warning", "findings": 1, "samples": 2}
    assert found["findings"][0] == {
        "kind": "conflicting exact duplicate",
        "severity": "error",
        "what": "the same file 2 times, labelled age 30, 60",
        "score": 30.0,
        "rows": [0, 1],
        "paths": [HOSTILE, "001.jpg"],
        "details": {},
    }
    assert sum(one["findings"] for one in found["counts"].values()) == len(found["findings"]) == 4


def test_the_page_is_whole_and_what_the_data_says_is_escaped(run: Run, faulty: Path, tmp_path: Path) -> None:
    assert run("audit", faulty, "--out", tmp_path / "out").status == 0
    html = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert "<script" not in html
    assert HOSTILE in page.text  # as text, with its quotes and braces
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "http" not in html
    assert {attributes["id"] for tag, attributes in page.tags if tag == "section"} >= {"conflict_exact", "exact"}


def test_the_page_shows_the_crops_side_by_side(run: Run, faulty: Path, tmp_path: Path, made_up_face: Any) -> None:
    run("audit", faulty, "--check", "duplicates", "--out", tmp_path / "out")
    page = Page((tmp_path / "out" / "audit.html").read_text(encoding="utf-8"))
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 4
    crop = read_image(base64.b64decode(str(sources[0]).partition(",")[2]))
    assert crop.shape == (128, 128, 3)
    wanted = made_up_face(0, 60).repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(crop.astype(int) - wanted).mean() < 10


def test_of_many_findings_the_page_shows_the_first_and_counts_the_rest(run: Run, make: Make, tmp_path: Path) -> None:
    path = make(*({"face": 0, "digest": str(number), "phash": None, "score": 0.5} for number in range(70)))
    run("audit", path, "--check", "pictures", "--out", tmp_path / "out")
    html = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert html.count("<article") == 60
    assert "and 10 more in audit.json" in html
    assert len(json.loads((tmp_path / "out" / "audit.json").read_text())["findings"]) == 70


def test_a_finding_of_many_samples_shows_some(run: Run, make: Make, tmp_path: Path) -> None:
    run("audit", make(*[{"face": 0}] * 1, *({"face": 0} for _ in range(8))), "--out", tmp_path / "out")
    html = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert "and 3 more samples in audit.json" in html


def test_a_page_of_nothing_says_so(run: Run, make: Make, tmp_path: Path) -> None:
    path = make({}, {"gender": "female"}, {"face": 5})
    result = run("audit", path, "--check", "duplicates", "--out", tmp_path / "out")
    assert "0 of 3" in result.out
    assert "Nothing was found." in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


def test_samples_without_a_crop_are_shown_without(run: Run, make: Make, tmp_path: Path) -> None:
    run("audit", make({}, {"path": "gone.pack"}), "--out", tmp_path / "out")
    assert "no crop" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("rows", "status"), [([{"age": 200}], 1), ([{"score": 0.5}], 0), ([{}], 0)])
def test_strict_tells_errors_by_the_status(run: Run, make: Make, rows: list[dict[str, Any]], status: int) -> None:
    path = make({}, *rows)
    assert run("audit", path, "--strict").status == status
    assert run("audit", path).status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fix-labels"], "--fix-labels says what --fix removes; give --fix too"),
        (["--check", "model"], "--check model needs a model; give one with --model"),
        (["--check", "labels", "--model", "base"], "--model is for the check model, which --check leaves out"),
        (["--model", "none.onnx"], "none.onnx: no such model file"),
        (["--embedder", "none.onnx"], "none.onnx: no such model file"),
    ],
)
def test_options_that_cannot_be_are_refused(run: Run, make: Make, options: list[str], said: str) -> None:
    assert said in run("audit", make({}, {}), *options).complaint


def test_a_missing_manifest_is_refused(run: Run, tmp_path: Path) -> None:
    assert "no such manifest" in run("audit", tmp_path / "none.parquet").complaint


def test_a_model_is_asked_when_one_is_given(run: Run, make: Make, make_bundle: Callable[..., Path]) -> None:
    grey = np.full((64, 64, 3), 85, dtype=np.uint8)
    path = make({"face": grey, "age": 80, "split": "val"}, {"face": grey, "age": 30, "split": "val"})
    found = run("audit", path, "--check", "model", "--model", make_bundle(), "--json").json
    assert [one["rows"] for one in found["findings"]] == [[0]]


def test_every_kind_has_a_severity_and_a_meaning() -> None:
    assert set(ABOUT) == set(Kind)
    assert all(about.meaning.endswith(".") for about in ABOUT.values())
