"""Smaller bundles: weights kept in 16 or 8 bits, and widened when the bundle is opened.

The arithmetic stays float32. A weight is kept as a constant of the smaller type behind a Cast, and in 8 bits a Mul:
onnxruntime works these out once, when it opens the file, so a face takes no longer than before.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["BITS", "Bits", "compressed", "to_eight_bits"]

Bits = Literal[32, 16, 8]
BITS: Final = get_args(Bits)
FEWEST: Final = 256  # values; smaller tensors are biases and the like, and weigh nothing
LARGEST: Final = 127
NOTHING: Final = 1e-30  # an output whose weights are smaller has none: a 127th of them may be no float32


def compressed(model: onnx.ModelProto, bits: Bits) -> onnx.ModelProto:
    """The same network with its weights in fewer bits.

    Args:
        model: float32, its weights within it.
        bits: for each weight: 32 leaves them as they are; 16 rounds them to float16; 8 to whole steps, a step for each
            output channel.

    Returns:
        Another model; ``model`` stays as it is.
    """
    if bits not in BITS:
        raise ValueError(f"{bits} bits a weight; there are {', '.join(map(str, BITS))}")
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    if bits == 32:
        return smaller
    graph = smaller.graph
    wide = [one for one in graph.initializer if _weighs(one)]
    kept = [one for one in graph.initializer if not _weighs(one)]
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    for one in wide:
        constants, widening = _narrowed(one.name, numpy_helper.to_array(one), bits)
        graph.initializer.extend(constants)
        graph.node.extend(widening)
    graph.node.extend(nodes)  # behind the nodes that their weights come from
    return smaller


def to_eight_bits(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights as whole numbers of a step: ``weights ≈ codes · steps``.

    Args:
        weights: (outputs, …).

    Returns:
        ``codes`` of the same shape, -127…127, and ``steps`` (outputs, 1, …), a 127th of each output's largest weight.
    """
    largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True)
    steps = np.where(largest > NOTHING, largest / LARGEST, 1).astype(np.float32)
    return np.rint(weights / steps).astype(np.int8), steps


def _weighs(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1 and int(np.prod(tensor.dims)) >= FEWEST


def _narrowed(name: str, weights: npt.NDArray[np.float32], bits: Bits) -> tuple[list[Any], list[Any]]:
    """Constants that stand for some weights, and the nodes that make the weights of them."""
    small = f"{name}.{bits}"
    if bits == 16:
        most = float(np.finfo(np.float16).max)
        constants = [numpy_helper.from_array(weights.clip(-most, most).astype(np.float16), small)]
        return constants, [helper.make_node("Cast", [small], [name], to=onnx.TensorProto.FLOAT)]
    codes, steps = to_eight_bits(weights)
    constants = [numpy_helper.from_array(codes, small), numpy_helper.from_array(steps, f"{name}.step")]
    return constants, [
        helper.make_node("Cast", [small], [f"{small}.wide"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{small}.wide", f"{name}.step"], [name]),
    ]
