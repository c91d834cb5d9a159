"""The scripts that make the built-in models: unfolded norms, bands, dlib's files, and a teacher of two networks."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn
from torch.nn import functional

from agelens.bundle import Bundle
from agelens.card import CARD_KEY, Card, dump_card
from agelens.evaluate.evaluation import Predictions
from agelens.faces.align import CropSpec
from agelens.train.config import changed, read_config

SCRIPTS = Path(__file__).parents[2] / "models"


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))  # as when one of them is run


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
    unfolding = _script("unfolding")
    network = timm.create_model("resnet18", num_classes=0, channels=(8, 8, 12, 16), avg_down=True).eval()
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            unfolding.set_affine(norm, torch.rand_like(norm.weight) + 0.5, torch.randn_like(norm.weight))
    batches = list(torch.randn(6, 8, 3, 32, 32))
    before = torch.stack([network(one) for one in batches]).detach()
    unfolding.even_filters(network)
    for one in network.modules():
        if isinstance(one, nn.Conv2d):
            sizes = one.weight.detach().square().mean((1, 2, 3)) * one.weight[0].numel()
            assert sizes == pytest.approx(torch.full_like(sizes, 2), rel=1e-4)
    unfolding.unfold_norms(network, iter(batches))
    after = torch.stack([network(one) for one in batches]).detach()
    assert after == pytest.approx(before, abs=1e-4)
    # in training a norm takes the batch's own mean and spread: over all batches those that it holds
    network.train()
    together = network(torch.cat(batches)).detach()
    assert together == pytest.approx(before.flatten(0, 1), abs=1e-2)


def _whole(number: int) -> bytes:
    length = max(1, (number.bit_length() + 7) // 8)
    return bytes([length]) + number.to_bytes(length, "little")


def _tensor(numbers: np.ndarray[Any, Any]) -> bytes:
    return b"\x01\x02" + _whole(len(numbers)) + 3 * _whole(1) + numbers.astype("<f4").tobytes()


def test_dlibs_file_becomes_the_network_that_it_holds(tmp_path: Path) -> None:
    script, rng = _script("dlib_start"), np.random.default_rng(0)
    layers, raw, width = [], b"\x01\x04net" + _whole(150), 3
    shapes = [(32, 7), *[(32, 3)] * 6, *[(64, 3)] * 8, *[(128, 3)] * 6, *[(256, 3)] * 6]
    for filters, side in shapes:
        kernel = rng.normal(0, 1 / np.sqrt(width * side**2), (filters, width, side, side))
        bias, scale, offset = rng.normal(0, 0.1, (3, filters)) + np.array([[0], [1], [0]])
        raw += _tensor(np.append(kernel.ravel(), bias)) + b"con_4" + _tensor(np.append(scale, offset)) + b"affine_"
        layers.append([torch.from_numpy(one).float() for one in (kernel, bias, scale, offset)])
        width = filters
    (tmp_path / "net.dat").write_bytes(raw)
    network = script.start_backbone(*script.read_layers(tmp_path / "net.dat"))

    def layer(maps: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
        kernel, bias, scale, offset = layers.pop(0)
        maps = functional.conv2d(maps, kernel, bias, stride, padding)
        return maps * scale.view(1, -1, 1, 1) + offset.view(1, -1, 1, 1)

    # as dlib has it, but for what lies around the picture: it gets dlib's own black here, timm's grey there
    colours = torch.full((2, 3, 64, 64), 100.0) + 50 * torch.randn(2, 3, 64, 64)
    mean, std = (255 * torch.tensor(one).view(1, 3, 1, 1) for one in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    taken = torch.tensor(script.LEARNT[0]).view(1, 3, 1, 1)
    around = functional.pad((colours - mean) / std, (3, 3, 3, 3)) * std + mean
    maps = functional.max_pool2d(layer((around - taken) / 256, 2, 0).relu(), 3, 2, 1)
    for blocks, filters in ((3, 32), (4, 64), (3, 128), (3, 256)):
        for block in range(blocks):
            halved = block == 0 and filters > 32
            past = functional.avg_pool2d(maps, 2) if halved else maps
            maps = layer(layer(maps, 1 + halved, 1).relu(), 1, 1)
            maps = (maps + functional.pad(past, (0, 0, 0, 0, 0, filters - past.shape[1]))).relu()
    assert layers == []
    with torch.no_grad():
        got = network((colours - mean) / std)
    assert got == pytest.approx(maps.mean((2, 3)), rel=1e-3, abs=1e-3)


def test_a_file_that_is_another_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.dat").write_bytes(_tensor(np.zeros(4000)) + _tensor(np.zeros(64)))
    with pytest.raises(SystemExit, match=r"another network, of layers \[\]; wanted \[\(32, 3, 7, 7\)"):
        _script("dlib_start").read_layers(tmp_path / "net.dat")


def test_a_face_is_in_the_right_band_where_that_has_most_of_its_probability() -> None:
    probs = np.zeros((4, 101), dtype=np.float32)
    probs[0, [2, 3]] = 0.4, 0.6  # 0-2 is labelled, 3-9 likelier
    probs[1, [5, 80]] = 0.6, 0.4
    probs[2, 70:] = 1 / 31
    probs[3, 40] = 1  # an exact age: no band
    rows = pd.DataFrame(
        {"age": [None, None, None, 40.0], "age_low": [0, 3, 70, None], "age_high": [2, 9, 100, None]}, dtype=float
    ).assign(dataset="one")
    found = Predictions(rows, probs, np.zeros((4, 0), dtype=np.float32), ())
    right_bands = _script("measure").right_bands
    assert right_bands(found).tolist() == [0, 1, 1]
    assert right_bands(Predictions(rows[3:], probs[3:], np.zeros((1, 0), dtype=np.float32), ())).tolist() == []


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
    ages = np.column_stack([said.age_probs[:, :80], said.age_probs[:, 80:].sum(axis=1)])
    for network, got in ((age, ages), (gender, said.gender_probs[:, ::-1])):
        raw = pixels.mean(axis=(2, 3)) @ numpy_helper.to_array(network.graph.initializer[0])
        wanted = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        assert got == pytest.approx(wanted, abs=1e-5)
    assert said.age_probs[:, 85:] == pytest.approx(said.age_probs[:, 80:-5] / 2, rel=1e-4)

    alone = script.age_alone(model)
    helper.set_model_props(alone, {CARD_KEY: dump_card(replace(card, genders=()))})
    (tmp_path / "age.onnx").write_bytes(alone.SerializeToString())
    assert Bundle.load(tmp_path / "age.onnx").run(crops).age_probs == pytest.approx(said.age_probs)
    assert len(alone.graph.node) < len(model.graph.node)


def test_every_choice_of_the_small_budget_is_a_configuration_of_its_own() -> None:
    script = _script("screen")
    recipe = read_config(script.RECIPE)
    configs = {name: changed(recipe, **one.changes) for name, one in script.SCREENS.items()}
    assert configs.pop("start") == recipe
    assert len({config.model_dump_json() for config in (recipe, *configs.values())}) == len(script.SCREENS)


def test_rows_go_into_the_record_and_between_the_marks_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _script("measure")
    monkeypatch.setattr(script, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text("before <!-- a -->\nold\n<!-- b --> after")
    script.write_rows(tmp_path / "rows.json", [{"name": "one"}], "| one |", ("<!-- a -->", "<!-- b -->"))
    assert (tmp_path / "page.md").read_text() == "before <!-- a -->\n| one |\n<!-- b --> after"
    assert json.loads((tmp_path / "rows.json").read_text()) == [{"name": "one"}]


def test_all_choices_are_made_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = _script("screen")
    made: list[str] = []
    row = {"what": "x", **dict.fromkeys(("mae", "mae_0_9", "mae_60"), (1.0, 0.5, 1.5))}

    def screened(name: str, work: Path) -> dict[str, Any]:
        made.append(name)
        return {"name": name, **row}

    monkeypatch.setattr(script, "screened", screened)
    monkeypatch.setattr(script, "RECORD", tmp_path / "rows.json")
    monkeypatch.setattr(script, "write_rows", lambda record, rows, lines, marks: record.write_text(json.dumps(rows)))
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    for arguments in (["start"], [], ["scratch"]):
        monkeypatch.setattr(sys, "argv", ["screen.py", str(tmp_path), *arguments])
        script.main()
    assert made == ["start", *script.SCREENS, "scratch"]
    assert [one["name"] for one in json.loads((tmp_path / "rows.json").read_text())] == list(script.SCREENS)
    monkeypatch.setattr(sys, "argv", ["screen.py", str(tmp_path), "none"])
    with pytest.raises(SystemExit):
        script.main()
