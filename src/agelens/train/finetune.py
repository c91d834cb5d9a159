"""What of a network is trained, when, and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from timm.models import group_parameters
from torch import nn

from agelens.train.config import TrainConfig
from agelens.train.network import AgeNetwork
from agelens.train.sections import FinetuneConfig

__all__ = ["Trainable", "free_stages", "freed_at", "parameter_groups", "set_trainable", "stages"]

NORMS = (nn.modules.batchnorm._NormBase,)


class Trainable(NamedTuple):
    """What is trained now: ``stages`` of the backbone's ``of``, the last, and the heads; ``numbers`` of ``all``."""

    stages: int
    of: int
    numbers: int
    all: int

    def __str__(self) -> str:
        """One line for people."""
        what = {0: "the heads", self.of: "everything"}.get(
            self.stages, f"the heads and the last {self.stages} of {self.of} stages"
        )
        return f"training {what}: {self.numbers:,} of {self.all:,} weights"


def stages(backbone: nn.Module) -> list[list[str]]:
    """Names of the backbone's parameters by stage, from the one that sees the crop to the last.

    timm knows the stages of its networks; what it puts behind them all belongs to the last.
    """
    groups = _groups(backbone)
    parameters = dict(backbone.named_parameters())
    unnumbered = not any(char.isdigit() for char in "".join(groups[-1]))
    if len(groups) > 1 and (unnumbered or all(parameters[name].ndim == 1 for name in groups[-1])):
        groups[-2:] = [groups[-2] + groups[-1]]
    return groups


def _groups(backbone: nn.Module) -> list[list[str]]:
    if hasattr(backbone, "group_matcher"):
        matcher = cast("Any", backbone).group_matcher(coarse=True)
        grouped = group_parameters(backbone, matcher, reverse=False)
        found = [list(grouped[key]) for key in sorted(grouped)]
    else:
        found = [[f"{name}.{one}" for one, _ in part.named_parameters()] for name, part in backbone.named_children()]
    return [group for group in found if group]


def freed_at(config: FinetuneConfig, epochs: int, of: int) -> tuple[int, ...]:
    """After how many epochs a further stage is freed, for each of the stages that ever are.

    Args:
        config: with or without the epochs.
        epochs: of the whole run.
        of: stages of the backbone.
    """
    if config.unfreeze == "none":
        return ()
    if config.epochs:
        return config.epochs[:of]
    steps = 1 if config.unfreeze == "last" else min(of, epochs - 1)
    # a run of one epoch frees nothing: there is no epoch after which it could
    return tuple(sorted({round(epochs * (step + 1) / (steps + 1)) for step in range(steps)} - {0, epochs}))


def free_stages(config: FinetuneConfig, epoch: int, epochs: int, of: int) -> int:
    """How many of the backbone's stages, counted from the last, are trained in an epoch, counted from 0."""
    if config.freeze == "none":
        return of
    return sum(epoch >= start for start in freed_at(config, epochs, of))


def set_trainable(network: AgeNetwork, free: int) -> Trainable:
    """Train the heads and the last ``free`` stages of the backbone; the rest keeps its weights.

    A frozen stage's batch norms keep their averages too and use them, as in evaluation.
    """
    groups = stages(network.backbone)
    frozen = {name for group in groups[: len(groups) - free] for name in group}
    parameters = dict(network.backbone.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name not in frozen)
    for prefix, part in network.backbone.named_modules():
        if isinstance(part, NORMS):
            own = [f"{prefix}.{name}" if prefix else name for name, _ in part.named_parameters(recurse=False)]
            part.train(free == len(groups) or (bool(own) and not frozen.intersection(own)))
    sizes = [(one.numel(), one.requires_grad) for one in network.parameters()]
    return Trainable(free, len(groups), sum(size for size, on in sizes if on), sum(size for size, _ in sizes))


def parameter_groups(network: AgeNetwork, config: TrainConfig) -> list[dict[str, Any]]:
    """The optimiser's groups: each stage with its learning rate, and matrices apart from vectors, which do not decay.

    Frozen weights are in them too: without a gradient the optimiser leaves them alone.
    """
    decay, by_stage = config.finetune.layer_decay, stages(network.backbone)
    named = dict(network.backbone.named_parameters())
    parts: list[tuple[float, Sequence[torch.Tensor]]] = [
        (decay ** (len(by_stage) - place), [named[name] for name in names]) for place, names in enumerate(by_stage)
    ]
    own = {id(parameter) for parameter in named.values()}
    # timm knows which of a network's matrices are none, as a transformer's places
    spare = getattr(network.backbone, "no_weight_decay", set)
    spared = {id(named[name]) for name in spare() if name in named}
    parts.append((1.0, [parameter for parameter in network.parameters() if id(parameter) not in own]))
    groups = []
    for scale, parameters in _merged(parts):
        for matrices in (True, False):
            chosen = [one for one in parameters if (one.ndim > 1 and id(one) not in spared) == matrices]
            weight_decay = config.optim.weight_decay if matrices else 0.0
            if chosen:
                groups.append({"params": chosen, "lr": config.optim.lr * scale, "weight_decay": weight_decay})
    return groups


def _merged(parts: Sequence[tuple[float, Sequence[torch.Tensor]]]) -> list[tuple[float, list[torch.Tensor]]]:
    """Parts of the same learning rate as one."""
    merged: dict[float, list[torch.Tensor]] = {}
    for scale, parameters in parts:
        merged.setdefault(scale, []).extend(parameters)
    return list(merged.items())
