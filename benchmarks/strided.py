"""What a step of a MobileNet costs on this CPU in bf16, with its strided depthwise convolutions in bf16 and in float32.

    python benchmarks/strided.py [--backbone mobilenetv1_100] [--size 128] [--threads 1]

Forward and backward of 64 faces, each way in turn, five times; the medians, and their ratio.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import timm
import torch
from torch import nn

from agelens.train.strided import widen_strided

ROUNDS = 5


def step(network: nn.Module, pixels: torch.Tensor) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        answer = network(pixels)
    answer.float().square().mean().backward()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="mobilenetv1_100")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    networks = {}
    for name in ("bf16", "float32"):
        network = timm.create_model(arguments.backbone, num_classes=101).train()
        if name == "float32":
            widen_strided(network)
        networks[name] = network.to(memory_format=torch.channels_last)
    pixels = torch.randn(64, 3, arguments.size, arguments.size).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(ROUNDS + 1):
        for name, network in networks.items():
            times[name].append(step(network, pixels))
    medians = {name: median(seconds[1:]) for name, seconds in times.items()}
    for name, seconds in medians.items():
        print(f"strided depthwise in {name}: {seconds:.2f} s a step, {64 / seconds:.1f} faces/s")
    print(f"{medians['bf16'] / medians['float32']:.2f} times as fast")


if __name__ == "__main__":
    main()
