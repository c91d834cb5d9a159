"""The age heads, as a configuration names them; ``heads/`` has their arithmetic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from agelens import ages
from agelens.train.section import Section, Weight

__all__ = [
    "AgeHeadConfig",
    "CoralHead",
    "CornHead",
    "DldlHead",
    "HistogramHead",
    "MeanVarianceHead",
    "RangesHead",
    "RegressionHead",
]

Year = Annotated[int, Field(ge=0, le=ages.MAX_AGE)]
Years = Annotated[float, Field(ge=0.01, le=1000)]
Layer = Annotated[int, Field(ge=1, le=65536)]


class _AgeHead(Section):
    """What every age head has.

    Attributes:
        weight: of the age's loss, beside gender's.
        neck: width of a hidden layer before the head, Linear → ReLU → Dropout → Linear; null for none.
    """

    weight: Weight = 1.0
    neck: Layer | None = None


class RegressionHead(_AgeHead):
    """One number, the age scaled to 0…1.

    The answer is the binomial distribution over the axis whose mean is that age. It cannot learn from bands.

    Attributes:
        loss: on the scaled age.
        huber_delta: where Huber's loss turns from a square to a line, in years.
        weight: 10, because losses of scaled ages are small beside gender's.
    """

    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "mae", "rmse", "huber"] = "mae"
    huber_delta: Years = 5.0
    weight: Weight = 10.0


class HistogramHead(_AgeHead):
    """A distribution over equal parts of the axis, learnt from a normal density around the age.

    Attributes:
        num_bins: parts; 101 has one for each year.
        age_deviation: of that density, in years.
        loss: "emd" squared earth mover's distance, "cross-entropy", or "kl" Kullback-Leibler divergence.
    """

    kind: Literal["histogram"] = "histogram"
    num_bins: Annotated[int, Field(ge=2, le=1010)] = ages.NUM_BINS
    age_deviation: Years = 5.0
    loss: Literal["emd", "cross-entropy", "kl"] = "emd"


class DldlHead(_AgeHead):
    """A distribution over the axis, learnt from a normal density, and the error of its expected age.

    Source: Gao et al., "Age estimation using expectation of label distribution learning", IJCAI 2018.

    Attributes:
        age_deviation: of the density, in years.
        l1_weight: of the mean absolute error, in years, beside the cross-entropy's 1.
    """

    kind: Literal["dldl"] = "dldl"
    age_deviation: Years = 2.0
    l1_weight: Weight = 0.1


class MeanVarianceHead(_AgeHead):
    """A distribution over the axis: cross-entropy, plus the squared error of its mean, plus its variance.

    Source: Pan et al., "Mean-variance loss for deep age estimation from a face", CVPR 2018; its weights.
    """

    kind: Literal["mean-variance"] = "mean-variance"
    mean_weight: Weight = 0.2
    variance_weight: Weight = 0.05


class RangesHead(_AgeHead):
    """One class for each range of ages, learnt by cross-entropy.

    A range's probability is spread over its years as the training's ages are. An age or
    a band in no range counts for the nearest.

    Attributes:
        bands: first and last whole year of each, both within it: five years each and the rest from 80 on by default.
    """

    kind: Literal["ranges"] = "ranges"
    bands: tuple[tuple[Year, Year], ...] = (*((low, low + 4) for low in range(0, 80, 5)), (80, ages.MAX_AGE))

    @model_validator(mode="after")
    def _in_order(self) -> RangesHead:
        ends = [end for band in self.bands for end in band]
        starts = [low for low, _ in self.bands]
        if (
            len(self.bands) < 2
            or ends != sorted(ends)
            or any(last >= start for (_, last), start in zip(self.bands, starts[1:], strict=False))
        ):
            raise ValueError("bands must be two or more, rise, and not overlap, as [[0, 4], [5, 9], [10, 100]]")
        return self


class CoralHead(_AgeHead):
    """One number against a hundred thresholds: is the face older than 0, than 1, … than 99?

    Source: Cao, Mirjalili, Raschka, "Rank consistent ordinal regression for neural networks with application to age
    estimation", Pattern Recognition Letters 2020.
    """

    kind: Literal["coral"] = "coral"


class CornHead(_AgeHead):
    """A hundred questions, each asked of those only who passed the one before: older than 0? then older than 1? …

    Source: Shi, Cao, Raschka, "Deep neural networks for rank-consistent ordinal regression based on conditional
    probabilities", Pattern Analysis and Applications 2023.
    """

    kind: Literal["corn"] = "corn"


AgeHeadConfig = Annotated[
    RegressionHead | HistogramHead | DldlHead | MeanVarianceHead | RangesHead | CoralHead | CornHead,
    Field(discriminator="kind"),
]
