"""Samples of a manifest as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import DataLoader, Dataset

from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest

__all__ = ["NO_GENDER", "Batch", "CropDataset", "make_loader"]

# A gender that the data set does not tell; the loss leaves such samples out.
NO_GENDER = -1


class Batch(TypedDict):
    """Some samples.

    ``crop`` (N, 3, size, size) uint8; ``age`` (N,) float32 years; ``gender`` (N,) int64, ``NO_GENDER`` if unknown.
    """

    crop: torch.Tensor
    age: torch.Tensor
    gender: torch.Tensor


class CropDataset(Dataset[dict[str, Any]]):
    """One split of a manifest; each sample is one face as ``Batch`` describes, without the first axis."""

    def __init__(
        self, manifest: Manifest, split: str, transform: Callable[[npt.NDArray[np.uint8]], torch.Tensor]
    ) -> None:
        """
        Args:
            manifest: the table; samples need an exact age.
            split: "train", "val" or "all".
            transform: stored crop, (H, W, 3) uint8, to (3, size, size) uint8.

        Raises:
            DataError: the split is empty, or a sample has no exact age.
        """
        rows = manifest.split(split, exact_age=True)
        self._manifest = manifest
        self._places = cast("list[dict[str, Any]]", rows[["path", "offset", "length"]].to_dict("records"))
        self.ages = rows["age"].to_numpy(dtype=np.float32)
        self.genders = gender_codes(rows["gender"])
        self._transform = transform

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        crop = self._manifest.read_crop(self._places[index])
        return {"crop": self._transform(crop), "age": self.ages[index], "gender": self.genders[index]}


def gender_codes(genders: pd.Series[str]) -> npt.NDArray[np.int64]:
    """Position in ``GENDERS`` of each, ``NO_GENDER`` where it is null: (N,) int64."""
    codes = {name: code for code, name in enumerate(GENDERS)}
    return np.array([codes.get(gender, NO_GENDER) for gender in genders], dtype=np.int64)


def make_loader(dataset: CropDataset, *, batch_size: int, workers: int, shuffle: bool) -> DataLoader[Batch]:
    """Batches of a data set, shuffled and without a last odd one for training, in order and whole otherwise."""
    return DataLoader(
        cast("Dataset[Batch]", dataset),  # one sample goes in, a batch of them comes out
        batch_size=min(batch_size, len(dataset)),
        shuffle=shuffle,
        drop_last=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
