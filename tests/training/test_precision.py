"""Which precision a training works in."""

from __future__ import annotations

import pytest
import torch

from agelens.train.sections import TrainerConfig
from agelens.train.trainer import precision


@pytest.mark.parametrize(
    ("amx", "avx512", "wanted"),
    [(False, False, "32-true"), (True, False, "bf16-mixed"), (False, True, "bf16-mixed")],
)
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(
    amx: bool, avx512: bool, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert precision(TrainerConfig(accelerator="cpu")) == wanted


def test_precision_is_what_was_asked_for_whatever_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert precision(TrainerConfig(accelerator="cpu", precision="float32")) == "32-true"
    monkeypatch.undo()
    assert precision(TrainerConfig(accelerator="cpu", precision="bf16")) == "bf16-mixed"
