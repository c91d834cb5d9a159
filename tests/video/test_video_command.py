"""``agelens video``: tables, files, lines of JSON, and what cannot be done."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from agelens import cli
from agelens.images import read_image
from agelens.video.clip import ClipReader

from .clips import face_frame, write_frames

Pixels = npt.NDArray[np.uint8]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the command with the light model and gives its status and what it printed."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["video", *map(str, arguments), "--model", "lite"])
        printed = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of a real face that moves, with sound."""
    photos = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
    face = np.asarray(Image.fromarray(read_image(photos[0])).resize((200, 200)))
    frames = []
    for index in range(20):
        frame = np.full((240, 420, 3), 90, np.uint8)
        frame[20:220, 10 + 9 * index : 210 + 9 * index] = face
        frames.append(frame)
    return write_frames(tmp_path_factory.mktemp("clips") / "party.mp4", frames, sound="aac")


def test_a_table_has_a_line_for_each_person(run: Run, party: Path) -> None:
    status, out, err = run(party)
    assert status == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:4] == ["person", "seen", "frames", "age"]
    row = next(line for line in lines if line and line[0] == "1")
    assert row[3] == "20"
    assert 25 < float(row[4]) < 50
    assert err.startswith("20 frames, 0.8 s of video")


def test_the_file_has_boxes_and_the_sound(run: Run, party: Path, tmp_path: Path) -> None:
    assert run(party, tmp_path / "seen.mp4")[0] == 0
    with ClipReader(tmp_path / "seen.mp4") as clip, ClipReader(party) as original:
        assert clip.sound_stream.codec_context.name == "aac"
        pairs = list(zip(clip.frames(), original.frames(), strict=True))
    assert len(pairs) == 20
    drawn, plain = pairs[-1][0].image.astype(int), pairs[-1][1].image.astype(int)
    blue = (drawn[..., 2] - drawn[..., 0]) - (plain[..., 2] - plain[..., 0])
    assert (blue > 80).sum() > 200


def test_json_has_a_line_for_each_frame(run: Run, party: Path) -> None:
    status, out, _ = run(party, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [line["frame"] for line in lines] == list(range(20))
    assert list(lines[0]) == ["frame", "time", "tracks", "error"]
    track = lines[-1]["tracks"][0]
    assert list(track) == [
        *("track", "box", "score", "age", "interval", "level", "gender", "gender_confidence"),
        *("frames", "since", "raw_age"),
    ]
    assert (track["track"], track["frames"], track["gender"]) == (1, 20, "female")


def test_csv_has_a_line_for_each_person(run: Run, party: Path, tmp_path: Path) -> None:
    assert run(party, "--csv", tmp_path / "a.csv", "--level", 0.5)[0] == 0
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1
    assert rows[0]["level"] == "0.5"
    assert float(rows[0]["low"]) < float(rows[0]["age"]) < float(rows[0]["high"])


def test_only_so_many_seconds_are_looked_at(run: Run, party: Path, tmp_path: Path) -> None:
    assert run(party, tmp_path / "seen.mkv", "--seconds", 0.4, "--detect-every", 2)[0] == 0
    with ClipReader(tmp_path / "seen.mkv") as clip:
        assert len(list(clip.frames())) == 10


def test_a_video_without_faces_says_so(run: Run, tmp_path: Path) -> None:
    status, out, err = run(write_frames(tmp_path / "a.mp4", [face_frame([])] * 5))
    assert (status, out) == (0, "")
    assert "no face found" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4"], "missing.mp4: no such file"),
        (["99"], "camera 99: is not there"),
        (["PARTY", "PARTY"], "is one of the inputs; choose another name for OUT"),
        (["PARTY", "--csv", "PARTY"], "is one of the inputs; choose another name for --csv"),
        (["PARTY", "a.webm"], "wanted .mp4, .m4v, .mov, .mkv"),
        (["PARTY", "--level", "0.7"], "--level"),
        (["PARTY", "--detect-every", "0"], "--detect-every"),
        (["PARTY", "--seconds", "-1"], "--seconds"),
        (["PARTY", "--recognise", "nobody.onnx"], "nobody.onnx"),
        (["PARTY", "/dev/null/a.mp4"], "/dev/null"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    run: Run, party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = party.read_bytes()
    status, out, err = run(*[str(party) if one == "PARTY" else one for one in arguments])
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert party.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_the_systems_end_leave_a_file_that_plays(tmp_path: Path, sent: signal.Signals) -> None:
    frames = [face_frame([(100, 100)], width=640, height=480)] * 1500
    source = write_frames(tmp_path / "long.mp4", frames)
    target = tmp_path / "seen.mp4"
    command = [
        sys.executable,
        "-c",
        "from agelens.cli import main; main()",
        "video",
        str(source),
        str(target),
        "--json",
        "--model",
        "lite",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        os.kill(process.pid, sent)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    with ClipReader(target) as clip:
        assert 30 <= len(list(clip.frames())) < 1500
    assert not list(tmp_path.glob(".agelens*"))


def test_a_reader_that_has_seen_enough_leaves_the_file(tmp_path: Path) -> None:
    source = write_frames(tmp_path / "long.mp4", [face_frame([(100, 100)])] * 400)
    target = tmp_path / "seen.mp4"
    command = [
        sys.executable,
        "-c",
        "from agelens.cli import main; main()",
        "video",
        str(source),
        str(target),
        "--json",
    ]
    with subprocess.Popen([*command, "--model", "lite"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    with ClipReader(target) as clip:
        assert 1 <= len(list(clip.frames())) < 400


def test_a_file_that_failed_is_not_said_to_be_there(
    run: Run, party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agelens.video.writing.ClipWriter._encode", full)
    status, _, err = run(party, tmp_path / "seen.mp4")
    assert status == 2
    assert "No space left on device" in err
    assert "has them" not in err
    assert not (tmp_path / "seen.mp4").exists()


def test_sound_that_is_lost_at_the_very_end_is_told(
    run: Run, party: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no such layout")

    monkeypatch.setattr("agelens.video.sound.Sound._mux", broken)
    status, _, err = run(party, tmp_path / "seen.mp4")
    assert status == 0
    assert "its sound could not be written (no such layout)" in err
    with ClipReader(tmp_path / "seen.mp4") as clip:
        assert len(list(clip.frames())) == 20
