"""The built-in models: what their cards, their model cards and the README say of them is the same, and they fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agelens import AgeEstimator
from agelens.bundle import BUILTIN, DEFAULT, Bundle
from agelens.card import Card

ROOT = Path(__file__).parent.parent
LARGEST = {"base": 16_000_000, "lite": 4_000_000, "open": 16_000_000}  # bytes
FIGURES: dict[str, Any] = json.loads((ROOT / "models" / "figures.json").read_text(encoding="utf-8"))
DOCUMENTS = [
    ("README.md", DEFAULT),
    *((str(path.with_suffix(".md").relative_to(ROOT)), n) for n, path in BUILTIN.items()),
]


@pytest.fixture(params=BUILTIN)
def name(request: pytest.FixtureRequest) -> str:
    """Of a built-in model."""
    return str(request.param)


@pytest.fixture
def card(name: str) -> Card:
    """Its card."""
    return Bundle.load(name).card


def test_it_is_as_small_as_was_promised(name: str) -> None:
    size = BUILTIN[name].stat().st_size
    assert 1_000_000 < size <= LARGEST[name]
    assert FIGURES[name]["megabytes"] == pytest.approx(size / 1e6, abs=0.06)


def test_its_figures_were_measured_on_both_data_sets(name: str) -> None:
    utkface, fairface = FIGURES[name]["utkface"], FIGURES[name]["fairface"]
    assert (utkface["all"]["faces"], fairface["faces"]) == (2011, 997)
    assert sum(group["faces"] for group in utkface["decades"].values()) == 2011
    assert set(utkface["groups"]) >= {"gender", "race"}
    assert 0 < FIGURES[name]["milliseconds"] < 100


def test_its_card_has_the_same_figures(name: str, card: Card) -> None:
    own = card.figures["val"]["all"]
    if own["mae"] is None:  # it learnt from bands alone
        assert own["faces"] == FIGURES[name]["fairface"]["faces"]
        return
    measured = FIGURES[name]["utkface"]["all"]
    for figure in ("faces", "mae", "gender_accuracy", "coverage"):
        assert own[figure] == pytest.approx(measured[figure], abs=1e-3)


@pytest.mark.parametrize(("document", "name"), DOCUMENTS)
def test_documents_say_what_was_measured(document: str, name: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    written = text.split(f"<!-- figures of {name} -->")[1].split("<!-- end of figures -->")[0]
    rows = [line.split("|")[1:-1] for line in written.splitlines() if line.startswith("| ")]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    utkface = FIGURES[name]["utkface"]
    groups = {"all": utkface["all"], **utkface["decades"], **utkface["groups"]["gender"], **utkface["groups"]["race"]}
    assert set(cells) - {"group"} == set(groups)
    for group, figures in groups.items():
        assert cells[group][:2] == [str(figures["faces"]), f"{figures['mae']:.2f}"]
    assert f"{FIGURES[name]['fairface']['bands']:.1%}" in written


def test_its_terms_are_those_of_its_data(name: str, card: Card) -> None:
    assert ("non-commercial" in card.terms) == ("utkface" in card.training["datasets"])
    text = BUILTIN[name].with_suffix(".md").read_text(encoding="utf-8")
    assert "## What it is not for" in text
    assert "## Known failures" in text
    assert "Proof of age" in text


def test_wider_levels_have_wider_intervals(name: str) -> None:
    portrait = ROOT / "examples" / "eileen-collins.jpg"
    widths = []
    for level in (0.5, 0.8, 0.9, 0.95):
        low, high = AgeEstimator.load(name, level=level).predict(portrait)[0].interval
        widths.append(high - low)
    assert widths == sorted(widths)
    assert 2 < widths[0] < widths[-1] < 60


def test_the_readme_compares_the_models_as_they_were_measured(name: str) -> None:
    rows = {row["name"]: row for row in json.loads((ROOT / "models" / "search.json").read_text(encoding="utf-8"))}
    row = rows[name]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = (one for one in text.splitlines() if one.startswith(f"| [{name}]("))
    cells = [cell.strip() for cell in line.split("|")[3:-2]]
    assert cells == [
        f"{row['megabytes']:.1f}",
        f"{row['milliseconds']:.1f} ms",
        *(f"{row[figure][0]:.2f}" for figure in ("mae", "mae_0_9", "mae_60")),
        *(f"{row[figure][0]:.1%}" for figure in ("gender_10", "bands")),
    ]
