"""A network on vectors as a bundle; refused when the two disagree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from torch import nn

from agelens import ages
from agelens._version import VERSION
from agelens.bundle import VECTORS, Bundle
from agelens.card import Card
from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.sources import terms_of
from agelens.data.vectors import read_vectors
from agelens.embed.checks import check_same_embedder, embedder_of
from agelens.embed.config import MlpConfig
from agelens.embed.mlp import Mlp
from agelens.embed.run import TrainedMlp
from agelens.errors import ConfigError, ExportError
from agelens.finishing import LEVELS, PARITY_CROPS, Finished, check_faces, finish
from agelens.onnx_network import program_to_onnx
from agelens.train.balance import training_year_weights

__all__ = ["export_mlp"]

MAX_DISAGREEMENT: Final = 1e-3  # years of age, shares of gender


class _BundleMlp(nn.Module):
    """The network as a bundle has it: vectors in, probabilities out."""

    def __init__(self, network: Mlp, year_weights: torch.Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.year_weights: torch.Tensor | None
        self.register_buffer("year_weights", year_weights)

    def forward(self, vectors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(N, D) float32 → ages (N, 101) and, where it tells them, genders (N, 2)."""
        age, gender = self.network(vectors)
        probs = self.network.head.probs(age)  # type: ignore[union-attr]  # a bundle has a head
        if self.year_weights is not None:
            weighted = probs * self.year_weights
            probs = weighted / weighted.sum(dim=1, keepdim=True)
        return (probs,) if gender is None else (probs, gender.softmax(dim=1))


def export_mlp(
    trained: TrainedMlp,
    manifest: Manifest,
    out: Path,
    *,
    name: str,
    terms: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Finished:
    """Make a bundle of a network that learnt from vectors, calibrated and measured on the validation split.

    Args:
        trained: what came of a run.
        manifest: of the same embedder's vectors, whose validation split calibrates and measures.
        out: the bundle to write.
        name: of the model, for the card.
        terms: under which it may be used; those of its data sets where this is empty.
        progress: called with the number of validation faces measured and their total.

    Returns:
        The card, with the predictions that its figures come from.

    Raises:
        ConfigError: the network tells no age.
        DataError: the manifest does not fit, or has another embedder's vectors.
        ExportError: network and bundle disagree.
        OutputError: ``out`` cannot be written.
    """
    network, config, origin = trained
    if network.head is None:
        raise ConfigError("a bundle tells ages, and this network learnt gender alone (head: null)")
    spec = origin.embedder
    check_same_embedder(spec, embedder_of(manifest), str(manifest.folder))
    check_faces(manifest)
    weights = training_year_weights(_learnt_from(config, manifest), config.rebalance)
    told = _BundleMlp(network, None if weights is None else torch.from_numpy(weights)).eval()
    card = Card(
        name=name,
        version=VERSION,
        crop=spec.crop,
        genders=GENDERS if network.genders else (),
        flip=False,
        interval_masses={str(level): level for level in LEVELS},
        terms=terms or terms_of(origin.datasets),
        training={"datasets": list(origin.datasets), "faces": origin.faces, "config": _without_paths(config)},
        embedder=spec,
    )
    return finish(
        _to_onnx(told, spec.width),
        card,
        manifest,
        out,
        check=lambda bundle: _check_parity(told, bundle, manifest),
        progress=progress,
    )


def _learnt_from(config: MlpConfig, manifest: Manifest) -> Manifest:
    """The run's own manifest, where it is needed and still to be had; else the one that was given in its place."""
    own = config.data.manifest
    if not config.rebalance or own.resolve() == manifest.folder.resolve() or not own.exists():
        return manifest
    return read_manifest(own)


def _to_onnx(network: _BundleMlp, width: int) -> onnx.ModelProto:
    names = ["age_probs", "gender_probs"][: 2 if network.network.genders else 1]
    return program_to_onnx(network, torch.zeros(2, width), VECTORS, names)


def _check_parity(network: _BundleMlp, bundle: Bundle, manifest: Manifest) -> None:
    vectors = read_vectors(manifest, manifest.split("val").iloc[:PARITY_CROPS])
    with torch.inference_mode():
        age_probs, *gender_probs = (one.numpy() for one in network(torch.from_numpy(vectors)))
    got = bundle.run_vectors(vectors)
    years = float(np.abs(ages.expected_age(age_probs) - ages.expected_age(got.age_probs)).max())
    shares = float(np.abs(gender_probs[0] - got.gender_probs).max()) if gender_probs else 0.0
    if not (years <= MAX_DISAGREEMENT and shares <= MAX_DISAGREEMENT):
        raise ExportError(
            f"the bundle differs from the trained network by up to {years:.4f} years and {shares:.4f} in gender; "
            f"at most {MAX_DISAGREEMENT} is let through, so nothing was written"
        )


def _without_paths(config: MlpConfig) -> dict[str, Any]:
    """A configuration as a card has it: a path tells of a machine, not of a model."""
    return config.model_dump(mode="json", exclude={"data": {"manifest"}, "pretrain": {"manifest"}})
