"""Samples of a manifest as tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import Dataset

from agelens import ages
from agelens.data.columns import GENDERS
from agelens.data.grouping import middle_age, year_ends
from agelens.data.manifest import Manifest
from agelens.train.balance import sample_weights

__all__ = ["NO_GENDER", "Batch", "CropDataset", "Place"]

# A gender that the data set does not tell; the loss leaves such samples out.
NO_GENDER = -1

Place = tuple[int, int]


class Batch(TypedDict):
    """Some samples.

    ``crop`` (N, 3, size, size) uint8; ``age`` (N,) float32 years, NaN where only the band is known; ``low`` and
    ``high`` (N,) float32, first and last whole year of the band, or the age; ``gender`` (N,) int64, ``NO_GENDER`` if
    unknown; ``weight`` (N,) float32, what each counts for. Where other models teach, ``taught_age`` (N, 101) and
    ``taught_gender`` (N, 2) are what they say, float32, summing to 1; the latter is 0 where they tell no gender.
    """

    crop: torch.Tensor
    age: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    gender: torch.Tensor
    weight: torch.Tensor
    taught_age: NotRequired[torch.Tensor]
    taught_gender: NotRequired[torch.Tensor]


class CropDataset(Dataset[dict[str, Any]]):
    """One split of a manifest; each sample is one face as ``Batch`` describes, without the first axis.

    Attributes:
        rows: the manifest's.
        labels: all but the crops, by their names in ``Batch``.
        middle_ages: (N,) years, of a band its middle.
        datasets: names of those that the samples come from.
    """

    def __init__(
        self,
        manifest: Manifest,
        split: str,
        transform: Callable[[npt.NDArray[np.uint8]], torch.Tensor],
        *,
        seed: int = 0,
        balance: str = "none",
        faces: int | None = None,
        years: float = 0.0,
    ) -> None:
        """
        Args:
            manifest: the table; samples have an age or a band.
            split: "train", "val", "test" or "all".
            transform: stored crop, (H, W, 3) uint8, to (3, size, size) uint8.
            seed: of the transform's random numbers.
            balance: see ``balance.sample_weights``.
            faces: only so many, drawn at random but always the same ones.
            years: standard deviation of the noise that is added to known ages.

        Raises:
            DataError: the split is empty.
        """
        rows = manifest.split(split)
        if faces is not None and faces < len(rows):
            rows = rows.sample(faces, random_state=0).sort_index()
        self.rows = rows
        self._manifest = manifest
        self._places = cast("list[dict[str, Any]]", rows[["path", "offset", "length"]].to_dict("records"))
        self._transform = transform
        self._seed = seed
        self._years = years
        self.datasets: list[str] = sorted(rows["dataset"].unique().tolist())
        self.middle_ages = middle_age(rows)
        age = np.clip(rows["age"].to_numpy(dtype=np.float32), 0, ages.MAX_AGE)
        low, high = year_ends(rows)
        self.labels: dict[str, npt.NDArray[Any]] = {
            "age": age,
            "low": low,
            "high": high,
            "gender": gender_codes(rows["gender"]),
            "weight": sample_weights(self.middle_ages, balance),
        }

    def __len__(self) -> int:
        return len(self._places)

    def fingerprint(self) -> str:
        """Another one for other samples, other labels or another order."""
        parts = [repr(self._places).encode(), *(values.tobytes() for values in self.labels.values())]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def __getitem__(self, place: Place) -> dict[str, Any]:
        """The sample at ``place``, an epoch and an index: an epoch's random numbers are a sample's own.

        So a crop is varied in the same way whoever loads it, after whichever others.
        """
        epoch, index = place
        seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)[0]
        torch.default_generator.manual_seed(int(seed))  # a GPU's, which torch.manual_seed would set too, draws nothing
        crop = self._transform(self._manifest.read_crop(self._places[index]))
        sample = {"crop": crop, **{name: values[index] for name, values in self.labels.items()}}
        if self._years:
            noisy = float(sample["age"]) + self._years * float(torch.randn(()))
            sample["age"] = np.float32(np.clip(noisy, 0, ages.MAX_AGE))
        return sample


def gender_codes(genders: pd.Series[str]) -> npt.NDArray[np.int64]:
    """Position in ``GENDERS`` of each, ``NO_GENDER`` where it is null: (N,) int64."""
    codes = {name: code for code, name in enumerate(GENDERS)}
    return np.array([codes.get(gender, NO_GENDER) for gender in genders], dtype=np.int64)
