"""The scripts that make the built-in models: unfolded norms, bands, and a teacher of two networks."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pandas as pd
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from agelens.bundle import CARD_KEY, Bundle, Card, dump_card
from agelens.evaluate.evaluation import Predictions
from agelens.faces.align import CropSpec

SCRIPTS = Path(__file__).parents[2] / "models"


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look there
    spec.loader.exec_module(module)
    return module


def test_unfolded_norms_give_the_same_answers_and_hold_what_comes_to_them() -> None:
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=0).eval()
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:  # as folded ones are: nothing taken, nothing divided by
            norm.running_mean.zero_()  # type: ignore[union-attr]
            norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
            norm.bias.normal_()
    batches = list(torch.randn(6, 8, 3, 32, 32))
    before = torch.stack([network(one) for one in batches]).detach()
    _script("face_start").unfold_norms(network, iter(batches))
    after = torch.stack([network(one) for one in batches]).detach()
    assert after == pytest.approx(before, abs=1e-4)
    # in training a norm takes the batch's own mean and spread: over all batches those that it holds
    network.train()
    together = network(torch.cat(batches)).detach()
    assert together == pytest.approx(before.flatten(0, 1), abs=1e-2)


def test_a_face_is_in_the_right_band_where_that_has_most_of_its_probability() -> None:
    probs = np.zeros((4, 101), dtype=np.float32)
    probs[0, [2, 3]] = 0.4, 0.6  # 0-2 is labelled, 3-9 likelier
    probs[1, [5, 80]] = 0.6, 0.4
    probs[2, 70:] = 1 / 31
    probs[3, 40] = 1  # an exact age: no band
    rows = pd.DataFrame(
        {"age": [None, None, None, 40.0], "age_low": [0, 3, 70, None], "age_high": [2, 9, 100, None]}, dtype=float
    )
    found = Predictions(rows, probs, np.zeros((4, 0), dtype=np.float32), ())
    assert _script("measure").right_bands(found).tolist() == [0, 1, 1]


def _network(size: int, classes: int) -> onnx.ModelProto:
    """Probabilities by how bright each colour is on average."""
    weights = np.random.default_rng(classes).normal(size=(3, classes)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "made_up",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_two_networks_become_a_bundle_with_our_axis_and_our_order_of_genders(tmp_path: Path) -> None:
    script = _script("dlib_teacher")
    age, gender = _network(64, 81), _network(32, 2)
    model = script.bundle_network(age, gender)
    masses = {"0.9": 0.9}
    card = Card("made up", "0", CropSpec(64, 0.0), ("male", "female"), flip=False, interval_masses=masses)
    helper.set_model_props(model, {CARD_KEY: dump_card(card)})
    (tmp_path / "teacher.onnx").write_bytes(model.SerializeToString())
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    said = Bundle.load(tmp_path / "teacher.onnx").run(crops)

    pixels = (crops.transpose(0, 3, 1, 2).astype(np.float64) - np.reshape(script.MEANS, (3, 1, 1))) / 256
    for network, got in ((age, said.age_probs[:, :81]), (gender, said.gender_probs[:, ::-1])):
        raw = pixels.mean(axis=(2, 3)) @ numpy_helper.to_array(network.graph.initializer[0])
        wanted = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        assert got == pytest.approx(wanted, abs=1e-5)
    assert not said.age_probs[:, 81:].any()
