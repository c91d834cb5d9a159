"""The learning-rate finder: train a few hundred steps while the rate grows, and see where the loss falls fastest.

Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from agelens.data.figure_style import COLOURS, QUIET, light_figure, save_png
from agelens.errors import ConfigError
from agelens.files import make_folder, write_text
from agelens.train.config import TrainConfig
from agelens.train.dataset import Batch
from agelens.train.finetune import set_trainable, stages
from agelens.train.loader import ShuffledBatches, shuffled_loader
from agelens.train.module import build_optimizer
from agelens.train.network import AgeNetwork
from agelens.train.objective import total_loss
from agelens.train.ready import make_ready
from agelens.train.teaching import add_answers
from agelens.train.trainer import precision

__all__ = ["Sweep", "find_lr", "suggest", "write_sweep"]

LOWEST: Final = 1e-10
HIGHEST: Final = 10.0
SMOOTHING: Final = 0.03  # of the sweep, to either side
AVERAGING: Final = 0.9
DIVERGED: Final = 4.0  # times the lowest loss seen


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep saw.

    Attributes:
        rates: learning rates, rising.
        losses: smoothed loss of the batch at each of them.
        suggestion: the rate to train with.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_lr(
    config: TrainConfig,
    *,
    steps: int = 200,
    answers: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sweep:
    """Train a throw-away network on the training split while the rate grows from 1e-10 to 10.

    Args:
        config: of the training that the rate is for.
        steps: of the sweep, 20 or more.
        answers: a file that keeps what teachers say, for the training; None to keep nothing.
        progress: called with the number of steps done and their total; before that with the faces that teachers have
            seen and theirs.

    Raises:
        ConfigError: the configuration does not fit, or the loss fell at no rate.
        DataError: the manifest does not fit.
    """
    if steps < 20:
        raise ConfigError(f"a sweep of {steps} steps tells nothing; wanted 20 or more")
    ready = make_ready(config)
    if config.distill is not None:
        add_answers(ready.train_set, ready.manifest, config.distill.teachers, answers, progress)
    network = ready.network.to("cuda" if torch.cuda.is_available() and config.trainer.accelerator != "cpu" else "cpu")
    set_trainable(network, 0 if config.finetune.freeze == "backbone" else len(stages(network.backbone)))
    batches = ShuffledBatches(len(ready.train_set), config.data.batch_size, config.seed)
    loader = shuffled_loader(ready.train_set, batches, workers=config.data.workers)
    rates = np.geomspace(LOWEST, HIGHEST, steps).tolist()
    raw: list[float] = []
    lowest = average = math.inf
    for done, loss in enumerate(_losses(network, config, rates, _endless(loader)), start=1):
        progress(done, steps)
        average = loss if done == 1 else AVERAGING * average + (1 - AVERAGING) * loss
        lowest = min(lowest, average)
        if not average <= DIVERGED * lowest:
            break
        raw.append(loss)
    # from both sides: an average of what lies behind alone would lag, and suggest too high a rate
    losses = gaussian_filter1d(raw, SMOOTHING * steps, mode="nearest").tolist()
    return Sweep(tuple(rates[: len(losses)]), tuple(losses), suggest(rates[: len(losses)], losses))


def suggest(rates: list[float], losses: list[float]) -> float:
    """The rate at which the loss falls fastest on a logarithmic scale, before its lowest point.

    Raises:
        ConfigError: it falls nowhere.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    lowest = int(np.argmin(finite)) if finite else 0
    if lowest < 2:
        raise ConfigError("the loss fell at no learning rate; look at the labels and optim.clip")
    slopes = np.gradient(np.array(finite[: lowest + 1]), np.log(rates[: lowest + 1]))
    return float(f"{rates[int(slopes.argmin())]:.3g}")


def write_sweep(sweep: Sweep, folder: Path) -> None:
    """Write ``lr.csv`` and ``lr.png``, loss against rate with the suggestion marked, into a folder.

    Raises:
        OutputError: the folder cannot be written in.
    """
    make_folder(folder)
    lines = [f"{rate:.6g},{loss:.6g}" for rate, loss in zip(sweep.rates, sweep.losses, strict=True)]
    write_text(folder / "lr.csv", "\n".join(["lr,loss", *lines]) + "\n")
    shown = [(rate, loss) for rate, loss in zip(sweep.rates, sweep.losses, strict=True) if math.isfinite(loss)]
    with light_figure(6, 3.4) as figure:
        axes = figure.subplots()
        axes.plot(*zip(*shown, strict=True), color=COLOURS[0])
        axes.axvline(sweep.suggestion, color=COLOURS[1], label=f"suggestion {sweep.suggestion:.2g}")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        axes.set_ylim(top=1.1 * shown[0][1])
        axes.set_xlabel("learning rate")
        axes.set_title("smoothed loss", loc="left", fontsize=10, color=QUIET)
        axes.grid(axis="y")
        axes.legend(loc="best")
        figure.tight_layout()
        save_png(figure, folder / "lr.png")


def _losses(network: AgeNetwork, config: TrainConfig, rates: list[float], batches: Iterator[Batch]) -> Iterator[float]:
    """Train a step at each rate; the loss before it."""
    optimizer = build_optimizer(network, config)
    scales = [group["lr"] / config.optim.lr for group in optimizer.param_groups]
    device = next(network.parameters()).device
    half = precision(config.trainer) == "bf16-mixed"
    for rate, batch in zip(rates, islice(batches, len(rates)), strict=True):
        for group, scale in zip(optimizer.param_groups, scales, strict=True):
            group["lr"] = rate * scale
        batch = {name: values.to(device) for name, values in batch.items()}  # type: ignore[attr-defined, assignment]
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(batch["crop"])
        loss = total_loss(network.head, logits, batch, config)
        yield loss.item()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optim.clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip)
        optimizer.step()


def _endless(loader: torch.utils.data.DataLoader[Batch]) -> Iterator[Batch]:
    while True:
        yield from loader
