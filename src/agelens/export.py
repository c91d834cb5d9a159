"""A run's weights in, a bundle out; refused when the two disagree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
import torch

from agelens import ages
from agelens._version import VERSION
from agelens.bundle import CARD_KEY, Bundle, Card, dump_card
from agelens.compression import Bits, compressed
from agelens.data.columns import GENDERS
from agelens.data.manifest import Manifest, read_manifest
from agelens.data.sources import known_sources
from agelens.errors import DataError, ExportError
from agelens.evaluate.evaluation import Predictions, figures, predict_split, read_crops
from agelens.evaluate.intervals import calibrated_mass, crossfitted_coverage
from agelens.files import atomic_path
from agelens.onnx_network import BundleNetwork, to_onnx
from agelens.train.balance import year_weights
from agelens.train.config import TrainConfig, changed
from agelens.train.dataset import year_ends
from agelens.train.ready import fitting_crop
from agelens.train.run import Trained, load_trained

__all__ = ["LEVELS", "MAX_DISAGREEMENT", "Exported", "export"]

LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
MAX_DISAGREEMENT: Final = 1e-3  # between the trained network and its bundle: years of age, shares of gender
MAX_ROUNDING: Final = 0.5  # years that fewer bits may move an age by, on average
PARITY_CROPS: Final = 128
MIN_FACES: Final = 2


class Exported(NamedTuple):
    """A bundle's card, and what it says of the validation faces of a manifest.

    ``moved`` is by how many years fewer bits a weight move an age, on average; 0 where the weights stay as they are.
    """

    card: Card
    predictions: Predictions
    manifest: Manifest
    moved: float


def export(
    run: Path,
    out: Path,
    *,
    name: str,
    terms: str = "",
    flip: bool | None = None,
    rebalance: float | None = None,
    bits: Bits | None = None,
    manifest_path: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Make a bundle of a run's best weights.

    The validation split gives the intervals' calibration and the card's figures; on its first crops the bundle must
    agree with the trained network within ``MAX_DISAGREEMENT`` years.

    Args:
        run: the folder of a run.
        out: the bundle to write.
        name: of the model, for the card.
        terms: under which it may be used, for the card; those of its data sets where this is empty.
        flip: average each crop with its mirror image: more accurate, twice the time of the network; None for what
            the run's configuration says.
        rebalance: how far rare ages are raised, by the shares of the manifest's training faces; see ``TrainConfig``.
        bits: that each weight takes; see ``TrainConfig``.
        manifest_path: where the run's manifest is now, or another whose validation faces shall be used, as one with
            exact ages for a network that learnt from bands; None where its configuration says.
        progress: called with the number of validation faces measured and their total.

    Returns:
        The card, as it stands in the bundle, with the predictions that its figures come from.

    Raises:
        ConfigError: the folder holds no run.
        DataError: its manifest is gone or does not fit.
        ExportError: network and bundle disagree, or fewer bits move the ages too far.
        OutputError: ``out`` cannot be written.
    """
    trained = load_trained(run)
    wanted = {name: value for name, value in (("rebalance", rebalance), ("bits", bits)) if value is not None}
    trained = trained._replace(config=changed(trained.config, **wanted))
    config = trained.config
    manifest = read_manifest(manifest_path or config.data.manifest)
    network = BundleNetwork(trained.network, _year_weights(manifest, config.rebalance)).eval()
    if len(manifest.split("val")) < MIN_FACES:
        raise DataError(f"{manifest.folder}: fewer than {MIN_FACES} validation faces; intervals need more to go by")
    card = Card(
        name=name,
        version=VERSION,
        crop=fitting_crop(config, manifest),
        genders=GENDERS if trained.network.gender is not None else (),
        flip=config.flip if flip is None else flip,
        interval_masses={str(level): level for level in LEVELS},
        terms=terms or _terms(trained.datasets),
    )
    model = to_onnx(network, card.crop.size)
    with atomic_path(out) as temporary:
        _write(model, card, temporary)
        bundle = Bundle.load(temporary)
        _check_parity(network, bundle, manifest)
        moved = 0.0
        if config.bits < 32:
            exact, model = bundle, compressed(model, config.bits)
            _write(model, card, temporary)
            bundle = Bundle.load(temporary)
            moved = _check_rounding(exact, bundle, manifest)
        predictions = predict_split(bundle, manifest, "val", progress=progress)
        card = _calibrated(card, predictions, trained)
        _write(model, card, temporary)
        Bundle.load(temporary)  # as a user will open it
    return Exported(card, predictions, manifest, moved)


def _write(model: onnx.ModelProto, card: Card, path: Path) -> None:
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {CARD_KEY: dump_card(card)})
    path.write_bytes(model.SerializeToString())


def _year_weights(manifest: Manifest, power: float) -> torch.Tensor | None:
    if not power:
        return None
    rows = manifest.split("train")
    if rows.empty:
        raise DataError(f"{manifest.folder}: no training faces; rebalance goes by how common their ages are")
    return torch.from_numpy(year_weights(*year_ends(rows), power))


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


def _check_rounding(exact: Bundle, rounded: Bundle, manifest: Manifest) -> float:
    crops = read_crops(manifest, manifest.split("val").iloc[:PARITY_CROPS], exact)
    years = [ages.expected_age(bundle.run(crops).age_probs) for bundle in (exact, rounded)]
    moved = float(np.abs(years[1] - years[0]).mean())
    if not moved <= MAX_ROUNDING:
        raise ExportError(
            f"weights in fewer bits move the age by {moved:.2f} years on average; at most {MAX_ROUNDING} is let "
            "through, so nothing was written: take more bits"
        )
    return moved


def _terms(names: list[str]) -> str:
    terms = {name: source.terms for name, source in known_sources().items()}
    return "; ".join(f"trained on {name}: {terms[name]}" for name in names if name in terms)


def _calibrated(card: Card, predictions: Predictions, trained: Trained) -> Card:
    exact = ~np.isnan(predictions.true_age)
    probs, true = predictions.age_probs[exact], predictions.true_age[exact]
    if len(true) < MIN_FACES:  # bands only: nothing to calibrate by, so the network's own quantiles stay
        masses = {str(level): level for level in LEVELS}
        measured = figures(predictions, 0.9, masses["0.9"])
    else:
        masses = {str(level): calibrated_mass(probs, true, level) for level in LEVELS}
        measured = figures(predictions, 0.9, masses["0.9"])
        measured["crossfitted_coverage"] = {str(level): crossfitted_coverage(probs, true, level) for level in LEVELS}
    training = {
        "datasets": trained.datasets,
        "faces": trained.faces,
        "config": _without_paths(trained.config),
    }
    return replace(card, interval_masses=masses, figures={"val": _rounded(measured)}, training=training)


def _without_paths(config: TrainConfig) -> dict[str, Any]:
    """A configuration as a card has it: a path tells of a machine, not of a model."""
    raw = config.model_dump(mode="json", exclude={"data": {"manifest"}})
    weights = config.backbone.weights
    if weights is not None and weights != "hub" and not weights.startswith("package:"):
        raw["backbone"]["weights"] = Path(weights).name
    if config.distill is not None:
        raw["distill"]["teachers"] = [path.name for path in config.distill.teachers]
    return raw


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
