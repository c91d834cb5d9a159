"""Faces a second in training, beside a plain PyTorch loop on the same network, pictures and machine.

    python benchmarks/throughput.py UTKFACE CROPS WORK [--networks resnet18 mobilenetv2_100] [--rounds 2] [--record]

UTKFACE is the data set as it is distributed, CROPS what ``agelens prepare`` made of it, WORK a folder for runs. The
plain loop is what tutorials show: float32, contiguous tensors, JPEG files opened by PIL and resized by torchvision, a
DataLoader with its defaults, AdamW. Ours is a whole ``agelens train`` with its recipe's augmentation, averaging and
figures; what is compared is an epoch after the first, in which a compiled network is made. Both take turns, and the
best round of each counts. ``--record`` writes throughput.json beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from agelens.data.manifest import read_manifest
from agelens.train.config import changed, read_config
from agelens.train.run import METRICS, train

RECIPE = Path(__file__).parent.parent / "configs" / "utkface-mobilenetv2.yaml"
RECORD = Path(__file__).with_suffix(".json")
SIZE, BATCH, FACES = 128, 64, 640


class Files(Dataset[tuple[torch.Tensor, float]]):
    """Pictures and ages, as a tutorial reads them."""

    def __init__(self, folder: Path, names: list[str], ages: list[float]) -> None:
        self.paths = [folder / name for name in names]
        self.ages = ages
        self.transform = v2.Compose(
            [
                v2.Resize((SIZE, SIZE)),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        return self.transform(Image.open(self.paths[index]).convert("RGB")), self.ages[index]


def plain(network: str, files: Files) -> dict[str, float]:
    """Faces a second of the plain loop, and the share of the time in which it waits for data."""
    torch.manual_seed(0)
    model = timm.create_model(network, num_classes=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    waiting = busy = 0.0
    faces = 0
    before = time.perf_counter()
    for step, (crops, ages) in enumerate(DataLoader(files, batch_size=BATCH, shuffle=True, drop_last=True)):
        start = time.perf_counter()
        loss = nn.functional.mse_loss(model(crops)[:, 0], ages.float() / 100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        end = time.perf_counter()
        if step:  # the first one warms up
            waiting, busy, faces = waiting + start - before, busy + end - start, faces + len(ages)
        before = end
    return {"faces_per_second": faces / (waiting + busy), "waiting": waiting / (waiting + busy)}


def ours(network: str, crops: Path, run: Path, **changes: Any) -> dict[str, float]:
    """The same of the last epoch of a whole training."""
    shutil.rmtree(run, ignore_errors=True)
    config = changed(
        read_config(RECIPE),
        data__manifest=str(crops),
        data__faces=FACES,
        data__batch_size=BATCH,
        input__size=SIZE,
        backbone__name=network,
        backbone__weights=None,
        optim__epochs=3,
        **changes,
    )
    train(config, run, progress=False)
    with (run / METRICS).open() as file:
        row = list(csv.DictReader(file))[-1]
    return {name: float(row[name]) for name in ("faces_per_second", "waiting")}


def main() -> None:
    """Measure in turns, print, and record where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utkface", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "mobilenetv2_100"])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    rows = read_manifest(arguments.crops).split("train").iloc[:FACES]
    files = Files(arguments.utkface, rows["source_path"].tolist(), rows["age"].tolist())
    instructions = {"amx": torch.cpu._is_amx_tile_supported(), "avx512_bf16": torch.cpu._is_avx512_bf16_supported()}
    found: dict[str, Any] = {"threads": torch.get_num_threads(), **instructions}
    for network in arguments.networks:
        rounds = []
        for _ in range(arguments.rounds):
            eager = ours(network, arguments.crops, arguments.work / "eager", trainer__compile=False)
            compiled = ours(network, arguments.crops, arguments.work / "compiled")
            rounds.append({"plain": plain(network, files), "agelens": eager, "agelens, compiled": compiled})
        best = {way: max((one[way] for one in rounds), key=lambda row: row["faces_per_second"]) for way in rounds[0]}
        base = best["plain"]["faces_per_second"]
        for way, row in best.items():
            row["times plain"] = row["faces_per_second"] / base
            print(f"{network}, {way}: {row['faces_per_second']:.1f} faces/s, {row['times plain']:.2f} x, ", end="")
            print(f"{row['waiting']:.1%} of the time waiting for data", flush=True)
        found[network] = {way: {key: round(value, 4) for key, value in row.items()} for way, row in best.items()}
    if arguments.record:
        RECORD.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
