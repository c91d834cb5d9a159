"""Writing files so that a killed process leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from agelens.errors import OutputError

__all__ = ["atomic_path", "check_file", "make_folder", "real_path", "staged_folder", "write_text"]


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the name ``path`` when the block ends well.

    Raises:
        OutputError: the file cannot be written there.
    """
    path = real_path(path) if path.is_symlink() else path
    temporary = path.with_name(f".agelens-{secrets.token_hex(6)}.tmp")
    try:
        _check_regular(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder within ``folder``, which is made; what is in it moves up one level when the block ends well.

    Files and folders of the same names make room; others stay. Where the block fails, all stays as it was.

    Raises:
        OutputError: the folder cannot be written in.
    """
    stage = make_folder(folder) / f".agelens-{secrets.token_hex(6)}.tmp"
    try:
        stage.mkdir()
        yield stage
        for made in sorted(stage.iterdir()):
            place = folder / made.name
            if made.is_dir() and place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            made.replace(place)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written in: {error.strerror or error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text at once; undecodable bytes of file names become ``\\udcff`` and the like, as in JSON.

    Raises:
        OutputError: the file cannot be written there.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_file(path: Path) -> None:
    """See, before the work, that a file can be written there; its folder is made.

    Raises:
        OutputError: its folder cannot be written in, or the name is a folder's or one that no file can have.
    """
    make_folder(path.parent)
    try:
        _check_regular(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it, and see that files can be written in it.

    Raises:
        OutputError: it cannot be made, is a file, or cannot be written in.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".agelens-{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path}: no folder that can be written in: {error.strerror or error}") from error
    return path


def real_path(path: Path) -> Path:
    """The path with every link followed; one that leads in a circle stays, where ``Path.resolve`` would raise."""
    return Path(os.path.realpath(path))


def _check_regular(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):  # to replace a device or a pipe by a file would break it
            raise OutputError(f"{path}: is there already and no regular file; choose another name")
