"""``agelens webcam``: a window under a screen that nobody sees, and what is said where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from agelens import OutputError, cli
from agelens.cli.window import Window
from agelens.images import read_image
from agelens.video.clip import ClipReader

from .clips import write_frames

Pixels = npt.NDArray[np.uint8]
pytest.importorskip("tkinter")


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A display of 800 x 600 pixels."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("there is no Xvfb here")
    reading, writing = os.pipe()
    command = [server, "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        yield f":{number}"
        process.terminate()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """What the camera sees: a real face."""
    photos = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
    face = np.asarray(Image.fromarray(read_image(photos[0])).resize((240, 240)))
    return write_frames(tmp_path / "film.mp4", [face] * 12)


def test_a_window_shows_pictures_until_it_is_closed(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    window = Window("agelens")
    red = np.zeros((100, 200, 3), np.uint8)
    red[..., 0] = 255
    assert window.show(red)
    root: Any = window._root
    assert (root.winfo_width(), root.winfo_height()) == (200, 100)
    root.focus_force()
    root.event_generate("<Key-q>")
    window.show(red)
    assert not window.show(red)
    window.close()


def test_the_camera_is_shown_and_written(
    screen: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.setattr("agelens.cli.webcam.open_video", lambda number: ClipReader(film))
    shown: list[Pixels] = []
    show = Window.show
    monkeypatch.setattr(Window, "show", lambda window, image: shown.append(image) or show(window, image))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["webcam", "--out", str(tmp_path / "seen.mp4"), "--model", "lite"])
    assert stopped.value.code == 0
    assert "wrote" in capsys.readouterr().err
    assert len(shown) == 12
    with ClipReader(tmp_path / "seen.mp4") as clip:
        assert len(list(clip.frames())) == 12


def test_without_a_screen_another_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(OutputError, match="there is no screen for a window; use agelens video"):
        Window("agelens")


def test_without_a_camera_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["webcam", "77"])
    assert stopped.value.code == 2
    assert "camera 77: is not there" in capsys.readouterr().err
