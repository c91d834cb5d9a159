"""A trained network as the ONNX network of a bundle."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Final

import onnx
import torch
from torch import nn

from agelens.bundle import CROPS, FEATURES
from agelens.errors import ExportError
from agelens.train.network import AgeNetwork

__all__ = ["BundleNetwork", "program_to_onnx", "rename_value", "to_onnx"]

AGE_WEIGHTS: Final = "network.age."


class BundleNetwork(nn.Module):
    """The network as a bundle has it: (N, size, size, 3) uint8 in, probabilities out."""

    def __init__(self, network: AgeNetwork, year_weights: torch.Tensor | None = None) -> None:
        """
        Args:
            network: used as it is.
            year_weights: (101,), what the probability of each year is multiplied by; None for nothing.
        """
        super().__init__()
        self.network = network
        self.year_weights: torch.Tensor | None
        self.register_buffer("year_weights", year_weights)

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, size, size, 3) uint8 → ages (N, 101) and, where it tells them, genders (N, 2)."""
        logits = self.network(crops.permute(0, 3, 1, 2))
        age_probs = self.network.head.probs(logits.age)
        if self.year_weights is not None:
            weighted = age_probs * self.year_weights
            age_probs = weighted / weighted.sum(dim=1, keepdim=True)
        return (age_probs,) if logits.gender is None else (age_probs, logits.gender.softmax(dim=1))


def to_onnx(network: BundleNetwork, size: int) -> onnx.ModelProto:
    """The ONNX network of a bundle, float32, its weights within it.

    Args:
        network: in evaluation mode.
        size: of its crops, in pixels a side.

    Raises:
        ExportError: torch cannot write it.
    """
    outputs = ["age_probs", "gender_probs"][: 1 if network.network.gender is None else 2]
    return _with_features(program_to_onnx(network, torch.zeros(2, size, size, 3, dtype=torch.uint8), CROPS, outputs))


def program_to_onnx(network: nn.Module, example: torch.Tensor, takes: str, gives: Sequence[str]) -> onnx.ModelProto:
    """A network of one input and some outputs, by their names, whose first axis is open.

    Raises:
        ExportError: torch cannot write it.
    """
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[takes],
            output_names=list(gives),
            dynamic_shapes=({0: torch.export.Dim("faces", min=1)},),
            dynamo=True,
            external_data=False,
        )
    if program is None:
        raise ExportError("torch gave no ONNX network for this backbone; train another")
    return _without_traces(program.model_proto)


def _with_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network, what goes into the layer of ages under the name by which embedders look for it."""
    takers = [node for node in model.graph.node if any(name.startswith(AGE_WEIGHTS) for name in node.input[1:])]
    if takers:
        rename_value(model.graph, takers[0].input[0], FEATURES)
    return model


def rename_value(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Call a value of the network otherwise, wherever it is made and taken."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for told in graph.value_info:
        told.name = new if told.name == old else told.name


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network without the exporter's notes, which name the files of the machine that it ran on."""
    graphs = [model.graph, *model.functions]
    for noted in [*graphs, *(node for graph in graphs for node in graph.node), *model.graph.value_info]:
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress report and its notes about itself off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
