"""The training of many networks on vectors at once, and of one: the same steps, in the same order of faces.

Each member has its own faces, its own weights to start from and its own order of faces; the number of steps, the
learning rate and the dropout's masks are common to all. A member comes out as if it had been trained alone, but for the
rounding of sums.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from agelens.embed.config import MlpConfig
from agelens.embed.judge import figures_of
from agelens.embed.labels import Labels
from agelens.embed.mlp import Mlp
from agelens.embed.objective import stack_loss
from agelens.embed.stacked import StackedMlp, masks
from agelens.errors import ConfigError
from agelens.train.balance import sample_weights
from agelens.train.schedules import rate_factor
from agelens.train.trainer import cpu_multiplies_bf16

__all__ = ["Faces", "Fitted", "Member", "Places", "Plan", "fit", "plan_of"]

LAYER_WEIGHT: Final = r"dense\.\d+\.weight"
AT_ONCE: Final = 1024  # validation faces of each member
BETTER_IS_LESS: Final = ("loss", "mae")
Places = npt.NDArray[np.int64]


class Faces(NamedTuple):
    """What is learnt from: ``vectors`` (N, D) float32, as the embedder gave them, and their ``labels``."""

    vectors: torch.Tensor
    labels: Labels


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One training of several.

    Attributes:
        network: what it starts from; it is left with the weights of the best epoch. Those of all members scale
            vectors alike.
        train: (M,) places among the faces that it learns from, 2 or more.
        val: (V,) places of those that choose the epoch; 1 or more.
        seed: of the order of the faces.
    """

    network: Mlp
    train: Places
    val: Places
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How many steps a training has: ``steps`` an epoch, for ``epochs``; the same for members of different sizes."""

    epochs: int
    steps: int


@dataclass(slots=True, eq=False)
class Fitted:
    """What came of a member: for each epoch the figures of its validation faces, and which epoch was kept."""

    figures: list[dict[str, float]] = field(default_factory=list)
    best: int = -1


def plan_of(config: MlpConfig, largest: int) -> Plan:
    """The plan in which a member with so many faces to learn from sees each of them once an epoch."""
    return Plan(config.optim.epochs, math.ceil(largest / config.data.batch_size))


def fit(
    faces: Faces,
    members: Sequence[Member],
    config: MlpConfig,
    plan: Plan,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[int, Sequence[Mapping[str, float]]], None] = lambda epoch, figures: None,
) -> list[Fitted]:
    """Train the members' networks, all in one stack.

    Args:
        faces: of all members.
        members: of one shape, with the heads that ``config`` says; at least one.
        config: how they are trained.
        plan: how long; members that are trained apart come out as in one stack where it is the same.
        progress: called with the number of steps done and their total.
        report: called after each epoch with its number, from 1 on, and the figures of each member's validation faces.

    Raises:
        ConfigError: the loss of a member grows beyond all numbers.
    """
    _fit_heads(faces.labels, members)
    stack = StackedMlp([one.network for one in members])
    optimizer = torch.optim.AdamW(_groups(stack, config), lr=config.optim.lr, fused=True)
    total = plan.epochs * plan.steps
    factor = rate_factor(config.schedule, total, plan.steps)
    kind = torch.bfloat16 if _in_bf16(config) else torch.float32
    vectors = members[0].network.scaled(faces.vectors).to(kind)
    weights = _weights(faces.labels, members, config.data.balance)
    batches = [_batches(one, config.data.batch_size) for one in members]
    results = [Fitted() for _ in members]
    for epoch in range(plan.epochs):
        stack.train()
        for step in range(epoch * plan.steps, (epoch + 1) * plan.steps):
            for group in optimizer.param_groups:
                group["lr"] = config.optim.lr * factor(step)
            places = torch.from_numpy(np.stack([next(one) for one in batches]))
            drop = masks(config.mlp.dropout, (stack.widest, places.shape[1]), _mask_seed(config.seed, step))
            numbers = stack(functional.embedding(places, vectors).transpose(1, 2), drop)
            weight = torch.ones(places.shape) if weights is None else weights.gather(1, places)
            loss = stack_loss(numbers, faces.labels.of(places), weight, stack.age_heads, config)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            progress(step + 1, total)
        _keep_better(stack, vectors, faces.labels, members, config, results)
        report(epoch + 1, [one.figures[-1] for one in results])
    return results


def _fit_heads(labels: Labels, members: Sequence[Member]) -> None:
    for one in members:
        if one.network.head is not None:
            one.network.head.fit(labels.middle[torch.from_numpy(one.train)].numpy())


def _groups(stack: StackedMlp, config: MlpConfig) -> list[dict[str, Any]]:
    """Weights of layers decay; biases, norms and the heads' own numbers do not."""
    layers = [one for name, one in stack.named_parameters() if re.fullmatch(LAYER_WEIGHT, name)]
    known = {id(one) for one in layers}
    others = [one for one in stack.parameters() if id(one) not in known]
    return [{"params": layers, "weight_decay": config.optim.weight_decay}, {"params": others, "weight_decay": 0.0}]


def _in_bf16(config: MlpConfig) -> bool:
    return config.precision == "bf16" or (config.precision == "auto" and cpu_multiplies_bf16())


def _weights(labels: Labels, members: Sequence[Member], balance: str) -> torch.Tensor | None:
    """(R, N), 0 for faces that a member does not learn from; None where all count for the same."""
    if balance == "none":
        return None
    weights = torch.zeros(len(members), len(labels.age))
    for row, one in zip(weights, members, strict=True):
        places = torch.from_numpy(one.train)
        row[places] = torch.from_numpy(sample_weights(labels.middle[places].numpy(), balance))
    return weights


def _batches(member: Member, size: int) -> Iterator[Places]:
    """Endless batches: one random order of its faces after another, cut without a rest."""
    rng, waiting = np.random.default_rng(member.seed), np.zeros(0, dtype=np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(member.train)])
        yield waiting[:size]
        waiting = waiting[size:]


def _mask_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _keep_better(
    stack: StackedMlp,
    vectors: torch.Tensor,
    labels: Labels,
    members: Sequence[Member],
    config: MlpConfig,
    results: Sequence[Fitted],
) -> None:
    """Judge each member by its validation faces, and give its network the weights where they are the best so far."""
    sign, heads = 1 if config.keep in BETTER_IS_LESS else -1, stack.age_heads
    for place, (numbers, member, result) in enumerate(
        zip(_judged(stack, vectors, members), members, results, strict=True)
    ):
        told = labels.of(torch.from_numpy(member.val))
        figures = figures_of(member.network.split(numbers), told, heads[place] if heads else None, config)
        if not math.isfinite(figures["loss"]):
            raise ConfigError("the loss grew beyond all numbers; take a lower optim.lr")
        result.figures.append(figures)
        if result.best < 0 or sign * figures[config.keep] < sign * result.figures[result.best][config.keep]:
            result.best = len(result.figures) - 1
            stack.give(place, member.network)


@torch.inference_mode()
def _judged(stack: StackedMlp, vectors: torch.Tensor, members: Sequence[Member]) -> list[torch.Tensor]:
    """The last layer's numbers of each member's validation faces: (V, outputs) float32 each."""
    stack.eval()
    most = max(len(one.val) for one in members)
    places = torch.from_numpy(np.stack([np.resize(one.val, most) for one in members]))  # the shorter ones once more
    parts = []
    for start in range(0, most, AT_ONCE):
        some = functional.embedding(places[:, start : start + AT_ONCE], vectors)
        parts.append(stack(some.transpose(1, 2), iter(())))
    numbers = torch.cat(parts, dim=2).transpose(1, 2).float()
    return [one[: len(member.val)] for one, member in zip(numbers, members, strict=True)]
