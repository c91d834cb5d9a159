"""Age heads: each a few lines behind ``AgeHead``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agelens.train.head_configs import AgeHeadConfig
from agelens.train.heads.binned import Dldl, Histogram, MeanVariance, Ranges
from agelens.train.heads.contract import AgeHead, expected_age
from agelens.train.heads.ordinal import Coral, Corn
from agelens.train.heads.regression import Regression

__all__ = ["HEADS", "AgeHead", "build_head", "expected_age"]

HEADS: Final[Mapping[str, type[AgeHead]]] = {
    "regression": Regression,
    "histogram": Histogram,
    "dldl": Dldl,
    "mean-variance": MeanVariance,
    "ranges": Ranges,
    "coral": Coral,
    "corn": Corn,
}


def build_head(config: AgeHeadConfig) -> AgeHead:
    """The head that a configuration names."""
    make: Callable[[AgeHeadConfig], AgeHead] = HEADS[config.kind]
    return make(config)
