"""How soon the web page answers for a photo of 12 megapixels, seen from a browser.

    python benchmarks/app.py [--rounds 5]

Starts ``agelens app`` and Chromium, and tells the seconds from handing the file to the page until its age is there: the
upload over the loopback, decoding, finding, estimating, drawing, and the page itself. The first round opens the model.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

EXAMPLE = Path(__file__).parents[1] / "examples" / "eileen-collins.jpg"
COMMAND = [sys.executable, "-c", "from agelens.cli import main; main()", "app", "--port"]


def large_photo(path: Path) -> Path:
    """The portrait within a photo of 4000 x 3000 pixels."""
    canvas = np.random.default_rng(0).integers(90, 160, (300, 400, 3), dtype=np.uint8)
    photo = Image.fromarray(canvas).resize((4000, 3000))
    with Image.open(EXAMPLE) as portrait:
        photo.paste(portrait.resize((2000, 2000)), (1000, 500))
    photo.save(path, quality=90)
    return path


def answer_seconds(page: Page, address: str, photo: Path) -> float:
    """Seconds from the file to its age."""
    page.goto(address)
    page.get_by_role("button", name="Upload", exact=True).first.wait_for()
    started = time.monotonic()
    page.set_input_files("input[type=file]", photo)
    page.get_by_text("18 or older").wait_for()
    return time.monotonic() - started


def wait_for(url: str) -> None:
    """Wait until the page is served."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own address)
                return
        except OSError:
            time.sleep(0.5)


def main() -> None:
    """Serve, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen([*COMMAND, str(port)]) as server:
        photo = large_photo(Path(folder) / "large.jpg")
        try:
            wait_for(f"http://127.0.0.1:{port}/_stcore/health")
            with sync_playwright() as driver:
                browser = driver.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                )
                page = browser.new_page()
                times = [answer_seconds(page, f"http://127.0.0.1:{port}", photo) for _ in range(given.rounds)]
                browser.close()
        finally:
            server.terminate()
    print(f"first {times[0]:.2f} s; then {min(times[1:]):.2f} to {max(times[1:]):.2f} s")


if __name__ == "__main__":
    main()
