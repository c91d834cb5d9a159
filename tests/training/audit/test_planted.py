"""Faults planted into real faces; the environment variable AGELENS_DATA names the folder that holds UTKFace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agelens.audit.findings import Finding, Kind
from agelens.audit.run import Audit, audit
from agelens.audit.settings import AuditSettings
from agelens.bundle import Bundle

DATA = os.environ.get("AGELENS_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="AGELENS_DATA is not set")

OPINIONS = (Kind.WRONG_AGE, Kind.WRONG_GENDER)
FIXED = {*Kind} - {*OPINIONS, Kind.DOUBTFUL_AGE, Kind.DOUBTFUL_FACE, Kind.IMBALANCE, Kind.BLANK}


@pytest.fixture(scope="module")
def planted(planting: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A manifest and the faults in it."""
    path, faults = planting.plant(Path(str(DATA)) / "UTKFace", tmp_path_factory.mktemp("planted") / "set")
    return path, faults


@pytest.fixture(scope="module")
def found(planted: tuple[Path, list[Any]]) -> Audit:
    """The audit of it, with the built-in model."""
    return audit(planted[0], AuditSettings(bundles=[Bundle.load()]))


def test_no_planted_fault_is_missed_and_hardly_anything_else_is_found(
    planting: ModuleType, planted: tuple[Path, list[Any]], found: Audit
) -> None:
    scores = planting.score(planted[1], found.findings, found.samples.table["source_path"].tolist())
    certain = {kind: counts for kind, counts in scores.items() if kind not in OPINIONS}
    assert sum(planted > 0 for planted, _, _ in certain.values()) == 7
    assert sum(planted for planted, _, _ in certain.values()) == 48
    assert {kind: hit for kind, (_, hit, _) in certain.items()} == {
        kind: count for kind, (count, _, _) in certain.items()
    }
    assert sum(false for _, _, false in certain.values()) == 0
    # a model has opinions: measured are six of six ages, five of six genders, and one false alarm in 78 others
    assert scores[Kind.WRONG_AGE][1] == 6
    assert scores[Kind.WRONG_GENDER][1] >= 5
    assert sum(scores[kind][2] for kind in OPINIONS) <= 2


def test_the_fixed_set_has_none_of_them(
    planted: tuple[Path, list[Any]], run: Callable[..., Any], look: Callable[..., list[Finding]]
) -> None:
    target = planted[0].with_name("cleaned.parquet")
    assert run("audit", planted[0], "--fix", target).status == 0
    findings = look(target, "duplicates", "leaks", "labels", "pictures")
    assert not {finding.kind for finding in findings} & FIXED
