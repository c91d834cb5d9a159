"""Photos of every kind come in upright and RGB, and bad ones are refused in one line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from agelens.errors import ImageError
from agelens.images import SUFFIXES, find_images, read_image

Pixels = npt.NDArray[np.uint8]

LOSSLESS = ("PNG", "BMP", "TIFF")
LOSSY = ("JPEG", "WEBP")
ALL_FORMATS = (*LOSSLESS, *LOSSY, "GIF")
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def _picture(width: int = 24, height: int = 16) -> Pixels:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 240 // width, y * 240 // height, (x + y) * 200 // (width + height)], axis=2).astype(np.uint8)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def _file(kind: str) -> bytes:
    return _encode(Image.fromarray(_picture(96, 64)), kind)


FILES = {kind: _file(kind) for kind in ALL_FORMATS}


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _refusal(source: Any, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_files_come_back_exactly(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(_encode(Image.fromarray(_picture()), kind))
    np.testing.assert_array_equal(read_image(path), _picture())
    np.testing.assert_array_equal(read_image(str(path)), _picture())
    np.testing.assert_array_equal(read_image(path.read_bytes()), _picture())


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_files_come_back_closely(kind: str) -> None:
    pixels = _picture(64, 48)
    read = read_image(_encode(Image.fromarray(pixels), kind, quality=98))
    assert read.dtype == np.uint8
    assert np.abs(read.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    read = read_image(_encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(read.astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    options: dict[str, Any] = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options = {"lossless": True}
    read = read_image(_encode(Image.fromarray(_picture()), kind, exif=exif.tobytes(), **options))
    expected = UPRIGHT[orientation](_picture())
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).max() <= (12 if kind == "JPEG" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_passed_over() -> None:
    photo = _encode(Image.fromarray(_picture()), "JPEG", exif=b"Exif\x00\x00MM\x00*" + b"\xff" * 30)
    assert read_image(photo).shape == (16, 24, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_greyscale_becomes_three_equal_channels(kind: str) -> None:
    grey = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (16, 1))
    read = read_image(_encode(Image.fromarray(grey), kind))
    np.testing.assert_allclose(read.astype(int), np.stack([grey] * 3, axis=2).astype(int), atol=3)


def test_black_and_white_becomes_0_and_255() -> None:
    bits = np.array([[True, False], [False, True]])
    assert read_image(_encode(Image.fromarray(bits), "PNG"))[..., 0].tolist() == [[255, 0], [0, 255]]


def test_palettes_are_looked_up() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 150, 100])
    image.putpixel((1, 0), 1)
    assert read_image(_encode(image, "PNG")).tolist() == [[[10, 20, 30], [200, 150, 100]]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_entry_of_a_palette_becomes_white(kind: str) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 150, 100])
    image.putpixel((1, 0), 1)
    assert read_image(_encode(image, kind, transparency=0)).tolist() == [[[255, 255, 255], [200, 150, 100]]]


def test_a_palette_may_be_half_transparent() -> None:
    image = Image.new("P", (1, 1))
    image.putpalette([0, 100, 200])
    np.testing.assert_allclose(read_image(_encode(image, "PNG", transparency=b"\x80"))[0, 0], [127, 177, 227], atol=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    rgba = np.array([[[255, 0, 0, 255], [0, 0, 255, 128], [9, 9, 9, 0]]], np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}
    read = read_image(_encode(Image.fromarray(rgba), kind, **options))
    np.testing.assert_allclose(read[0], [[255, 0, 0], [127, 127, 255], [255, 255, 255]], atol=1)


def test_grey_with_alpha_is_laid_over_white() -> None:
    image = Image.merge("LA", (Image.new("L", (1, 1), 40), Image.new("L", (1, 1), 0)))
    assert read_image(_encode(image, "PNG")).tolist() == [[[255, 255, 255]]]


def test_a_transparent_colour_of_rgb_becomes_white() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read_image(_encode(image, "PNG", transparency=(1, 2, 3))).tolist() == [[[255, 255, 255], [4, 5, 6]]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    np.testing.assert_allclose(read_image(_encode(image, kind))[8, 8], [255, 0, 0], atol=4)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_becomes_8_bit(suffix: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    encoded = cv2.imencode(suffix, values)[1].tobytes()
    assert read_image(encoded)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_colour_becomes_8_bit(suffix: str) -> None:
    blue_green_red = np.array([[[65535, 32896, 0], [257, 514, 771]]], np.uint16)
    encoded = cv2.imencode(suffix, blue_green_red)[1].tobytes()
    np.testing.assert_allclose(read_image(encoded)[0], [[0, 128, 255], [3, 2, 1]], atol=1)


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_tiff_becomes_8_bit(top: float) -> None:
    values = np.array([[0, 0.5, 1]], np.float32) * top
    np.testing.assert_allclose(read_image(_encode(Image.fromarray(values), "TIFF"))[0, :, 0], [0, 128, 255], atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("value", ["black", "white"])
def test_pil_images_of_every_mode_become_rgb(mode: str, value: str) -> None:
    image = Image.new("RGBA", (4, 3), value).convert("RGB")
    if mode == "PA":
        image = image.convert("P")
    image = image.convert("RGBA") if mode == "RGBa" else image
    read = read_image(image.convert(mode))
    assert read.shape == (3, 4, 3)
    assert (read == (0 if value == "black" else 255)).all()


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_pil_images_of_wide_samples_become_rgb(mode: str) -> None:
    assert read_image(Image.new(mode, (4, 3), 0)).tolist() == np.zeros((3, 4, 3)).tolist()


def test_a_pil_image_stays_usable() -> None:
    image = Image.fromarray(_picture())
    read_image(image)
    assert image.getpixel((12, 0)) == (120, 0, 60)


@pytest.mark.parametrize("orientation", [None, 1, 6])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_pil_image_is_not_changed(orientation: int | None, mode: str) -> None:
    image = Image.fromarray(_picture()).convert(mode)
    if orientation is not None:
        image.getexif()[274] = orientation
    before = image.copy()
    assert read_image(image).shape == ((24, 16, 3) if orientation == 6 else (16, 24, 3))
    assert (image.mode, image.size, image.getexif().get(274)) == (mode, before.size, orientation)
    assert image.tobytes() == before.tobytes()


def test_pixels_of_a_pil_image_are_copied() -> None:
    image = Image.fromarray(_picture())
    assert not np.shares_memory(read_image(image), np.asarray(image))
    read = read_image(image)
    image.paste((0, 0, 0), (0, 0, 24, 16))
    np.testing.assert_array_equal(read, _picture())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_arrays_are_read_as_0_to_1(dtype: Any) -> None:
    read = read_image(np.array([[[0, 0.5, 1]]], dtype))
    np.testing.assert_allclose(read[0, 0], [0, 128, 255], atol=1)


def test_float_arrays_a_little_above_1_stay_bright() -> None:
    assert read_image(np.array([[[0, 0.5, 1.02]]])).tolist() == [[[0, 128, 255]]]


def test_not_a_number_becomes_black() -> None:
    assert read_image(np.full((1, 1, 3), np.nan)).tolist() == [[[0, 0, 0]]]


def test_uint16_arrays_become_8_bit() -> None:
    assert read_image(np.array([[[0, 32896, 65535]]], np.uint16)).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("dtype", [">u2", "<u2"])
def test_uint16_arrays_of_either_byte_order_are_read(dtype: str) -> None:
    assert read_image(np.array([[[0, 32896, 65535]]], dtype)).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1)])
def test_grey_arrays_get_three_channels(shape: tuple[int, ...]) -> None:
    read = read_image(np.full(shape, 77, np.uint8))
    assert read.shape == (5, 4, 3)
    assert (read == 77).all()


def test_rgba_arrays_are_laid_over_white() -> None:
    assert read_image(np.array([[[9, 9, 9, 0], [1, 2, 3, 255]]], np.uint8)).tolist() == [[[255] * 3, [1, 2, 3]]]


def test_reversed_and_sliced_arrays_become_contiguous() -> None:
    read = read_image(_picture()[::2, ::-1, ::-1])
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(read, _picture()[::2, ::-1, ::-1])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((5, 5, 5), np.uint8),
        np.zeros((1, 5, 5, 3), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0), np.uint8),
        np.zeros((5, 5, 3), np.int64),
        np.zeros((5, 5, 3), bool),
        np.zeros((5, 5, 3), complex),
        np.zeros((5, 5), object),
        np.array([["a", "b"]]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(array: npt.NDArray[Any]) -> None:
    assert "is not an image" in _refusal(array)


@pytest.mark.parametrize("source", [None, 3, ["a.jpg"], bytearray(b"x")])
def test_other_types_are_refused(source: Any) -> None:
    assert type(source).__name__ in _refusal(source)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "gone.jpg") == f"{tmp_path / 'gone.jpg'}: no such file"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path).startswith(f"{tmp_path}: a folder")


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file" / "a.jpg") in _refusal(tmp_path / "file" / "a.jpg")


def test_a_pipe_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert _refusal(tmp_path / "pipe.jpg") == f"{tmp_path / 'pipe.jpg'}: not a regular file"


@pytest.mark.parametrize("name", ["nul\0.jpg", "x" * 5000])
def test_names_that_no_file_can_have_are_refused(name: str, tmp_path: Path) -> None:
    assert "x.jpg" in _refusal(tmp_path / f"{name}x.jpg")


def _bad_files() -> dict[str, bytes]:
    cut = {f"cut.{kind.lower()}": data[: len(data) * 6 // 10] for kind, data in FILES.items()}
    return {
        "empty.jpg": b"",
        "text.jpg": b"this is no image\n" * 50,
        "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        "postscript.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "huge.png": _png_header(60_000, 60_000),
        "large.png": _png_header(15_000, 15_000),
        "wide.png": _png_header(80_000_001, 1),
        "huge.gif": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + FILES["GIF"][13:],
        "huge.bmp": FILES["BMP"][:18] + struct.pack("<ii", 60_000, 60_000) + FILES["BMP"][26:],
        "hollow.png": _png_header(0, 5),
        **cut,
    }


@pytest.mark.parametrize("name", _bad_files())
def test_bad_files_are_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(_bad_files()[name])
    assert str(path) in _refusal(path)


@pytest.mark.parametrize("name", ["huge.png", "large.png", "wide.png", "huge.bmp"])
def test_too_large_says_so(name: str) -> None:
    assert "scale it down" in _refusal(_bad_files()[name])


def test_bytes_are_refused_as_bytes() -> None:
    assert _refusal(b"").startswith("bytes: empty")
    assert _refusal(b"nonsense").startswith("bytes: not an image")


def test_too_little_memory_says_so_and_not_that_the_photo_is_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def starved(*_: object, **__: object) -> None:
        raise MemoryError

    path = tmp_path / "a.png"
    path.write_bytes(FILES["PNG"])
    monkeypatch.setattr(Image.Image, "load", starved)
    assert _refusal(path) == f"{path}: too little memory for 96 x 64 pixels; scale it down first"


@pytest.mark.parametrize("kind", ["bytes", "array", "pil"])
def test_max_pixels_is_a_limit_for_every_source(kind: str) -> None:
    sources = {"bytes": FILES["PNG"], "array": _picture(96, 64), "pil": Image.fromarray(_picture(96, 64))}
    assert read_image(sources[kind], max_pixels=96 * 64).shape == (64, 96, 3)
    assert "96 x 64" in _refusal(sources[kind], max_pixels=96 * 64 - 1)


def test_find_images_looks_below_folders_and_sorts(tmp_path: Path) -> None:
    names = ["b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "d.jpg.part"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]
    assert found == ["a.png", "b.JPG", "deep/er/c.webp"]


def test_find_images_passes_files_on_as_they_are(tmp_path: Path) -> None:
    given_paths = [tmp_path / "gone.jpg", tmp_path / "notes.txt"]
    assert list(find_images(given_paths)) == given_paths


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0"])
def test_find_images_passes_on_names_that_no_file_can_have(name: str) -> None:
    assert list(find_images([name])) == [Path(name)]


def test_find_images_takes_no_folder_for_an_image(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match="holds no images"):
        list(find_images([tmp_path]))


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ImageError) as caught:
        list(find_images([tmp_path]))
    assert str(caught.value).startswith(f"{tmp_path}: the folder holds no images")
    assert "\n" not in str(caught.value)


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(suffix.startswith(".") and suffix.islower() for suffix in SUFFIXES)


def _read_or_refuse(data: bytes) -> None:
    refusal = None
    try:
        read = read_image(data, max_pixels=200_000)
    except ImageError as error:
        refusal = str(error)
    if refusal is not None:
        assert len(refusal.splitlines()) == 1
        return
    assert read.dtype == np.uint8
    assert read.ndim == 3
    assert read.shape[2] == 3


@pytest.mark.filterwarnings("ignore:::PIL")  # as errors they would keep the readers from the damage
@given(st.binary(max_size=300), st.sampled_from(["", *ALL_FORMATS]))
def test_random_bytes_raise_nothing_but_image_errors(data: bytes, head: str) -> None:
    _read_or_refuse(FILES[head][:24] + data if head else data)


@pytest.mark.filterwarnings("ignore:::PIL")
@settings(max_examples=250)
@given(
    st.sampled_from(ALL_FORMATS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.floats(0, 1),
    st.booleans(),
)
@example("PNG", [], 0.0, True)
def test_damaged_files_raise_nothing_but_image_errors(
    kind: str, changes: list[tuple[float, int]], keep: float, at_head: bool
) -> None:
    data = bytearray(FILES[kind])
    reach = 120 if at_head else len(data) - 1  # most of what can go wrong is decided by the head
    for place, value in changes:
        data[min(round(place * reach), len(data) - 1)] = value
    _read_or_refuse(bytes(data if keep > 0.5 else data[: round(2 * keep * len(data))]))
