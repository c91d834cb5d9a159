"""The app in a real browser: photos, a clip and a camera, at desktop and phone width.

Needs Chromium (Debian's package chromium); screenshots go into the folder AGELENS_SCREENSHOTS where that is set.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from agelens.images import read_image

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
EXAMPLE = Path(__file__).parents[2] / "examples" / "eileen-collins.jpg"
PATIENCE = 30_000
OURS = ("http://127.0.0.1:", "blob:", "data:")
CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
PLAYABLE = "() => { const film = document.querySelector('video'); return film && film.readyState && film.duration; }"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of the browser's driver
]


def _clip(path: Path, frames: int, codec: str, pix_fmt: str, side: int = 200) -> Path:
    """The astronaut's face, moving."""
    face = np.asarray(Image.fromarray(read_image(EXAMPLE)).resize((side, side)))
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 240, pix_fmt
        for index in range(frames):
            frame = np.full((240, 480, 3), 90, np.uint8)
            left = 20 + round(100 + 100 * np.sin(index / 12))
            frame[20 : 20 + side, left : left + side] = face
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = index
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running app, and a training in its runs."""
    runs = tmp_path_factory.mktemp("runs")
    (runs / "first").mkdir()
    (runs / "first/metrics.csv").write_text("epoch,train_mae,val_mae\n1,9,8\n2,7,6\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from agelens.cli import main; main()", "app", "--port", str(port)]
    with subprocess.Popen([*command, "--runs", str(runs)]) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own address)
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail("the app did not start")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, whose camera plays a clip."""
    film = _clip(tmp_path_factory.mktemp("film") / "camera.mjpeg", 100, "mjpeg", "yuvj420p")
    with sync_playwright() as driver:
        chosen = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*QUIET, *CAMERA, f"--use-file-for-fake-video-capture={film}"]
        )
        yield chosen
        chosen.close()


@pytest.fixture(params=[(1280, 900, "light"), (390, 844, "dark")], ids=["desktop", "phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page at desktop and at phone width; whatever it asks of other machines is written down, and refused."""
    width, height, scheme = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["camera", "clipboard-read"]
    )
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    elsewhere: list[str] = []
    opened.on("request", lambda one: None if one.url.startswith(OURS) else elsewhere.append(one.url))
    yield opened
    assert elsewhere == [], "nothing is asked of others"
    context.close()


def _seen(page: Page, name: str) -> None:
    """Keep a picture, and see that nothing is wider than the screen."""
    page.wait_for_function(
        "document.querySelector('[data-testid=stMain]').scrollWidth <= window.innerWidth", timeout=5000
    )
    folder = os.environ.get("AGELENS_SCREENSHOTS")
    if folder:
        size = page.viewport_size or {"width": 0, "height": 0}
        page.wait_for_timeout(1500)
        page.screenshot(path=Path(folder) / f"{name}-{size['width']}.png")


def _open(page: Page, address: str, name: str = "") -> None:
    page.goto(f"{address}/{name}")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=PATIENCE)


def test_photos_are_uploaded_and_ages_seen(page: Page, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    _open(page, address)
    page.set_input_files("input[type=file]", [EXAMPLE, broken])
    expect(page.get_by_text("years", exact=False).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("not an image that can be read")).to_be_visible()
    expect(page.get_by_text("18 or older")).to_be_visible()
    expect(page.locator(CHART).first).to_be_visible()
    _seen(page, "photos")
    with page.expect_download() as started:
        page.get_by_role("button", name="JSON").click()
    assert b'"gender": "female"' in Path(started.value.path()).read_bytes()


def test_a_photo_is_pasted(page: Page, address: str) -> None:
    _open(page, address)
    page.get_by_role("button", name="Upload").first.focus()
    page.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'pasted.jpg', {type: 'image/jpeg'}));
            document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }""",
        list(EXAMPLE.read_bytes()),
    )
    expect(page.get_by_role("heading", name="pasted.jpg")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("18 or older")).to_be_visible(timeout=PATIENCE)


def test_a_file_beyond_the_limit_is_refused_and_the_page_goes_on(page: Page, address: str, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(EXAMPLE.read_bytes() + bytes(200 * 10**6))
    _open(page, address)
    page.set_input_files("input[type=file]", [large])
    expect(page.get_by_text("must be 200.0MB or smaller").first).to_be_visible(timeout=PATIENCE)
    page.set_input_files("input[type=file]", [EXAMPLE])
    expect(page.get_by_text("18 or older")).to_be_visible(timeout=PATIENCE)


def test_a_clip_is_followed_and_played(page: Page, address: str, tmp_path: Path) -> None:
    _open(page, address, "video")
    page.set_input_files("input[type=file]", _clip(tmp_path / "walk.mp4", 60, "libx264", "yuv420p"))
    page.get_by_role("button", name="Follow the faces").click()
    expect(page.get_by_text("Person 1")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("60 frames")).to_be_visible()
    assert page.wait_for_function(PLAYABLE).json_value() == pytest.approx(2.4, abs=0.1)
    _seen(page, "video")
    with page.expect_download() as started:
        page.get_by_role("button", name="MP4", exact=True).click()
    with av.open(str(started.value.path())) as film:
        assert film.streams.video[0].codec_context.name == "h264"


def test_a_clip_as_large_as_the_limit_is_taken(page: Page, address: str, tmp_path: Path) -> None:
    clip = _clip(tmp_path / "large.mp4", 25, "libx264", "yuv420p")
    with clip.open("ab") as file:  # what is behind a clip's last box is passed over
        file.truncate(200 * 10**6)
    _open(page, address, "video")
    page.set_input_files("input[type=file]", clip)
    page.get_by_role("button", name="Follow the faces").click()
    expect(page.get_by_text("Person 1")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("25 frames")).to_be_visible()


def test_the_camera_is_looked_at_live(page: Page, address: str) -> None:
    _open(page, address, "live")
    frame: Any = page.frame_locator("iframe[title*=webrtc]")
    frame.get_by_role("button", name="Start").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible(timeout=PATIENCE)
    moving = frame.locator("video")
    before = moving.evaluate("film => film.currentTime")
    page.wait_for_timeout(1500)
    assert moving.evaluate("film => film.currentTime") > before + 0.5
    _seen(page, "live")


@pytest.mark.parametrize(("name", "text"), [("model", "What it is not for"), ("training", "Least mean error")])
def test_the_other_pages_open(page: Page, address: str, name: str, text: str) -> None:
    _open(page, address, name)
    expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)
    _seen(page, name)


def test_everything_is_reached_by_the_keyboard(page: Page, address: str) -> None:
    _open(page, address)
    expect(page.get_by_role("button", name="Upload", exact=True).first).to_be_visible()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.textContent || '').trim().slice(0, 40)"))
    assert any("Upload" in text for text in reached)
    if (page.viewport_size or {"width": 0})["width"] > 800:
        assert all(any(name in text for text in reached) for name in ("Video", "Live", "Model", "Training"))
