"""A photo in, an upright RGB array out; nothing in the file is trusted.

The only place that knows Pillow's modes, EXIF and the difference between a file, bytes, an array and a PIL image.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from agelens.errors import ImageError

__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS", "SUFFIXES", "ImageSource", "find_images", "read_image"]

ImageSource = str | os.PathLike[str] | bytes | npt.NDArray[Any] | Image.Image

# Pillow's reader of JPEG takes MPO too, which many phones write into a .jpg: a JPEG with a second picture behind it.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF")
SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"})
MAX_PIXELS: Final = 80_000_000
MAX_FILE_BYTES: Final = 512 * 1024 * 1024


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Read a photo as an upright RGB array.

    Args:
        source: a path, the bytes of a file, a PIL image, or an array: RGB or grey, (H, W), (H, W, 1), (H, W, 3) or
            (H, W, 4), uint8, uint16, or float within 0…1 or 0…255. (OpenCV's arrays are BGR: reverse them first.)
            Files may be JPEG, PNG, WebP, BMP, TIFF or GIF, of which the first frame is read. EXIF orientation is
            applied; transparent parts become white; 16 bits become 8.
        max_pixels: photos with more are refused, by their header, before anything is decoded. Pillow has a limit of
            its own above 178 million (``PIL.Image.MAX_IMAGE_PIXELS``).

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ImageError: the source is missing, empty, not an image, damaged or too large.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _decode(source, "image", max_pixels)
    name, stream = _open(source)
    with stream:
        try:
            image = Image.open(stream, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ImageError(f"{name}: too large: {error}; scale it down first") from None
        except Exception as error:  # Pillow's readers raise almost anything on bytes made to hurt
            raise ImageError(f"{name}: not an image that can be read; wanted {_formats()}") from error
        with image:
            return _decode(image, name, max_pixels)


def find_images(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """The files named, and every image file in the folders named and below them, each folder sorted by path.

    A path that is neither is passed on as it is, so that reading it reports what is wrong.

    Raises:
        ImageError: a folder holds no file with an image's suffix.
    """
    for path in map(Path, paths):
        if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises on a name that is too long)
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise ImageError(f"{path}: the folder holds no images; wanted files like {_formats()}")
        yield from inside


def _formats() -> str:
    return "JPEG, PNG, WebP, BMP, TIFF or GIF"


def _open(source: str | os.PathLike[str] | bytes) -> tuple[str, IO[bytes]]:
    if isinstance(source, bytes):
        _check_size("bytes", len(source))
        return "bytes", io.BytesIO(source)
    if isinstance(source, str | os.PathLike):
        return str(Path(source)), _open_file(Path(source))
    raise ImageError(f"a {type(source).__name__} is not an image; wanted a path, bytes, an array or a PIL image")


def _check_size(name: str, size: int) -> None:
    if size == 0:
        raise ImageError(f"{name}: empty; wanted {_formats()}")
    if size > MAX_FILE_BYTES:
        raise ImageError(f"{name}: {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")


def _open_file(path: Path) -> IO[bytes]:
    try:
        if path.is_dir():
            raise ImageError(f"{path}: a folder; name the images in it")
        if not path.exists():
            raise ImageError(f"{path}: no such file")
        if not path.is_file():  # a pipe or a device could hang or never end
            raise ImageError(f"{path}: not a regular file")
        _check_size(str(path), path.stat().st_size)
        return path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{str(path)!r}: cannot be opened: {reason}") from error


def _decode(image: Image.Image, name: str, max_pixels: int) -> npt.NDArray[np.uint8]:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"{name}: {width} x {height} pixels; at most {max_pixels:,} are read: scale it down first")
    if width == 0 or height == 0:
        raise ImageError(f"{name}: {width} x {height} pixels; there is nothing in it")
    try:
        return np.asarray(_to_rgb(_upright(image)))
    except MemoryError as error:
        raise ImageError(f"{name}: too little memory for {width} x {height} pixels; scale it down first") from error
    except Exception as error:  # as above: a damaged body fails in as many ways as there are codecs
        raise ImageError(f"{name}: damaged or cut short ({error})") from error


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        # without a turn to make, the copy that this would return costs as much memory as the photo
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # broken EXIF data says nothing about the picture
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if np.issubdtype(values.dtype, np.floating):
        top = 1.0 if np.nanmax(values, initial=0) <= 2 else 255.0  # above 1 a little: what resampling leaves behind
        return np.asarray(np.rint(np.clip(np.nan_to_num(values / top), 0, 1) * 255), dtype=np.uint8)
    # 16 bits a sample, whatever the integer that holds them
    return np.asarray(np.clip(values, 0, 65535) // 257, dtype=np.uint8)


def _from_array(array: npt.NDArray[Any], max_pixels: int) -> npt.NDArray[np.uint8]:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.size == 0:
        raise ImageError(f"an array of shape {array.shape} is not an image; wanted (H, W), (H, W, 3) or (H, W, 4)")
    if (array.dtype.kind, array.dtype.itemsize) not in (("u", 1), ("u", 2)) and array.dtype.kind != "f":
        raise ImageError(f"an array of {array.dtype} is not an image; wanted uint8, uint16 or floats")
    if array.shape[0] * array.shape[1] > max_pixels:
        raise ImageError(f"an array of {array.shape[1]} x {array.shape[0]} pixels; at most {max_pixels:,} are read")
    values = _to_8_bits(array)
    if channels == 4:
        return np.array(_to_rgb(Image.fromarray(values, "RGBA")))
    if channels == 1:
        return np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(values)
