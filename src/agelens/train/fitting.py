"""A block in which Lightning works as everything else here does: quiet, interruptible, with errors that can be read."""

from __future__ import annotations

import logging
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

from agelens.errors import AgelensError, ConfigError

__all__ = ["fitting"]

# What torch says of a loader's process that is no more.
LOST_LOADER: Final = re.compile(r"DataLoader worker .*?(?:killed by signal: (\w+)|exited unexpectedly)")


@contextmanager
def fitting() -> Iterator[None]:
    """A block in which the trainer works: no advice from Lightning, Ctrl-C and errors as they are everywhere else."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        with _quiet(), _interruptible(), _plain_errors():
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning turns Ctrl-C into exit status 1 and ignores further ones: make it a KeyboardInterrupt again."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stop


@contextmanager
def _plain_errors() -> Iterator[None]:
    """A loader's process hands an error over with its whole traceback as the message: leave the last line of it."""
    try:
        yield
    except AgelensError as error:
        if "\n" not in str(error).strip():
            raise
        last = str(error).strip().splitlines()[-1]
        raise type(error)(last.removeprefix(f"{type(error).__module__}.{type(error).__name__}: ")) from error
    except RuntimeError as error:
        lost = LOST_LOADER.search(f"{error.__cause__} {error}")  # the cause knows the signal, if anybody does
        if lost is None:
            raise
        if lost[1] == "Terminated":  # as everything is that a shutdown ends
            raise KeyboardInterrupt from error
        raise ConfigError(
            f"a process that loads crops ended ({lost[1] or 'nobody knows why'}), as when memory is short; "
            "lower data.workers, as --data.workers 0, then go on by --resume"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loggers, workers and devices off the terminal: the run decides these itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=r"Grad strides do not match bucket view strides")  # channels_last
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
