"""The page of an evaluation: what stands in it, and that nothing of a data set's text is taken for HTML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from agelens import ages
from agelens.bundle import Bundle
from agelens.card import Card
from agelens.data.manifest import Manifest
from agelens.evaluate.answers import answers_of
from agelens.evaluate.evaluation import Predictions, predict_split
from agelens.evaluate.figures import figures
from agelens.evaluate.page import draw_page
from agelens.evaluate.reported import held_by_level, reported


class _Tags(HTMLParser):
    """Counts tags, and remembers those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def said(bundle_path: object, manifest: Manifest) -> tuple[Predictions, Card]:
    """What the tiny bundle says of all faces."""
    bundle = Bundle.load(str(bundle_path))
    return predict_split(bundle, manifest, "all"), bundle.card


def _page(found: Predictions, card: Card, manifest: str = "crops") -> str:
    measured = figures(answers_of(found, card.interval_mass(0.9)), 0.9, crossings=True)
    return draw_page(measured, reported(found, card), manifest, {})


def test_it_is_whole_and_has_a_table_for_each_kind_of_group(said: tuple[Predictions, Card]) -> None:
    tags = _Tags()
    page = _page(*said)
    tags.feed(page)
    assert tags.open == []
    assert tags.seen.count("table") == 8  # intervals, all, decade, gender, race, and three of two kinds at once
    assert tags.seen.count("details") == 3
    assert tags.seen.count("img") == 4
    measured = figures(answers_of(said[0], said[1].interval_mass(0.9)), 0.9)["all"]
    assert f"<b>{measured['mae']:.2f}</b>" in page


def test_names_are_text_and_no_html(said: tuple[Predictions, Card]) -> None:
    found, card = said
    evil = "<script>alert(1)</script>"
    rows = found.rows.assign(race=np.where(np.arange(len(found.rows)) % 2, evil, "other"))
    page = _page(replace(found, rows=rows), replace(card, name=evil, terms=evil), evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 4


def test_bands_alone_have_a_page_without_plots(bundle_path: object, bands: Manifest) -> None:
    bundle = Bundle.load(str(bundle_path))
    tags = _Tags()
    tags.feed(_page(predict_split(bundle, bands, "all"), bundle.card))
    assert tags.seen.count("img") == 0


def test_what_intervals_hold_is_told_for_each_level_and_the_worst_large_decade(said: tuple[Predictions, Card]) -> None:
    found, card = said
    rng = np.random.default_rng(0)
    true = np.repeat([25.0, 45.0, 65.0], [200, 150, 50])
    guess = true + rng.normal(0, np.where(true == 45, 9, 3))
    rows = found.rows.iloc[np.zeros(400, dtype=int)].assign(age=true).reset_index(drop=True)
    many = Predictions(rows, ages.soft_labels(guess, 4), np.zeros((400, 0)), ())
    held = held_by_level(many, replace(card, interval_masses={"0.9": 0.9, "0.5": 0.5}))
    assert list(held) == [0.5, 0.9]
    low, high = ages.interval(many.age_probs, 0.9).T
    inside = (low <= true) & (true <= high)
    assert held[0.9]["coverage"] == pytest.approx(inside.mean())
    assert held[0.9]["worst"] == pytest.approx(inside[true == 45].mean())
    assert held[0.9]["width"] == pytest.approx((high - low).mean())
