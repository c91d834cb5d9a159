"""The pages of the app, without a browser: what is uploaded, what is shown, what is kept."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from agelens.app.settings import SETTINGS, AppSettings
from agelens.images import read_image

EXAMPLE = Path(__file__).parents[2] / "examples" / "eileen-collins.jpg"
SECONDS = 60
METRICS = """epoch,train_loss,train_mae,val_loss,val_mae,faces_per_second
1,3.5,7.0,3.2,6.5,118
2,3.1,6.0,3.0,5.5,120
"""


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of a small app."""
    monkeypatch.setenv(SETTINGS, AppSettings(runs=str(tmp_path / "runs"), max_megabytes=1, max_seconds=1).to_json())


def _page(name: str) -> AppTest:
    def script(name: str) -> None:
        import importlib

        importlib.import_module(f"agelens.app.{name}").page()

    return AppTest.from_function(script, default_timeout=SECONDS, args=(name,)).run()


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG")
    return stream.getvalue()


def _uploaded(page: str, *files: tuple[str, bytes]) -> AppTest:
    app = _page(page)
    given = [(name, data, "application/octet-stream") for name, data in files]
    app.file_uploader[0].set_value(given if app.file_uploader[0].accept_multiple_files else given[0]).run()
    assert not app.exception, app.exception[0].message
    return app


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real face that moves for two seconds."""
    face = np.asarray(Image.fromarray(read_image(EXAMPLE)).resize((200, 200)))
    path = tmp_path_factory.mktemp("clips") / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(20):
            frame = np.full((240, 320, 3), 90, np.uint8)
            frame[20:220, 10 + 4 * index : 210 + 4 * index] = face
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    return path.read_bytes()


def test_a_photo_gives_ages_and_downloads() -> None:
    app = _page("photos")
    assert not app.exception
    assert "nothing is kept" in app.info[0].value
    app = _uploaded("photos", (EXAMPLE.name, EXAMPLE.read_bytes()))
    assert not app.info
    assert app.subheader[0].value == EXAMPLE.name
    values = {metric.label: metric.value for metric in app.metric}
    assert 25 < float(values["Age"].removesuffix(" years")) < 50
    assert [label for label in values if "older" in label] == ["18 or older", "21 or older", "25 or older"]
    assert any("female" in caption.value for caption in app.caption)
    assert [button.label for button in app.download_button] == ["CSV", "JSON", "Pictures"]


def test_another_level_is_another_interval() -> None:
    app = _uploaded("photos", (EXAMPLE.name, EXAMPLE.read_bytes()))
    wide = app.metric[0].delta
    app.select_slider[0].set_value(0.5).run()
    assert app.metric[0].delta.startswith("50%")
    assert app.metric[0].delta != wide


def test_bad_photos_are_told_and_the_others_go_on() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    app = _uploaded(
        "photos",
        ("broken.jpg", b"no image"),
        ("large.png", _png(noise) * 5),
        ("black.png", _png(np.zeros((200, 200, 3), np.uint8))),
        ("tiny.png", _png(noise[:20, :20])),
        (EXAMPLE.name, EXAMPLE.read_bytes()),
    )
    errors = [one.value for one in app.error]
    assert "not an image that can be read" in errors[0]
    assert "larger than 1 MB" in errors[1]
    reasons = " ".join(one.value for one in app.warning)
    assert "all of it has one colour" in reasons
    assert "only 20 × 20 pixels" in reasons
    assert sum(metric.label == "Age" for metric in app.metric) == 1


def test_too_many_photos_are_said_to_be_too_many() -> None:
    picture = _png(np.zeros((64, 64, 3), np.uint8))
    app = _uploaded("photos", *[(f"{number}.png", picture) for number in range(52)])
    assert "the first 50 are looked at" in app.warning[0].value
    assert len(app.subheader) == 50


def test_what_was_removed_is_forgotten() -> None:
    app = _uploaded("photos", (EXAMPLE.name, EXAMPLE.read_bytes()))
    assert len(app.session_state["photos"]) == 1
    app.file_uploader[0].clear().run()
    assert not app.session_state["photos"]
    assert not app.metric


def test_a_video_is_followed(clip: bytes) -> None:
    app = _uploaded("clips", ("a.mp4", clip))
    assert [button.label for button in app.button] == ["Follow the faces"]
    app.button[0].click().run()
    assert not app.exception, app.exception[0].message
    assert app.metric[0].label == "Person 1"
    assert 25 < float(app.metric[0].value.removesuffix(" years")) < 50
    assert any("only the first 1 s were looked at" in caption.value for caption in app.caption)
    found = app.session_state["video"]
    assert found.video[4:8] == b"ftyp"
    assert [json.loads(line)["frame"] for line in found.lines] == list(range(11))
    labels = [metric.label for metric in app.metric]
    assert labels[1:4] == ["18 or older", "21 or older", "25 or older"]
    app.file_uploader[0].clear().run()  # as when the user comes back from another page
    assert app.metric[0].label == "Person 1"
    app.button[0].click().run()
    assert "video" not in app.session_state
    assert "Nothing is kept" in app.info[0].value


def test_a_video_without_faces_says_why(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((240, 320, 3), 90, np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    app = _uploaded("clips", ("grey.mp4", path.read_bytes()))
    app.button[0].click().run()
    assert not app.exception
    assert "all of it has one colour" in app.warning[0].value


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("no.mp4", lambda clip: b"no video" * 99, "no.mp4: cannot be read as a video"),
        ("cut.mp4", lambda clip: clip[: len(clip) // 2], "cut.mp4: cannot be read as a video"),
        ("large.mp4", lambda clip: clip + bytes(2**20), "larger than 1 MB"),
        ("$x$ [a](b).mp4", lambda clip: b"", "$x$ [a](b).mp4: cannot be read as a video"),
    ],
)
def test_a_bad_video_is_told(clip: bytes, name: str, make: Callable[[bytes], bytes], message: str) -> None:
    app = _uploaded("clips", (name, make(clip)))
    app.button[0].click().run()
    assert not app.exception
    assert message in app.error[0].value.replace("\\", "")


def test_the_model_page_has_the_card_without_dead_links() -> None:
    app = _page("model")
    assert not app.exception
    assert "What it is not for" in app.markdown[0].value
    assert "](../" not in app.markdown[0].value


def test_a_bundle_of_ones_own_has_its_facts(monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Path]) -> None:
    monkeypatch.setenv(SETTINGS, AppSettings((str(make_bundle()),)).to_json())
    app = _page("model")
    assert not app.exception
    assert app.title[0].value == "tiny"
    assert app.selectbox[0].options[0] == "tiny.onnx"


def test_a_detector_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    app = _page("photos")
    app.selectbox[1].set_value("mtcnn").run()
    assert not app.exception
    assert "pip install '.[mtcnn]'" in app.error[0].value


def test_a_training_is_followed(tmp_path: Path) -> None:
    app = _page("training")
    assert "No training in" in app.info[0].value
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(METRICS, encoding="utf-8")
    app = _page("training")
    assert not app.exception
    values = {metric.label: metric.value for metric in app.metric}
    assert values == {"Epochs": "2", "Least mean error": "5.50 years", "Faces a second": "120", "State": "running"}
    (run / "bundle.onnx").touch()
    assert {metric.label: metric.value for metric in _page("training").metric}["State"] == "exported"


@pytest.mark.parametrize("text", ["", "epoch\n", "a,b\n1,2\n", "epoch,val_mae\nx,y\n", "\0\0\0"])
def test_half_written_figures_do_not_break_the_page(tmp_path: Path, text: str) -> None:
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(text, encoding="utf-8")
    app = _page("training")
    assert not app.exception
    assert "No epoch" in app.info[0].value


def test_words_among_the_figures_are_passed_over(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    text = "epoch,val_mae,faces_per_second\n1,abc,x\n,5,1\n2,4.5,much\n"
    (run / "metrics.csv").write_text(text, encoding="utf-8")
    app = _page("training")
    assert not app.exception
    values = {metric.label: metric.value for metric in app.metric}
    assert (values["Epochs"], values["Least mean error"]) == ("2", "4.50 years")


def test_files_outside_the_runs_are_not_shown(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "metrics.csv").write_text(METRICS, encoding="utf-8")
    (tmp_path / "runs" / "linked").mkdir(parents=True)
    (tmp_path / "runs" / "linked" / "metrics.csv").symlink_to(elsewhere / "metrics.csv")
    (tmp_path / "runs" / "folder").symlink_to(elsewhere)
    assert "No training in" in _page("training").info[0].value
