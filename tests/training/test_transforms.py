"""From a stored crop to what the network sees."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.transforms import v2

from agelens.faces.align import CropSpec, recrop
from agelens.train.sections import DataConfig
from agelens.train.transforms import PRESETS, Preset, _random_move, plain_transform, to_tensor, train_transform

Picture = npt.NDArray[np.uint8]
STORED = CropSpec(size=64, margin=0.2)
INPUT = CropSpec(48, 0.0)
VARYING = ["light", "standard", "strong"]
SPECS = [CropSpec(64, 0.2), CropSpec(48, 0.1), CropSpec(32, 0.0), CropSpec(20, 0.0), CropSpec(96, -0.1)]


@pytest.fixture
def crop(made_up_face: Callable[[int, int], Picture]) -> Picture:
    """A stored crop, (64, 64, 3)."""
    return made_up_face(11, 40)


def test_to_tensor_moves_channels_first_and_copies(crop: Picture) -> None:
    tensor = to_tensor(crop)
    before = crop.copy()
    tensor.zero_()
    assert tensor.shape == (3, 64, 64)
    assert np.array_equal(crop, before)


@pytest.mark.parametrize("wanted", SPECS)
def test_plain_is_the_crop_of_inference(crop: Picture, wanted: CropSpec) -> None:
    got = plain_transform(STORED, wanted)(crop)
    assert got.dtype == torch.uint8
    assert np.array_equal(got.permute(1, 2, 0).numpy(), recrop(crop, STORED, wanted))


@pytest.mark.parametrize("wanted", SPECS)
def test_preset_none_is_plain(crop: Picture, wanted: CropSpec) -> None:
    varied = train_transform(PRESETS["none"], STORED, wanted)
    assert torch.equal(varied(crop), plain_transform(STORED, wanted)(crop))


@pytest.mark.parametrize("wanted", SPECS)
@pytest.mark.parametrize("preset", VARYING)
def test_presets_keep_shape_and_dtype_and_vary(crop: Picture, preset: str, wanted: CropSpec) -> None:
    varied = train_transform(PRESETS[preset], STORED, wanted)
    torch.manual_seed(0)
    some = [varied(crop) for _ in range(4)]
    assert all(one.shape == (3, wanted.size, wanted.size) and one.dtype == torch.uint8 for one in some)
    assert len({one.numpy().tobytes() for one in some}) == 4


@pytest.mark.parametrize("preset", PRESETS)
def test_variations_can_be_sent_to_another_process(crop: Picture, preset: str) -> None:
    """Where processes are started anew (Windows, macOS, Python 3.14), loaders are sent what they load with."""
    for transform in (train_transform(PRESETS[preset], STORED, SPECS[0]), plain_transform(STORED, SPECS[0])):
        sent = pickle.loads(pickle.dumps(transform))  # noqa: S301  # our own
        torch.manual_seed(0)
        wanted = transform(crop)
        torch.manual_seed(0)
        assert torch.equal(sent(crop), wanted)


@pytest.mark.parametrize("preset", VARYING)
def test_the_same_seed_gives_the_same_variations(crop: Picture, preset: str) -> None:
    varied = train_transform(PRESETS[preset], STORED, CropSpec(48, 0.0))
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        runs.append(torch.stack([varied(crop) for _ in range(40)]))
    assert torch.equal(*runs)


def test_there_is_a_preset_for_each_that_a_configuration_may_name() -> None:
    assert set(get_args(DataConfig.model_fields["augment"].annotation)) == set(PRESETS)


def test_each_preset_strays_further_than_the_one_before(crop: Picture) -> None:
    plain = plain_transform(STORED, INPUT)(crop).float()
    far = []
    for preset in PRESETS.values():
        torch.manual_seed(3)
        varied = train_transform(preset, STORED, INPUT)
        # a mirror image is as far from the crop in every preset that has one
        ways = [one.float() for one in (varied(crop) for _ in range(60))]
        far.append(np.mean([min(float((way - one).abs().mean()) for way in (plain, plain.flip(2))) for one in ways]))
    assert far[0] == 0
    assert all(after > 1.2 * before for before, after in pairwise(far))


@pytest.mark.parametrize("name", VARYING)
def test_presets_move_the_crop_as_far_as_they_say(name: str) -> None:
    preset = PRESETS[name]
    torch.manual_seed(0)
    moves = np.array([_random_move(preset, 100) for _ in range(2000)])
    turns = np.rad2deg(np.arctan2(moves[:, 1, 0], moves[:, 0, 0]))
    zooms = np.log(np.hypot(moves[:, 0, 0], moves[:, 1, 0]))
    shifts = (moves[:, :2, :2] @ [50, 50] + moves[:, :2, 2] - 50) / 100  # of the middle
    for got, limit in ((turns, preset.turn), (zooms, preset.zoom), (shifts, preset.shift)):
        assert 0.98 * limit < np.abs(got).max() <= limit + 1e-9
        assert abs(got.mean()) < 0.05 * limit


def test_only_the_stronger_presets_doubt_the_ages() -> None:
    assert {name: preset.years for name, preset in PRESETS.items()} == {
        "none": 0,
        "light": 0,
        "standard": 0.5,
        "strong": 1.0,
    }


@pytest.mark.parametrize("name", VARYING)
def test_half_of_all_crops_are_mirrored(crop: Picture, name: str) -> None:
    still = dataclasses.replace(PRESETS[name], turn=0, zoom=0, shift=0)
    varied = train_transform(still, STORED, STORED)
    plain = to_tensor(crop).float()
    torch.manual_seed(0)
    some = [varied(crop).float() for _ in range(200)]
    mirrored = sum(bool((one - plain.flip(2)).abs().mean() < (one - plain).abs().mean()) for one in some)
    assert 75 <= mirrored <= 125


def test_light_leaves_colours_alone_and_strong_does_not(crop: Picture) -> None:
    unmoved = {name: dataclasses.replace(PRESETS[name], turn=0, zoom=0, shift=0) for name in ("light", "strong")}
    torch.manual_seed(0)
    plain = to_tensor(crop)
    light = train_transform(unmoved["light"], STORED, STORED)
    seen = {(torch.equal(got, plain), torch.equal(got, plain.flip(2))) for got in map(light, [crop] * 20)}
    assert seen == {(True, False), (False, True)}
    strong = train_transform(unmoved["strong"], STORED, STORED)
    means = torch.stack([strong(crop).float().mean(dim=(1, 2)) for _ in range(60)])
    assert means.std(dim=0).min() > 10


def test_strong_erases_a_part_now_and_then_and_makes_some_grey() -> None:
    colourful = np.zeros((64, 64, 3), dtype=np.uint8)
    colourful[..., 0], colourful[..., 1] = 200, 40
    varied = train_transform(dataclasses.replace(PRESETS["strong"], turn=0, zoom=0, shift=0), STORED, STORED)
    torch.manual_seed(0)
    some = [varied(colourful) for _ in range(400)]
    erased = [bool((one == 127).all(dim=0).float().mean() > 0.015) for one in some]
    grey = [bool((one[0] == one[1]).float().mean() > 0.9) for one in some]
    assert np.mean(erased) == pytest.approx(0.4, abs=0.08)
    assert np.mean(grey) == pytest.approx(0.1, abs=0.05)


def test_variations_leave_the_stored_crop_alone(crop: Picture) -> None:
    before = crop.copy()
    for preset in PRESETS.values():
        varied = train_transform(preset, STORED, STORED)
        for _ in range(5):
            varied(crop)
    assert np.array_equal(crop, before)


@pytest.mark.parametrize("seed", range(5))
def test_zoom_and_turn_leave_the_middle_where_it_is(crop: Picture, seed: int) -> None:
    varied = train_transform(Preset(turn=30, zoom=0.3, shift=0, pixels=v2.Identity()), STORED, STORED)
    torch.manual_seed(seed)
    moved = varied(crop).permute(1, 2, 0).numpy()
    assert not np.array_equal(moved, crop)
    assert np.abs(moved[32, 32].astype(int) - crop[32, 32]).max() <= 2


@pytest.mark.parametrize("seed", range(5))
def test_shift_moves_by_at_most_its_share(seed: int) -> None:
    dot = np.zeros((64, 64, 3), dtype=np.uint8)
    dot[28:37, 28:37] = 255
    varied = train_transform(Preset(turn=0, zoom=0, shift=0.1, pixels=v2.Identity()), STORED, STORED)
    torch.manual_seed(seed)
    right, down = (0.1 * 64 * (2 * torch.rand(4) - 1)[2:]).tolist()
    torch.manual_seed(seed)
    light = varied(dot)[0].double()
    places = torch.arange(64, dtype=torch.float64)
    assert float((light.sum(0) * places).sum() / light.sum()) == pytest.approx(32 + right, abs=0.05)
    assert float((light.sum(1) * places).sum() / light.sum()) == pytest.approx(32 + down, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wanted", [CropSpec(64, 0.2), CropSpec(48, 0.0), CropSpec(80, 0.1)])
def test_move_is_opencvs_rotation_after_the_crop(crop: Picture, wanted: CropSpec, seed: int) -> None:
    preset = Preset(turn=20, zoom=0.2, shift=0.05, pixels=v2.Identity())
    torch.manual_seed(seed)
    turn, zoom, right, down = (2 * torch.rand(4) - 1).tolist()
    middle, scale = wanted.size / 2, float(np.exp(0.2 * zoom))
    move = cv2.getRotationMatrix2D((middle, middle), -20 * turn, scale)
    move[:, 2] += 0.05 * wanted.size * np.array([right, down])
    # where the template's first three landmarks lie in the stored crop, and where in the one wanted, then moved
    start = STORED.points()[:3]
    goal = wanted.points()[:3] @ move[:, :2].T + move[:, 2]
    matrix = cv2.getAffineTransform(start.astype(np.float32), goal.astype(np.float32))
    reference = cv2.warpAffine(crop, matrix, (wanted.size, wanted.size), borderMode=cv2.BORDER_REPLICATE)

    torch.manual_seed(seed)
    moved = train_transform(preset, STORED, wanted)(crop).permute(1, 2, 0).numpy()
    assert np.abs(moved.astype(int) - reference).mean() < 0.5


def test_margin_comes_into_view_instead_of_a_repeated_edge() -> None:
    stored = np.zeros((64, 64, 3), dtype=np.uint8)
    stored[:4] = 255  # only in the margin of the stored crop
    varied = train_transform(Preset(0, 0, 0.1, v2.Identity()), STORED, CropSpec(48, 0.1))
    torch.manual_seed(1)
    assert max(int(varied(stored).max()) for _ in range(20)) > 200
    assert int(plain_transform(STORED, CropSpec(48, 0.1))(stored).max()) == 0


def test_more_margin_than_is_stored_is_refused() -> None:
    with pytest.raises(ValueError, match=r"margin 0\.200, but 0\.300 is wanted"):
        train_transform(PRESETS["none"], STORED, CropSpec(64, 0.3))
