"""A detour around one slow step of bf16 on CPUs."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["widen_strided"]


class _InFloat32(nn.Conv2d):
    """A convolution that leaves bf16's autocast on a CPU for itself."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's own name
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


def widen_strided(network: nn.Module) -> None:
    """Have the strided depthwise convolutions of a network compute in float32 where the rest is in bf16 on a CPU.

    oneDNN's gradient of their input takes up to a hundred times as long in bf16, two fifths of a MobileNet's step
    (``benchmarks/strided.py``). Weights and their names stay; so does all on other devices and in other precisions.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and 1 < module.in_channels == module.groups and max(module.stride) > 1:
            module.__class__ = _widened(type(module))


def _widened(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """A class like ``kind`` that computes in float32; timm's convolutions are classes of their own."""
    return kind if issubclass(kind, _InFloat32) else type(kind.__name__, (_InFloat32, kind), {})
