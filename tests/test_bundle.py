"""The model file: what it computes, and everything it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from agelens.bundle import Bundle, Output
from agelens.card import FORMAT, Card, dump_card, parse_card
from agelens.errors import BundleError
from agelens.faces.align import CropSpec

Pixels = npt.NDArray[np.uint8]
MakeBundle = Callable[..., Path]
MakeNetwork = Callable[..., onnx.ModelProto]


def _crops(count: int, size: int = 16) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def _refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{path}: ")
    return message


def _card_text(card: Card, **changes: Any) -> str:
    raw = json.loads(dump_card(card)) | changes
    return json.dumps({key: value for key, value in raw.items() if value is not ...})


def test_a_bundle_computes_what_its_network_is(make_bundle: MakeBundle, tiny_reference: Callable[..., Any]) -> None:
    output = Bundle.load(make_bundle()).run(_crops(5))
    ages, genders = tiny_reference(_crops(5))
    assert output.age_probs.shape == (5, 101)
    assert output.gender_probs.shape == (5, 2)
    assert output.age_probs.dtype == output.gender_probs.dtype == np.float32
    np.testing.assert_allclose(output.age_probs, ages, atol=1e-4)
    np.testing.assert_allclose(output.gender_probs, genders, atol=1e-5)


def test_flip_averages_each_crop_with_its_mirror_image(
    make_bundle: MakeBundle, tiny_reference: Callable[..., Any]
) -> None:
    crops = _crops(4)
    crops[:, :, :8] //= 2
    output = Bundle.load(make_bundle(flip=True)).run(crops)
    plain, mirrored = tiny_reference(crops), tiny_reference(crops[:, :, ::-1])
    assert np.abs(plain[0] - mirrored[0]).max() > 0.05
    np.testing.assert_allclose(output.age_probs, (plain[0] + mirrored[0]) / 2, atol=1e-4)
    np.testing.assert_allclose(output.gender_probs, (plain[1] + mirrored[1]) / 2, atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_many_crops_at_once_are_the_same_as_one_by_one(flip: bool, make_bundle: MakeBundle) -> None:
    bundle, crops = Bundle.load(make_bundle(flip=flip)), _crops(150)
    crops[:, :, :8] //= 2
    together, single = bundle.run(crops), [bundle.run(crop[None]) for crop in crops]
    for whole, parts in zip(together, zip(*single, strict=True), strict=True):
        assert whole.dtype == np.float32
        np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-6)


def test_the_network_never_gets_more_than_64_crops_at_once(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    run_once = Bundle._run_once

    def counted(self: Bundle, crops: Pixels, name: str) -> Output:
        counts.append(len(crops))
        return run_once(self, crops, name)

    monkeypatch.setattr(Bundle, "_run_once", counted)
    assert len(Bundle.load(make_bundle()).run(_crops(150)).age_probs) == 150
    assert counts == [64, 64, 22]


def test_the_card_comes_back(make_bundle: MakeBundle, card: Card) -> None:
    assert Bundle.load(make_bundle()).card == card
    assert Bundle.load(str(make_bundle()), threads=1).card == card


@pytest.mark.parametrize("flip", [False, True])
def test_no_crops_give_no_rows(flip: bool, make_bundle: MakeBundle) -> None:
    output = Bundle.load(make_bundle(flip=flip)).run(_crops(0))
    assert output.age_probs.shape == (0, 101)
    assert output.gender_probs.shape == (0, 2)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((1, 17, 16, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((1, 16, 16, 3), np.float32),
    ],
    ids=lambda crops: f"{crops.dtype}{crops.shape}",
)
def test_wrong_crops_are_refused(crops: Any, make_bundle: MakeBundle) -> None:
    with pytest.raises(ValueError, match=r"wanted uint8 \(N, 16, 16, 3\)"):
        Bundle.load(make_bundle()).run(crops)


@pytest.mark.parametrize("name", ["gone.onnx", ".", "nul\0.onnx", "x" * 5000])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    _refusal(tmp_path / name)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"this is no network\n" * 99, b"\x89PNG\r\n\x1a\n" + bytes(500), b"\x08\x0a"],
    ids=["empty", "one byte", "text", "picture", "nothing but a version"],
)
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(data)
    _refusal(tmp_path / "model.onnx")


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.99])
def test_a_truncated_bundle_is_refused(keep: float, make_bundle: MakeBundle) -> None:
    path = make_bundle()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    _refusal(path)


def test_a_network_without_a_card_is_refused(make_network: MakeNetwork, tmp_path: Path) -> None:
    (tmp_path / "bare.onnx").write_bytes(make_network().SerializeToString())
    assert "without agelens's card" in _refusal(tmp_path / "bare.onnx")


def test_a_broken_card_is_refused_by_file(make_bundle: MakeBundle) -> None:
    assert "the card is damaged" in _refusal(make_bundle(text="{"))


def test_a_newer_card_is_refused_with_the_way_out(make_bundle: MakeBundle, card: Card) -> None:
    message = _refusal(make_bundle(text=_card_text(card, format=FORMAT + 1)))
    assert f"format {FORMAT + 1}" in message
    assert "pip install -U agelens" in message


@pytest.mark.parametrize("wrong", [{"training": None}, {"training": [1]}, {"figures": 5}, {"terms": 5}])
def test_a_card_whose_parts_are_of_other_kinds_is_refused(wrong: dict[str, Any], card: Card) -> None:
    with pytest.raises(BundleError, match=r"training and figures must be objects, terms a text"):
        parse_card(_card_text(card, **wrong))


@pytest.mark.parametrize("key", ["format", "name", "version", "crop", "genders", "flip", "interval_masses"])
def test_a_card_that_lacks_a_part_is_refused(key: str, card: Card) -> None:
    with pytest.raises(BundleError, match=key):
        parse_card(_card_text(card, **{key: ...}))


@pytest.mark.parametrize(
    "changes",
    [
        {"surplus": 1},
        {"line\nbreak": 1},
        {"format": "new\nline"},
        {"flip": 1},
        {"flip": "false"},
        {"genders": 2},
        {"genders": "mf"},
        {"crop": None},
        {"crop": {"size": 16}},
        {"crop": {"size": 8, "margin": 0.1}},
        {"crop": {"size": 16.5, "margin": 0.1}},
        {"crop": {"size": 16.0, "margin": 0.1}},
        {"crop": {"size": "16", "margin": 0.1}},
        {"crop": {"size": 16, "margin": "wide"}},
        {"crop": {"size": 16, "margin": float("nan")}},
        {"crop": {"size": 16, "margin": 0.1, "template": "oval"}},
        {"crop": {"size": 16, "margin": 0.1, "template": ["face"]}},
        {"interval_masses": {}},
        {"thresholds": [18]},
        {"thresholds": {"young": {"challenge_age": 27, "max_false_pass": 0.01}}},
        {"thresholds": {"18": {"challenge_age": 27}, "21": {}}},
        {"thresholds": {"18": {"challenge_age": float("nan"), "max_false_pass": 0.01}}},
        {"thresholds": {"18": {"challenge_age": 300, "max_false_pass": 0.01}}},
        {"thresholds": {"18": {"challenge_age": 27, "max_false_pass": 0.01, "false_fail": 7}}},
        {"interval_masses": {"0.9": 1.5}},
        {"interval_masses": {"0.9": -0.1}},
        {"interval_masses": {"0.9": float("nan")}},
        {"interval_masses": {"0.9": 10**400}},
        {"interval_masses": {"much": 0.9}},
        {"interval_masses": [0.9]},
        {"interval_masses": {"0.9": [0.9]}},
        {"interval_masses": {"0.9": [0.9] * 102}},
        {"interval_masses": {"0.9": [*[0.9] * 100, 1.5]}},
    ],
    ids=lambda changes: json.dumps(changes)[:60],
)
def test_a_card_with_a_wrong_part_is_refused_in_one_line(changes: dict[str, Any], card: Card) -> None:
    with pytest.raises(BundleError) as caught:
        parse_card(_card_text(card, **changes))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "null", "3", "[]", '"card"', "[1, 2]", "nan", "[" * 100_000])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="damaged"):
        parse_card(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "format",
    "name",
    "version",
    "crop",
    "genders",
    "flip",
    "interval_masses",
    "thresholds",
    "training",
    "figures",
    "terms",
]


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3))
def test_no_card_raises_anything_but_bundle_errors(changes: dict[str, Any]) -> None:
    whole = Card("n", "1", CropSpec(16, 0.1), ("a", "b"), True, {"0.9": 0.8})
    refusal = ""
    try:
        assert parse_card(_card_text(whole, **changes)).interval_masses
    except BundleError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1


def test_a_card_survives_the_round_trip(card: Card) -> None:
    full = replace(
        card,
        crop=CropSpec(112, -0.05, "arcface"),
        flip=True,
        training={"data": ["UTKFace"], "seed": 3},
        figures={"val": {"mae": 4.5}},
        terms="for research – ¼",
    )
    assert parse_card(dump_card(full)) == full
    by_year = replace(full, interval_masses={"0.9": tuple(np.linspace(0.5, 1, 101))})
    assert parse_card(dump_card(by_year)) == by_year
    assert by_year.interval_mass(0.9)[::100].tolist() == [0.5, 1.0]


def test_challenge_ages_are_found_by_their_legal_age(card: Card) -> None:
    known = replace(card, thresholds={"18": {"challenge_age": 26.5, "max_false_pass": 0.01, "false_pass": 0.009}})
    again = parse_card(dump_card(known))
    assert again == known
    assert again.challenge_age(18) == 26.5
    with pytest.raises(ValueError, match="no challenge age for 21 in this bundle, which has: 18"):
        again.challenge_age(21)
    with pytest.raises(ValueError, match="which has: none"):
        card.challenge_age(18)


def test_interval_masses_are_found_by_their_level(card: Card) -> None:
    assert card.interval_mass(0.9) == 0.8
    assert card.interval_mass(0.45 + 0.05) == 0.4
    with pytest.raises(ValueError, match=r"no interval at level 0\.8; this bundle has: 0\.5, 0\.9"):
        card.interval_mass(0.8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crops": "image"}, "takes"),
        ({"size": 24}, "takes"),
        ({"pixel_type": TensorProto.FLOAT}, "takes"),
        ({"batch": 1}, "takes"),
        ({"outputs": ("age", "gender_probs")}, "gives"),
        ({"outputs": ("gender_probs", "age_probs")}, ""),
    ],
    ids=["input's name", "input's size", "input's type", "one crop only", "output's name", "outputs exchanged"],
)
def test_a_network_of_another_kind_is_refused(
    wrong: dict[str, Any], message: str, make_bundle: MakeBundle, make_network: MakeNetwork
) -> None:
    assert message in _refusal(make_bundle(network=make_network(**wrong)))


def test_a_network_for_other_genders_than_the_card_names_is_refused(make_bundle: MakeBundle) -> None:
    assert "gives" in _refusal(make_bundle(genders=("a", "b", "c")))


@pytest.mark.parametrize("flip", [False, True])
def test_a_bundle_without_gender_gives_ages_and_no_columns_of_gender(
    flip: bool, make_bundle: MakeBundle, make_network: MakeNetwork
) -> None:
    bare = Bundle.load(make_bundle("bare.onnx", network=make_network(gender=False), genders=(), flip=flip))
    output, whole = bare.run(_crops(70)), Bundle.load(make_bundle(flip=flip)).run(_crops(70))
    assert bare.card.genders == ()
    assert (output.gender_probs.shape, output.gender_probs.dtype) == ((70, 0), np.float32)
    np.testing.assert_allclose(output.age_probs, whole.age_probs, atol=1e-6)
    assert [part.shape for part in bare.run(_crops(0))] == [(0, 101), (0, 0)]


@pytest.mark.parametrize(("gender", "genders"), [(True, ()), (False, ("female", "male"))])
def test_a_network_and_a_card_that_disagree_on_gender_are_refused(
    gender: bool, genders: tuple[str, ...], make_bundle: MakeBundle, make_network: MakeNetwork
) -> None:
    message = _refusal(make_bundle(network=make_network(gender=gender), genders=genders))
    assert ("gender_probs" in message.partition("; wanted ")[2]) != gender


def test_a_network_that_gives_nan_fails_when_it_runs(make_bundle: MakeBundle, make_network: MakeNetwork) -> None:
    bundle = Bundle.load(make_bundle(network=make_network(age_bias=np.full(101, np.nan, np.float32))))
    with pytest.raises(BundleError, match="'tiny' gave no distributions"):
        bundle.run(_crops(2))


def test_a_network_that_gives_no_shares_fails_when_it_runs(make_bundle: MakeBundle, make_network: MakeNetwork) -> None:
    bundle = Bundle.load(make_bundle(network=make_network(last="Sigmoid")))
    with pytest.raises(BundleError, match="gave no distributions"):
        bundle.run(_crops(2))


def test_a_network_that_gives_negative_shares_fails_when_it_runs(
    make_bundle: MakeBundle, make_network: MakeNetwork
) -> None:
    bias = np.zeros(101, np.float32)
    bias[:3] = [1.5, 0.5, -1]  # black crops make the rest 0
    network = make_network(age_bias=bias, last="Identity")
    network.graph.initializer[4].CopyFrom(onnx.numpy_helper.from_array(np.float32([0.5, 0.5]), "gender_bias"))
    with pytest.raises(BundleError, match="gave no distributions"):
        Bundle.load(make_bundle(network=network)).run(np.zeros((1, 16, 16, 3), np.uint8))


@pytest.mark.parametrize("location", ["weights.bin", "{folder}/weights.bin", "../{name}/weights.bin"])
def test_a_network_can_draw_in_no_other_file(
    location: str,
    make_bundle: MakeBundle,
    make_network: MakeNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = make_network()
    weights = network.graph.initializer[1]
    (tmp_path / "weights.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    place = {"location": location.format(folder=tmp_path, name=tmp_path.name), "offset": "0"}
    for key, value in place.items():
        weights.external_data.add(key=key, value=value)
    path = make_bundle(network=network)
    monkeypatch.chdir(tmp_path)  # onnxruntime looks there for a network that comes as bytes
    assert "not an ONNX network" in _refusal(path)


def test_a_network_can_read_no_memory(make_bundle: MakeBundle, make_network: MakeNetwork) -> None:
    secret = np.ones((768, 101), np.float32)
    network = make_network()
    weights = network.graph.initializer[1]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    place = {"location": "*/_ORT_MEM_ADDR_/*", "offset": str(secret.ctypes.data), "length": str(secret.nbytes)}
    for key, value in place.items():
        weights.external_data.add(key=key, value=value)
    _refusal(make_bundle(network=network))


def test_a_network_without_metadata_of_ours_keeps_its_own(make_network: MakeNetwork, tmp_path: Path) -> None:
    network = make_network()
    helper.set_model_props(network, {"author": "someone"})
    (tmp_path / "other.onnx").write_bytes(network.SerializeToString())
    assert "agelens export" in _refusal(tmp_path / "other.onnx")
