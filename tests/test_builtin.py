"""The built-in model: what its card, its model card and the README say of it is the same, and it fits the wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agelens import AgeEstimator
from agelens.bundle import BUILTIN, DEFAULT, Bundle

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """The card's figures on the validation split."""
    return dict(Bundle.load().card.figures["val"])


def test_it_fits_into_sixteen_megabytes() -> None:
    assert 1_000_000 < BUILTIN[DEFAULT].stat().st_size <= 16_000_000


def test_its_recorded_figures_reach_the_bar(measured: dict[str, Any]) -> None:
    assert measured["all"]["faces"] >= 2000
    assert measured["all"]["mae"] <= 4.8
    assert measured["all"]["gender_accuracy"] >= 0.92


@pytest.mark.parametrize("document", ["README.md", "src/agelens/assets/MODEL_CARD.md"])
def test_documents_say_what_the_card_says(document: str, measured: dict[str, Any]) -> None:
    rows = [line.split("|")[1:-1] for line in (ROOT / document).read_text().splitlines() if line.startswith("| ")]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    groups = {"all": measured["all"], **measured["decades"]}
    for name, group in groups.items():
        assert cells[name][:2] == [str(group["faces"]), f"{group['mae']:.2f}"]


def test_wider_levels_have_wider_intervals() -> None:
    portrait = ROOT / "examples" / "eileen-collins.jpg"
    widths = []
    for level in (0.5, 0.8, 0.9, 0.95):
        low, high = AgeEstimator.load(level=level).predict(portrait)[0].interval
        widths.append(high - low)
    assert widths == sorted(widths)
    assert 2 < widths[0] < widths[-1] < 60


def test_card_names_data_terms_and_recipe() -> None:
    card = Bundle.load().card
    assert "non-commercial" in card.terms
    assert card.training["datasets"] == ["utkface"]
    assert card.training["config"]["seed"] == 0
