"""How well a network on vectors does: the figures in which such networks are published."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from agelens.embed.config import MlpConfig
from agelens.embed.labels import Labels
from agelens.embed.mlp import Mlp
from agelens.embed.objective import stack_loss
from agelens.train.dataset import NO_GENDER
from agelens.train.heads import AgeHead, expected_age
from agelens.train.heads.binned import Ranges
from agelens.train.network import Logits

__all__ = ["figures_of", "judge"]


@torch.inference_mode()
def judge(
    network: Mlp, vectors: torch.Tensor, labels: Labels, places: npt.NDArray[np.int64], config: MlpConfig
) -> dict[str, float]:
    """Figures of a network on some faces.

    Args:
        network: put into evaluation mode.
        vectors: (N, D) float32.
        labels: of the N faces.
        places: (M,) those that count, at least one.
        config: with which the loss and ``relaxed`` are told.

    Returns:
        "loss"; "accuracy" and "relaxed_accuracy", shares of the faces whose likeliest class, a year or a range, is
        theirs, or ``relaxed`` off at most; "mae", of the expected ages, in years; "gender", a share. Those of which no
        face can tell are NaN.
    """
    chosen = torch.from_numpy(places)
    logits = network.eval()(vectors[chosen])
    return figures_of(logits, labels.of(chosen), network.head, config)


@torch.inference_mode()
def figures_of(logits: Logits, labels: Labels, head: AgeHead | None, config: MlpConfig) -> dict[str, float]:
    """What ``judge`` gives, of (M, …) logits and the labels of these faces."""
    age, gender = logits
    numbers = age if gender is None else torch.cat([age, gender], dim=1)
    one = Labels._make(values[None] for values in labels)
    heads = [] if head is None else [head]
    figures = {"loss": float(stack_loss(numbers.T[None], one, torch.ones(1, len(numbers)), heads, config))}
    if head is not None:
        figures |= _age_figures(head, age, labels, config.relaxed)
    if gender is not None:
        figures["gender"] = _mean((gender.argmax(dim=1) == labels.gender)[labels.gender != NO_GENDER])
    return figures


def _age_figures(head: AgeHead, raw: torch.Tensor, labels: Labels, relaxed: int) -> dict[str, float]:
    exact = ~labels.age.isnan()
    probs = head.probs(raw)
    if isinstance(head, Ranges):
        likeliest, true, known = raw.argmax(dim=1), head.classes(labels.middle), torch.ones_like(exact)
    else:
        likeliest, true, known = probs.argmax(dim=1), labels.middle.round().long(), exact
    off = (likeliest - true).abs()[known]
    return {
        "accuracy": _mean(off == 0),
        "relaxed_accuracy": _mean(off <= relaxed),
        "mae": _mean((expected_age(probs) - labels.age).abs()[exact]),
    }


def _mean(values: torch.Tensor) -> float:
    return float(values.float().mean())
