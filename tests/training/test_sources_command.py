"""``agelens sources``: which data sets can be prepared."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

import agelens.data.sources
from agelens.data.sources import SOURCES, Source

Run = Callable[..., Any]

PLUGIN = Source(
    read=lambda folder, options: iter(()),
    layout="one [bold]file[/]",
    labels="age",
    terms="made up",
    home="https://example.org/faces",
    options={"part": "which part, 1 or 2"},
    faces="only",
    min_score=0.25,
    needs_gender=True,
)


@pytest.fixture
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source "made-up" of another package, which is this module's ``PLUGIN``."""
    point = EntryPoint("made-up", "somewhere:PLUGIN", "agelens.sources")
    monkeypatch.setattr(EntryPoint, "load", lambda self: PLUGIN)
    monkeypatch.setattr(agelens.data.sources, "entry_points", lambda group: EntryPoints([point]))


def _words(text: str) -> str:
    return " ".join(text.split())


def test_every_source_is_listed_with_what_it_says_of_itself(run: Run) -> None:
    result = run("sources")
    assert (result.status, result.err) == (0, "")
    text = _words(result.out)
    for name, source in SOURCES.items():
        assert f"{name} layout {source.layout} labels {source.labels} terms {source.terms}" in text
        assert source.home in text


@pytest.mark.usefixtures("_plugin")
def test_sources_of_other_packages_are_listed_too(run: Run) -> None:
    text = _words(run("sources").out)
    assert "made-up layout one [bold]file[/] labels age terms made up get it at https://example.org/faces" in text
    assert list(run("sources", "--json").json["sources"]) == [*SOURCES, "made-up"]


@pytest.mark.usefixtures("_plugin")
def test_details_say_what_prepare_does(run: Run) -> None:
    result = run("sources", "made-up")
    assert result.status == 0
    text = _words(result.out)
    assert "faces pictures with several are left out minimum score 0.25 gender needed" in text
    assert "--option.part which part, 1 or 2" in text


@pytest.mark.usefixtures("_plugin")
def test_details_as_json(run: Run) -> None:
    assert run("sources", "made-up", "--json").json == {
        "name": "made-up",
        "layout": "one [bold]file[/]",
        "labels": "age",
        "terms": "made up",
        "home": "https://example.org/faces",
        "options": {"part": "which part, 1 or 2"},
        "faces": "only",
        "min_score": 0.25,
        "needs_gender": True,
    }


@pytest.mark.parametrize("name", SOURCES)
def test_json_of_one_is_that_of_the_list(name: str, run: Run) -> None:
    one = run("sources", name, "--json").json
    assert one.pop("name") == name
    assert one == run("sources", "--json").json["sources"][name]
    assert one["options"] == dict(SOURCES[name].options)


@pytest.mark.parametrize("name", SOURCES)
def test_options_are_named_as_prepare_takes_them(name: str, run: Run) -> None:
    text = _words(run("sources", name).out)
    assert all(f"--option.{option} {meaning}" in text for option, meaning in SOURCES[name].options.items())
    assert ("--option" in text) == bool(SOURCES[name].options)


def test_an_unknown_source_is_refused_with_those_there_are(run: Run) -> None:
    assert run("sources", "utkfaces").complaint.startswith("no source 'utkfaces'; there are: utkface, fairface, ")


def test_a_broken_package_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("broken", "nowhere.at_all:PLUGIN", "agelens.sources")
    monkeypatch.setattr(agelens.data.sources, "entry_points", lambda group: EntryPoints([point]))
    assert "nowhere.at_all:PLUGIN cannot be loaded: ModuleNotFoundError" in run("sources").complaint
