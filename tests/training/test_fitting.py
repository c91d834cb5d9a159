"""What becomes of a training whose loading processes end."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from agelens.errors import ConfigError
from agelens.train.fitting import fitting


class _Ends(Dataset[torch.Tensor]):
    """Its second sample ends the process that loads it."""

    def __init__(self, by: signal.Signals) -> None:
        self.by = by

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 1:
            os.kill(os.getpid(), self.by)
        return torch.zeros(1)


def _load(by: signal.Signals) -> None:
    with fitting():
        list(DataLoader(_Ends(by), num_workers=1))


def test_a_loader_that_the_system_killed_is_said_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"a process that loads crops ended \(.+\).*lower data\.workers.*--resume"):
        _load(signal.SIGKILL)


def test_a_shutdown_ends_a_training_as_ctrl_c_does() -> None:
    with pytest.raises(KeyboardInterrupt):
        _load(signal.SIGTERM)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="of another kind"), fitting():
        raise RuntimeError("of another kind")
