"""Batch norms for networks whose norms were folded into their convolutions: the same answers, fit to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import nn

from agelens.data.manifest import read_manifest
from agelens.faces.align import CropSpec
from agelens.files import atomic_path
from agelens.train.dataset import CropDataset
from agelens.train.transforms import plain_transform

__all__ = ["Pixels", "crops", "even_filters", "for_pixels", "pixels", "save_start", "set_affine", "unfold_norms"]

FACES = 2048


def set_affine(norm: nn.BatchNorm2d, scale: torch.Tensor, offset: torch.Tensor) -> None:
    """Have a norm only multiply and add, (C,) each: what is left of one that was folded."""
    norm.load_state_dict(
        {
            "weight": scale,
            "bias": offset,
            "running_mean": torch.zeros_like(offset),
            "running_var": torch.full_like(offset, 1 - norm.eps),
        },
        strict=False,
    )


class Pixels(NamedTuple):
    """What was taken from each colour of 0…255, in RGB, and what the rest was divided by."""

    taken: torch.Tensor
    divided: torch.Tensor

    @classmethod
    def of(cls, taken: Sequence[float], divided: Sequence[float]) -> Pixels:
        """From (3,) each."""
        return cls(*(torch.tensor(one, dtype=torch.float32).view(1, 3, 1, 1) for one in (taken, divided)))

    @classmethod
    def of_timm(cls, backbone: nn.Module) -> Pixels:
        """What our training does to the pixels for one of timm's networks."""
        learnt_with: Any = backbone.pretrained_cfg
        return cls.of(*([255 * one for one in learnt_with[key]] for key in ("mean", "std")))


def for_pixels(
    kernel: torch.Tensor, bias: torch.Tensor, learnt: Pixels, given: Pixels
) -> tuple[torch.Tensor, torch.Tensor]:
    """A first layer that learnt with pixels made in one way, for pixels made in another."""
    shift = (given.taken - learnt.taken) / learnt.divided
    return kernel * (given.divided / learnt.divided), bias + (kernel * shift).sum((1, 2, 3))


@torch.no_grad()
def even_filters(backbone: nn.Module) -> None:
    """Bring each filter to the size that it would have at random (He); its norm, set by ``set_affine``, undoes it.

    An optimiser's steps are as long for a network's small numbers as for its large ones; folded filters have any size.
    """
    convolutions = [one for one in backbone.modules() if isinstance(one, nn.Conv2d)]
    norms = [one for one in backbone.modules() if isinstance(one, nn.BatchNorm2d)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        sizes = convolution.weight.square().mean((1, 2, 3)).sqrt()
        wanted = (2 / convolution.weight[0].numel()) ** 0.5
        factors = torch.where(sizes > 0, wanted / sizes.clamp(min=1e-12), 1)
        convolution.weight *= factors.view(-1, 1, 1, 1)
        norm.weight /= factors


@torch.no_grad()
def unfold_norms(backbone: nn.Module, batches: Iterator[torch.Tensor]) -> None:
    """Have each norm hold the mean and spread of what comes to it, and undo them; all were set by ``set_affine``."""
    norms = [one for one in backbone.modules() if isinstance(one, nn.BatchNorm2d)]
    sums: dict[nn.Module, list[torch.Tensor]] = {norm: [] for norm in norms}

    def note(norm: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        moments = inputs[0].mean((0, 2, 3)), inputs[0].square().mean((0, 2, 3))
        sums[norm].append(torch.stack(moments).double())

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    for batch in batches:
        backbone(batch)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean, square = torch.stack(sums[norm]).mean(0).float()
        variance = (square - mean.square()).clamp(min=1e-6)
        scale = norm.weight
        norm.running_mean, norm.running_var = mean, variance
        norm.weight = nn.Parameter(scale * (variance + norm.eps).sqrt(), requires_grad=False)
        norm.bias = nn.Parameter(norm.bias + scale * mean, requires_grad=False)


def crops(folder: Path, split: str, size: int) -> CropDataset:
    """Faces of a split, ``FACES`` of them at most, as what ``agelens prepare`` wrote, of ``size`` pixels a side."""
    manifest = read_manifest(folder)
    wanted = CropSpec(size, 0.0, manifest.crop.template)
    return CropDataset(manifest, split, plain_transform(manifest.crop, wanted), faces=FACES)


def pixels(faces: CropDataset, made: Pixels) -> Iterator[torch.Tensor]:
    """The faces in batches, (64, 3, size, size), their pixels made as a network wants them."""
    for start in range(0, len(faces), 64):
        some = [faces[0, place]["crop"] for place in range(start, min(start + 64, len(faces)))]
        yield (torch.stack(some).float() - made.taken) / made.divided


@torch.no_grad()
def save_start(backbone: nn.Module, faces: CropDataset, out: Path, *, even: bool) -> float:
    """Unfold a backbone's norms by what faces give, and write its tensors; ``even``: its filters are evened first.

    Returns:
        By how much the features of the first faces moved, as a share of the largest.
    """
    made = Pixels.of_timm(backbone)
    sample = next(pixels(faces, made))
    before = backbone(sample)
    if even:
        even_filters(backbone)
    unfold_norms(backbone, pixels(faces, made))
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(out) as temporary:
        save_file({name: one.contiguous() for name, one in backbone.state_dict().items()}, temporary)
    return float((backbone(sample) - before).abs().max() / before.abs().max())
