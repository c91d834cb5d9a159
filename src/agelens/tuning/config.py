"""A search, written down: a section ``tune`` beside the sections of a training, in the same file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from agelens.embed.config import MlpConfig, read_any_config
from agelens.errors import ConfigError
from agelens.train.config import TrainConfig, changed
from agelens.train.reading import parsed, read_raw, validated
from agelens.train.section import Positive, Section
from agelens.train.sections import CheckpointConfig

__all__ = ["Config", "Range", "TuneSection", "Tuning", "read_tuning"]

TUNE: Final = "tune"
SPACE: Final = "tune.space."
LESS: Final = ("loss", "mae")  # is better; of other figures more
Config = TrainConfig | MlpConfig


class Range(Section):
    """What the values of one key are drawn from: one of these.

    Attributes:
        uniform: the lowest and the highest number; all between are as likely.
        log: the lowest and the highest number; those between are as likely by their logarithm.
        integer: the lowest and the highest whole number.
        choice: values.
    """

    uniform: tuple[float, float] | None = None
    log: tuple[Positive, Positive] | None = None
    integer: tuple[int, int] | None = None
    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_that_rises(self) -> Range:
        given = [name for name in Range.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(Range.model_fields)} (got {' and '.join(given) or 'none'})")
        if self.choice is None and self.ends[0] > self.ends[-1]:
            raise ValueError(f"{given[0]} falls from {self.ends[0]:g} to {self.ends[-1]:g}; wanted the lowest first")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values between which all others lie; of choices all."""
        return self.uniform or self.log or self.integer or self.choice or ()


class TuneSection(Section):
    """How values are searched.

    Attributes:
        trials: trainings with other values.
        metric: the figure of the validation faces by which epochs and trials are compared; null for ``keep``, or for
            ``checkpoint.metric``.
        search: "random", or "optuna", which draws where trials did well before.
        grace: epochs that every trial gets.
        reduction: of so many trials that have come as far, one goes on.
        seed: of what is drawn.
        space: dotted keys of the configuration, to what their values are drawn from.
    """

    trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    metric: str | None = None
    search: Literal["random", "optuna"] = "random"
    grace: Annotated[int, Field(ge=1)] = 2
    reduction: Annotated[int, Field(ge=2, le=100)] = 3
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    space: dict[str, Range] = Field(default_factory=dict)


class Tuning(NamedTuple):
    """A search and what it searches for.

    Attributes:
        config: of the trainings, its epoch chosen by ``section.metric``.
        section: with a metric and a space.
    """

    config: Config
    section: TuneSection

    @property
    def metric(self) -> str:
        """By which trials are compared."""
        return self.config.keep if isinstance(self.config, MlpConfig) else self.config.checkpoint.metric

    @property
    def less_is_better(self) -> bool:
        """Whether the lowest figure is the best."""
        return self.metric.removeprefix("val_") in LESS


def read_tuning(path: Path, overrides: Mapping[str, str] | None = None) -> Tuning:
    """Read a configuration of a training, on crops or on vectors, with its section ``tune``.

    Where the section is missing, or has no space, the usual keys are searched.

    Args:
        path: a YAML file.
        overrides: values that take the place of the file's, by dotted keys: "tune.trials", "optim.epochs",
            "tune.space.optim.lr".

    Raises:
        ConfigError: the file is missing or no YAML, or a key or value in it is wrong.
    """
    told = overrides or {}
    mine = {key: value for key, value in told.items() if key.startswith(f"{TUNE}.")}
    config = read_any_config(path, {key: value for key, value in told.items() if key not in mine})
    section = _read_section(path, mine)
    config = _compared_by(config, section.metric)
    metric = Tuning(config, section).metric
    return Tuning(config, section.model_copy(update={"metric": metric, "space": section.space or _usual_space(config)}))


def _read_section(path: Path, overrides: Mapping[str, str]) -> TuneSection:
    raw = read_raw(path).get(TUNE) or {}
    if not isinstance(raw, dict) or not isinstance(raw.get("space") or {}, dict):
        raise ConfigError(f"{path}: {TUNE} and its space: wanted keys with values below them")
    space = dict(raw.pop("space", None) or {})
    for key, text in overrides.items():
        place, name = (space, key.removeprefix(SPACE)) if key.startswith(SPACE) else (raw, key.removeprefix(f"{TUNE}."))
        place[name] = parsed(key, text)
    _check_dotted(path, space)
    return validated(TuneSection, {**raw, "space": space}, f"{path}: {TUNE}")


def _check_dotted(path: Path, space: Mapping[str, Any]) -> None:
    for key, value in space.items():
        if not key or (isinstance(value, dict) and value and not set(value) & set(Range.model_fields)):
            wanted = f"{key}.{next(iter(value))}" if key else "mlp.dropout"
            raise ConfigError(
                f"{path}: {SPACE}{key}: wanted a dotted key of the configuration, such as {wanted}, with one of "
                f"{', '.join(Range.model_fields)} below it"
            )


def _compared_by(config: Config, metric: str | None) -> Config:
    """A configuration that chooses the epoch by the same figure as the search chooses the trial."""
    if metric is None:
        return config
    fields, name = (
        (MlpConfig.model_fields, "keep") if isinstance(config, MlpConfig) else (CheckpointConfig.model_fields, "metric")
    )
    known = get_args(fields[name].annotation)
    if metric not in known:
        raise ConfigError(f"tune.metric: one of {', '.join(known)} is wanted (got {metric!r})")
    try:
        if isinstance(config, MlpConfig):
            return changed(config, keep=metric)
        return changed(config, checkpoint__metric=metric)
    except ConfigError as error:
        raise ConfigError(f"tune.metric: {metric!r} does not fit the {error}") from error


def _usual_space(config: Config) -> dict[str, Range]:
    dropout, numbers = Range(uniform=(0, 0.5)), Range(choice=(0, 1, 2))
    if isinstance(config, MlpConfig):
        space = {"mlp.dropout": dropout, "mlp.residuals": numbers, "mlp.blocks": numbers}
        space |= {"data.batch_size": Range(choice=(64, 128, 256))}
    else:
        space = {"backbone.dropout": dropout, "data.augment": Range(choice=("light", "standard", "strong"))}
    space |= {"optim.lr": Range(log=(1e-4, 1e-2)), "optim.weight_decay": Range(log=(1e-6, 1e-1))}
    if config.schedule.kind == "exponential":
        space |= {"schedule.gamma": Range(uniform=(0.7, 1))}
    return space
