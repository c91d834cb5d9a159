"""What a model file says of itself, and the JSON in which it stands there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from agelens.ages import NUM_BINS, Mass
from agelens.errors import BundleError
from agelens.faces.align import CropSpec
from agelens.faces.embedder import EmbedderSpec
from agelens.sessions import brief

__all__ = ["CARD_KEY", "FORMAT", "Card", "dump_card", "parse_card"]

CARD_KEY: Final = "agelens.card"  # of the file's metadata
FORMAT: Final = 1
CHALLENGE_AGE: Final = 101  # years, above which nobody can be estimated


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle knows about itself.

    Attributes:
        name: of the model.
        version: of agelens that wrote it.
        crop: how faces are cut for it.
        genders: what the columns of ``gender_probs`` mean; empty for a network that tells no gender.
        flip: whether each crop and its mirror image are averaged.
        interval_masses: for each level ("0.9"), the central mass of the age distribution whose interval held that
            share of the true ages of calibration faces: one number, or one for each year 0…100.
        thresholds: for each legal age ("18"), ``challenge_age``, the estimated age in years from which to let pass so
            that of validation faces below the legal age at most the share ``max_false_pass`` does; and, where there are
            faces enough, ``false_pass`` and ``false_fail`` of faces that it was not chosen on. Empty where ages are not
            known well enough.
        training: data, seed and recipe, free text and numbers.
        figures: what was measured, and on what.
        terms: under which it may be used.
        embedder: which the vectors must come from that the network takes; None for one that takes crops.
    """

    name: str
    version: str
    crop: CropSpec
    genders: tuple[str, ...]
    flip: bool
    interval_masses: Mapping[str, float | tuple[float, ...]]
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    terms: str = ""
    embedder: EmbedderSpec | None = None

    def to_dict(self) -> dict[str, Any]:
        """The card as plain numbers, strings, lists and dictionaries; ``embedder`` only where there is one."""
        told = asdict(self)
        return told if self.embedder is not None else {k: v for k, v in told.items() if k != "embedder"}

    def interval_mass(self, level: float) -> Mass:
        """The calibrated central mass for a level, for ``ages.interval``.

        Raises:
            ValueError: the bundle was not calibrated at this level.
        """
        for known, mass in self.interval_masses.items():
            if abs(float(known) - level) < 1e-9:
                return np.array(mass) if isinstance(mass, tuple) else mass
        raise ValueError(f"no interval at level {level}; this bundle has: {', '.join(self.interval_masses)}")

    def challenge_age(self, legal: int) -> float:
        """The estimated age in years from which to let pass, for a legal age; ``thresholds`` has how often it errs.

        Raises:
            ValueError: the card has none for this age.
        """
        if str(legal) not in self.thresholds:
            known = ", ".join(self.thresholds) or "none"
            raise ValueError(
                f"no challenge age for {legal} in this bundle, which has: {known}; find one with: agelens threshold"
            )
        return self.thresholds[str(legal)]["challenge_age"]


def dump_card(card: Card) -> str:
    """A card as the JSON that stands in a bundle."""
    return json.dumps({"format": FORMAT, **card.to_dict()}, indent=1)


def parse_card(text: str) -> Card:
    """A card from its JSON.

    Raises:
        BundleError: the text is no card, lacks a part, or was written in a newer format.
    """
    try:
        raw = dict(json.loads(text))
        written = raw.pop("format")
        if written != FORMAT:
            raise BundleError(f"a card of format {written!r}, but this agelens reads {FORMAT}: pip install -U agelens")
        raw["crop"] = CropSpec.from_dict(raw["crop"])
        if raw.get("embedder") is not None:
            raw["embedder"] = EmbedderSpec.from_dict(raw["embedder"])
        if not isinstance(raw["genders"], list):
            raise ValueError("genders must be a list of words")
        raw["genders"] = tuple(map(str, raw["genders"]))
        raw["interval_masses"] = {str(float(level)): _mass(one) for level, one in raw["interval_masses"].items()}
        raw["thresholds"] = {str(int(legal)): _threshold(one) for legal, one in raw.get("thresholds", {}).items()}
        card = Card(**raw)
        if not card.interval_masses:
            raise ValueError("interval_masses must hold shares within 0…1")
        if not isinstance(card.flip, bool):
            raise ValueError("flip must be true or false")
        if not (isinstance(card.training, dict) and isinstance(card.figures, dict) and isinstance(card.terms, str)):
            raise ValueError("training and figures must be objects, terms a text")
        return card
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {brief(error)}"
        raise BundleError(f"the card is damaged ({reason}); export the bundle again") from error


def _mass(raw: Any) -> float | tuple[float, ...]:
    if isinstance(raw, list) and len(raw) == NUM_BINS:
        return tuple(_share(one) for one in raw)
    return _share(raw)


def _threshold(raw: Any) -> Mapping[str, float]:
    found = {str(name): float(value) for name, value in raw.items()}
    shares = [share for name, share in found.items() if name != "challenge_age"]
    if not 0 <= found["challenge_age"] <= CHALLENGE_AGE or not all(0 <= share <= 1 for share in shares):
        raise ValueError("thresholds must hold a challenge_age in years, and shares within 0…1")
    return found


def _share(raw: Any) -> float:
    share = float(raw)
    if not 0 <= share <= 1:
        raise ValueError(f"interval_masses must hold shares within 0…1, one a level or {NUM_BINS}")
    return share
