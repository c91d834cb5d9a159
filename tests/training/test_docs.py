"""docs/data.md names everything that the code knows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agelens.cli import COMMANDS
from agelens.data.columns import COLUMNS
from agelens.data.reasons import Reason
from agelens.data.sources import SOURCES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*SOURCES, *COLUMNS.names, *Reason], ids=str)
def test_sources_columns_and_reasons_are_described(name: str) -> None:
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("name", SOURCES)
def test_terms_are_those_that_the_source_states(name: str) -> None:
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
    assert SOURCES[name].terms.split(",")[0] in row


def test_every_extra_that_a_command_needs_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {command.extra for command in COMMANDS.values()} - {None} <= project["optional-dependencies"].keys()
