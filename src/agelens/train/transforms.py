"""From a stored crop to what the network sees: the crop function for validation, variations of it for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms import v2

from agelens.faces.align import CropSpec, recrop, recrop_matrix, warp

__all__ = ["PRESETS", "Preset", "plain_transform", "to_tensor", "train_transform"]

Image = npt.NDArray[np.uint8]
Transform = Callable[[Image], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Preset:
    """How far a training sample may stray from the plain one.

    Attributes:
        turn: largest rotation either way, in degrees.
        zoom: largest change of size either way, as a factor's logarithm.
        shift: largest move either way, as a share of the crop's side.
        pixels: what is done to the moved crop, (3, H, W) uint8 → the same.
        years: standard deviation of what is added to the age, as labels are seldom right to the year.
    """

    turn: float
    zoom: float
    shift: float
    pixels: Callable[[torch.Tensor], torch.Tensor]
    years: float = 0.0


PRESETS: Final[Mapping[str, Preset]] = {
    "none": Preset(0, 0, 0, v2.Identity()),
    "light": Preset(turn=5, zoom=0.06, shift=0.02, pixels=v2.RandomHorizontalFlip()),
    "standard": Preset(
        turn=10,
        years=0.5,
        zoom=0.12,
        shift=0.04,
        pixels=v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.2),
                v2.RandomGrayscale(0.05),
                v2.RandomErasing(p=0.25, scale=(0.02, 0.15), value=127),
            ]
        ),
    ),
    "strong": Preset(
        turn=20,
        years=1.0,
        zoom=0.2,
        shift=0.08,
        pixels=v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
                v2.RandomGrayscale(0.1),
                v2.RandomApply([v2.GaussianBlur(5, sigma=(0.1, 2.0))], p=0.2),
                v2.RandomApply([v2.JPEG((30, 90))], p=0.2),
                v2.RandomErasing(p=0.4, scale=(0.02, 0.25), value=127),
            ]
        ),
    ),
}


def to_tensor(crop: Image) -> torch.Tensor:
    """(H, W, 3) uint8 → (3, H, W) uint8, sharing no memory with the crop."""
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))


@dataclass(frozen=True, slots=True)
class _Plain:
    """An object and no closure, as processes that load samples may have to be sent it."""

    stored: CropSpec
    wanted: CropSpec

    def __call__(self, crop: Image) -> torch.Tensor:
        return to_tensor(recrop(crop, self.stored, self.wanted))


@dataclass(frozen=True, slots=True, eq=False)
class _Varied:
    preset: Preset
    plain: npt.NDArray[np.float64]
    size: int

    def __call__(self, crop: Image) -> torch.Tensor:
        moved = warp(crop, (_random_move(self.preset, self.size) @ self.plain)[:2], self.size)
        return self.preset.pixels(to_tensor(moved))


def plain_transform(stored: CropSpec, wanted: CropSpec) -> Transform:
    """The crop exactly as inference cuts it: (H, W, 3) uint8 → (3, size, size) uint8."""
    return _Plain(stored, wanted)


def train_transform(preset: Preset, stored: CropSpec, wanted: CropSpec) -> Transform:
    """A random variation of the crop: (H, W, 3) uint8 → (3, size, size) uint8.

    Turn, zoom and shift are joined with the crop into one warp of the stored crop, so that its margin comes into
    view at the edges and pixels are interpolated once. Draws from torch's random numbers.
    """
    return _Varied(preset, np.vstack([recrop_matrix(stored, wanted), [0, 0, 1]]), wanted.size)


def _random_move(preset: Preset, size: int) -> npt.NDArray[np.float64]:
    """A turn and zoom about the crop's middle, then a shift: (3, 3)."""
    turn, zoom, right, down = (2 * torch.rand(4) - 1).tolist()
    angle, scale = np.deg2rad(preset.turn * turn), np.exp(preset.zoom * zoom)
    cosine, sine, middle = scale * np.cos(angle), scale * np.sin(angle), size / 2
    move = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    move[:2, 2] = middle - move[:2, :2] @ [middle, middle] + preset.shift * size * np.array([right, down])
    return move
