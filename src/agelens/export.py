"""A run's weights in, a bundle out; refused when the two disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from agelens import ages
from agelens._version import VERSION
from agelens.bundle import Bundle
from agelens.card import Card
from agelens.compression import Bits
from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.sources import terms_of
from agelens.errors import ConfigError, ExportError
from agelens.evaluate.evaluation import read_crops
from agelens.faces.align import CropSpec
from agelens.finishing import LEVELS, PARITY_CROPS, Finished, check_faces, finish
from agelens.onnx_network import BundleNetwork, to_onnx
from agelens.train.balance import training_year_weights
from agelens.train.config import TrainConfig, changed
from agelens.train.ready import fitting_crop, folded
from agelens.train.run import Trained, load_trained

__all__ = ["MAX_DISAGREEMENT", "export"]

MAX_DISAGREEMENT: Final = 1e-3  # between the trained network and its bundle: years of age, shares of gender


def export(
    run: Path,
    out: Path,
    *,
    name: str,
    terms: str = "",
    size: int | None = None,
    flip: bool | None = None,
    rebalance: float | None = None,
    bits: Bits | None = None,
    manifest_path: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Finished:
    """Make a bundle of a run's best weights.

    The validation split gives the intervals' calibration and the card's figures; on its first crops the bundle must
    agree with the trained network within ``MAX_DISAGREEMENT`` years.

    Args:
        run: the folder of a run.
        out: the bundle to write.
        name: of the model, for the card.
        terms: under which it may be used, for the card; those of its data sets where this is empty.
        size: of the bundle's crops, in pixels a side, where it is to be another than the training's: smaller ones take
            less time and are less accurate (the reverse of Touvron et al., "Fixing the train-test resolution
            discrepancy", NeurIPS 2019); None for what the run's configuration says.
        flip: average each crop with its mirror image: more accurate, twice the time of the network; None for what
            the run's configuration says.
        rebalance: how far rare ages are raised, by how many training faces of the run have them; see ``TrainConfig``.
        bits: that each weight takes; see ``TrainConfig``.
        manifest_path: where the run's manifest is now, or another whose validation faces shall be used, as one with
            exact ages for a network that learnt from bands; None where its configuration says.
        progress: called with the number of validation faces measured and their total.

    Returns:
        The card, as it stands in the bundle, with the predictions that its figures come from.

    Raises:
        ConfigError: the folder holds no run, or its network takes no crops of ``size``.
        DataError: its manifest is gone or does not fit.
        ExportError: network and bundle disagree, or fewer bits move the ages too far.
        OutputError: ``out`` cannot be written.
    """
    trained = load_trained(run)
    wanted = {name: value for name, value in (("rebalance", rebalance), ("bits", bits)) if value is not None}
    trained = trained._replace(config=changed(trained.config, **wanted))
    config = trained.config
    manifest = folded(read_manifest(manifest_path or config.data.manifest), config)
    weights = training_year_weights(_learnt_from(config, manifest), config.rebalance)
    network = BundleNetwork(trained.network, None if weights is None else torch.from_numpy(weights)).eval()
    check_faces(manifest)
    card = Card(
        name=name,
        version=VERSION,
        crop=_crop(network, fitting_crop(config, manifest), size),
        genders=GENDERS if trained.network.gender is not None else (),
        flip=config.flip if flip is None else flip,
        interval_masses={str(level): level for level in LEVELS},
        terms=terms or terms_of(trained.datasets),
        training=_training(trained),
    )
    return finish(
        to_onnx(network, card.crop.size),
        card,
        manifest,
        out,
        bits=config.bits,
        check=lambda bundle: _check_parity(network, bundle, manifest),
        progress=progress,
    )


def _crop(network: BundleNetwork, crop: CropSpec, size: int | None) -> CropSpec:
    if size is None or size == crop.size:
        return crop
    try:
        crop = replace(crop, size=size)
        with torch.inference_mode():
            network(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    except (ValueError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"no crops of {size} pixels: {' '.join(str(error).split())}") from error
    return crop


def _learnt_from(config: TrainConfig, manifest: Manifest) -> Manifest:
    """The run's own manifest, where it is still to be had; else the one that was given in its place."""
    if not config.rebalance or config.data.manifest.resolve() == manifest.folder.resolve():
        return manifest
    return folded(read_manifest(config.data.manifest), config) if config.data.manifest.exists() else manifest


def _check_parity(network: BundleNetwork, bundle: Bundle, manifest: Manifest) -> None:
    crops = read_crops(manifest, manifest.split("val").iloc[:PARITY_CROPS], bundle)
    views = [crops, np.ascontiguousarray(crops[:, :, ::-1])] if bundle.card.flip else [crops]
    with torch.inference_mode():
        outputs = [network(torch.from_numpy(view)) for view in views]
    age_probs, *gender_probs = (torch.stack(same).mean(dim=0).numpy() for same in zip(*outputs, strict=True))
    got = bundle.run(crops)
    years = np.abs(ages.expected_age(age_probs) - ages.expected_age(got.age_probs)).max()
    shares = np.abs(gender_probs[0] - got.gender_probs).max() if gender_probs else 0.0
    if not (years <= MAX_DISAGREEMENT and shares <= MAX_DISAGREEMENT):
        raise ExportError(
            f"the bundle differs from the trained network by up to {years:.4f} years and {shares:.4f} in gender; "
            f"at most {MAX_DISAGREEMENT} is let through, so nothing was written"
        )


def _training(trained: Trained) -> dict[str, Any]:
    return {"datasets": trained.datasets, "faces": trained.faces, "config": _without_paths(trained.config)}


def _without_paths(config: TrainConfig) -> dict[str, Any]:
    """A configuration as a card has it: a path tells of a machine, not of a model."""
    raw = config.model_dump(mode="json", exclude={"data": {"manifest"}})
    weights = config.backbone.weights
    if weights is not None and weights != "hub" and not weights.startswith("package:"):
        raw["backbone"]["weights"] = Path(weights).name
    if config.distill is not None:
        raw["distill"]["teachers"] = [path.name for path in config.distill.teachers]
    return raw
