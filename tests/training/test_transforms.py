"""From a stored crop to what the network sees."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.transforms import v2

from agelens.faces.align import CropSpec, recrop
from agelens.train.transforms import PRESETS, Preset, plain_transform, to_tensor, train_transform

Picture = npt.NDArray[np.uint8]
STORED = CropSpec(size=64, margin=0.2)
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
def test_standard_keeps_shape_and_dtype_and_varies(crop: Picture, wanted: CropSpec) -> None:
    varied = train_transform(PRESETS["standard"], STORED, wanted)
    torch.manual_seed(0)
    some = [varied(crop) for _ in range(4)]
    assert all(one.shape == (3, wanted.size, wanted.size) and one.dtype == torch.uint8 for one in some)
    assert len({one.numpy().tobytes() for one in some}) == 4


def test_the_same_seed_gives_the_same_variations(crop: Picture) -> None:
    varied = train_transform(PRESETS["standard"], STORED, CropSpec(48, 0.0))
    runs = []
    for _ in range(2):
        torch.manual_seed(7)
        runs.append(torch.stack([varied(crop) for _ in range(5)]))
    assert torch.equal(*runs)


def test_variations_leave_the_stored_crop_alone(crop: Picture) -> None:
    before = crop.copy()
    varied = train_transform(PRESETS["standard"], STORED, STORED)
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
