"""Several bundles in one: a face is shown to each network, and their answers are pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, inliner, numpy_helper, version_converter

from agelens._version import VERSION
from agelens.ages import NUM_BINS
from agelens.bundle import Bundle, model_file
from agelens.card import Card
from agelens.compression import Bits
from agelens.data.manifest import Manifest
from agelens.embedders import check_takes_crops
from agelens.errors import ConfigError, ExportError
from agelens.finishing import LEVELS, Finished, check_faces, finish
from agelens.train.balance import training_year_weights

__all__ = ["LEAST", "combine"]

# No network rules a year out alone: its logarithm would outweigh all the others. More than this would flatten answers
# that are sure, as of small children.
LEAST: Final = 1e-6
WEIGHTS: Final = (0.01, 100)  # of a bundle; products of more extreme powers are no distributions in float32
OPSET: Final = 20
FEWEST: Final = 2


def combine(
    bundles: Sequence[str | Path],
    out: Path,
    *,
    name: str,
    manifest: Manifest,
    weights: Sequence[float] | None = None,
    flip: bool | None = None,
    rebalance: float = 0.0,
    bits: Bits = 32,
    terms: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Finished:
    """Make one bundle of several.

    The age's distribution is the normalised product of theirs, each to the power of its weight; gender's is their
    weighted mean. Each sees the face at its own size. The manifest's validation faces calibrate and measure it.

    Args:
        bundles: two or more, names of built-in models or paths; their crops may differ in size only.
        out: the bundle to write.
        name: of the model, for the card.
        manifest: with validation faces.
        weights: a number of 0.01 to 100 for each bundle; None for the same for all, which sum to 1.
        flip: average each crop with its mirror image; None for what all bundles say, no where they disagree.
        rebalance: how far rare ages are raised, 0…1; see ``balance.year_weights``.
        bits: that each weight takes in the file.
        terms: under which it may be used; those of all bundles, each once, where this is empty.
        progress: called with the number of validation faces measured and their total.

    Raises:
        BundleError: one of them is no bundle.
        ConfigError: they do not fit together, or a number is out of its range.
        DataError: the manifest lacks faces, or does not fit.
        ExportError: their networks cannot be joined.
        OutputError: ``out`` cannot be written.

    Source: the product is the logarithmic opinion pool, as in Heskes, "Selecting weighting factors in logarithmic
    opinion pools", NIPS 1997.
    """
    files = [model_file(one).absolute() for one in bundles]  # which no built-in model's name is
    cards = [Bundle.load(file).card for file in files]
    for card in cards:
        check_takes_crops(card)
    shares = _shares(weights, len(files))
    _check_fit(bundles, cards)
    check_faces(manifest)
    card = Card(
        name=name,
        version=VERSION,
        crop=max((one.crop for one in cards), key=lambda crop: crop.size),
        genders=next((one.genders for one in cards if one.genders), ()),
        flip=all(one.flip for one in cards) if flip is None else flip,
        interval_masses={str(level): level for level in LEVELS},
        terms=terms or _terms(cards),
        training=_training(cards, shares, rebalance),
    )
    year_weights = training_year_weights(manifest, rebalance)
    model = _joined(files, cards, shares, None if year_weights is None else np.log(year_weights), card)
    return finish(model, card, manifest, out, bits=bits, progress=progress)


def _shares(weights: Sequence[float] | None, bundles: int) -> list[float]:
    if bundles < FEWEST:
        raise ConfigError(f"{bundles} bundle to combine; give {FEWEST} or more")
    shares = [1 / bundles] * bundles if weights is None else [float(one) for one in weights]
    least, most = WEIGHTS
    if len(shares) != bundles or not all(least <= one <= most for one in shares):
        raise ConfigError(f"weights {shares} for {bundles} bundles; give a number of {least} to {most} for each")
    return shares


def _check_fit(bundles: Sequence[str | Path], cards: Sequence[Card]) -> None:
    first = cards[0]
    for name, card in zip(bundles, cards, strict=True):
        if (card.crop.template, card.crop.margin) != (first.crop.template, first.crop.margin):
            raise ConfigError(
                f"{name}: its crops are of template {card.crop.template} and margin {card.crop.margin:g}, those of "
                f"{bundles[0]} of {first.crop.template} and {first.crop.margin:g}; only sizes may differ"
            )
    told = {card.genders for card in cards if card.genders}
    if len(told) > 1:
        raise ConfigError(f"the bundles tell other genders: {' and '.join(map(str, sorted(told)))}")


def _terms(cards: Sequence[Card]) -> str:
    parts = [part for card in cards for part in (card.terms or f"{card.name}: terms not stated").split("; ")]
    return "; ".join(dict.fromkeys(parts))


def _training(cards: Sequence[Card], shares: Sequence[float], rebalance: float) -> dict[str, Any]:
    """What the bundles were trained on, all together and each."""
    members = [
        {"name": card.name, "weight": share, "training": dict(card.training)}
        for card, share in zip(cards, shares, strict=True)
    ]
    told = (card.training.get("datasets") for card in cards)
    datasets = sorted({str(name) for names in told if isinstance(names, list) for name in names})
    return {"datasets": datasets, "rebalance": rebalance, "members": members}


def _joined(
    files: Sequence[Path], cards: Sequence[Card], shares: Sequence[float], raised: Any, card: Card
) -> onnx.ModelProto:
    """One network of several: ``crops`` of the largest size to pooled probabilities."""
    size = card.crop.size
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    ages, genders = [], []
    for number, (file, member) in enumerate(zip(files, cards, strict=True)):
        prefix = f"member{number}_"
        graph = _prefixed(file, prefix)
        nodes += [*_shown(f"{prefix}crops", size, member.crop.size, constants), *graph.node]
        constants += graph.initializer
        ages.append(f"{prefix}age_probs")
        genders += [f"{prefix}gender_probs"] if member.genders else []
    nodes += _pooled_ages(ages, shares, raised, constants)
    outputs = [helper.make_tensor_value_info("age_probs", TensorProto.FLOAT, ["faces", NUM_BINS])]
    if genders:
        telling = [share for share, member in zip(shares, cards, strict=True) if member.genders]
        nodes += _pooled_genders(genders, [share / sum(telling) for share in telling], constants)
        outputs.append(helper.make_tensor_value_info("gender_probs", TensorProto.FLOAT, ["faces", len(card.genders)]))
    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["faces", size, size, 3])
    graph = helper.make_graph(nodes, "combined", [crops], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _prefixed(file: Path, prefix: str) -> onnx.GraphProto:
    """A bundle's network with names of its own, in the operators of ``OPSET``."""
    try:
        model = inliner.inline_local_functions(onnx.load(file, load_external_data=False))
        domains = {one.domain for one in model.opset_import} - {"", "ai.onnx"}
        version = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        if domains or version > OPSET:
            raise ExportError(f"{file}: has operators of {sorted(domains) or version}; wanted ONNX {OPSET} at most")
        if version < OPSET:
            del model.opset_import[1:]
            model = version_converter.convert_version(model, OPSET)
        return compose.add_prefix(model, prefix).graph
    except ExportError:
        raise
    except Exception as error:  # onnx raises its own errors, and RuntimeError and ValueError
        raise ExportError(f"{file}: its network cannot be joined with others: {error}") from error


def _shown(name: str, size: int, wanted: int, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """From ``crops`` to what a member is shown: the same, or made smaller without aliasing."""
    if wanted == size:
        return [helper.make_node("Identity", ["crops"], [name])]
    sides = numpy_helper.from_array(np.array([wanted, wanted], np.int64), f"shown_{name}")
    constants.append(sides)
    return [helper.make_node("Resize", ["crops", "", "", sides.name], [name], mode="linear", antialias=1, axes=[1, 2])]


def _pooled_ages(
    ages: Sequence[str], shares: Sequence[float], raised: Any, constants: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    constants.append(_constant(LEAST, "least"))
    nodes, terms = [], []
    for name, share in zip(ages, shares, strict=True):
        own = f"pooled_{name}"
        constants.append(_constant(share, f"{own}_share"))
        steps = [f"{own}_{step}" for step in ("likely", "log", "weighted")]
        nodes += [
            helper.make_node("Add", [name, "least"], steps[:1]),
            helper.make_node("Log", steps[:1], steps[1:2]),
            helper.make_node("Mul", [steps[1], f"{own}_share"], steps[2:]),
        ]
        terms.append(steps[2])
    if raised is not None:
        constants.append(_constant(raised, "raised"))
        terms.append("raised")
    return [
        *nodes,
        helper.make_node("Sum", terms, ["pooled"]),
        helper.make_node("Softmax", ["pooled"], ["age_probs"], axis=1),
    ]


def _pooled_genders(
    genders: Sequence[str], shares: Sequence[float], constants: list[onnx.TensorProto]
) -> list[onnx.NodeProto]:
    nodes, terms = [], []
    for name, share in zip(genders, shares, strict=True):
        own = f"pooled_{name}"
        constants.append(_constant(share, f"{own}_share"))
        nodes.append(helper.make_node("Mul", [name, f"{own}_share"], [own]))
        terms.append(own)
    return [*nodes, helper.make_node("Sum", terms, ["gender_probs"])]


def _constant(value: Any, name: str) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype=np.float32), name)
