"""Figures of an epoch, added up batch after batch."""

from __future__ import annotations

import torch

from agelens.train.dataset import NO_GENDER, Batch
from agelens.train.heads import AgeHead, expected_age
from agelens.train.network import Logits

__all__ = ["BETTER", "Sums", "batch_sums"]

# Whether a lower or a higher value of a figure is better.
BETTER = {"val_mae": "lower", "val_loss": "lower", "val_cs5": "higher", "val_band": "higher", "val_gender": "higher"}


class Sums:
    """Totals and counts by name; a mean is their quotient."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[float, float]] = {}

    def add(self, sums: dict[str, tuple[float, float]]) -> None:
        """Add a batch's totals and counts."""
        for name, (total, count) in sums.items():
            before = self.values.get(name, (0.0, 0.0))
            self.values[name] = (before[0] + total, before[1] + count)

    def means(self) -> dict[str, float]:
        """The figures, without those that nothing was known for."""
        return {name: total / count for name, (total, count) in self.values.items() if count}


@torch.no_grad()
def batch_sums(head: AgeHead, logits: Logits, batch: Batch, loss: torch.Tensor) -> dict[str, tuple[float, float]]:
    """What one batch adds to the figures, by name: a total and the number of faces that it is of.

    ``loss``; ``mae`` in years and ``cs5``, the share within five years, of faces whose age is known; ``band``, the
    share whose expected age lies within the band, of those of which only that is known; ``gender``, the share right.
    """
    faces = float(len(batch["age"]))
    age = expected_age(head.probs(logits.age))
    error = (age - batch["age"]).abs()
    exact = ~batch["age"].isnan()
    inside = (batch["low"] <= age.round()) & (age.round() <= batch["high"])
    totals = [(error[exact]).sum(), (error[exact] <= 5).sum(), exact.sum(), inside[~exact].sum(), (~exact).sum()]
    if logits.gender is not None:
        known = batch["gender"] != NO_GENDER
        totals += [((logits.gender.argmax(dim=1) == batch["gender"]) & known).sum(), known.sum()]
    # one transfer from the device for all
    mae, cs5, exact_faces, band, band_faces, *gender = torch.stack([one.double() for one in totals]).tolist()
    sums = {
        "loss": (loss.item() * faces, faces),
        "mae": (mae, exact_faces),
        "cs5": (cs5, exact_faces),
        "band": (band, band_faces),
    }
    return sums | ({"gender": (gender[0], gender[1])} if gender else {})
