"""Files of frames: pictures, times, sound, and what a break leaves."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from agelens import OutputError
from agelens.video.clip import ClipReader
from agelens.video.writing import ClipWriter, write_clip

from .clips import face_frame, write_frames

Pixels = npt.NDArray[np.uint8]


def _copy(source: Path, target: Path, stop: int | None = None) -> None:
    with ClipReader(source) as clip, write_clip(target, clip) as out:
        for frame in itertools.islice(clip.frames(), stop):
            out.write(frame.image, frame.time)


def _frames(path: Path) -> list[tuple[float, Pixels]]:
    with ClipReader(path) as clip:
        return [(frame.time, frame.image) for frame in clip.frames()]


def _tracks(path: Path) -> Iterator[tuple[str, str, float]]:
    with av.open(str(path)) as container:
        for stream in container.streams:
            yield stream.type, stream.codec_context.name, float((stream.duration or 0) * (stream.time_base or 0))


def _loudness(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(np.abs(frame.to_ndarray().astype(np.float64)).mean()) for frame in container.decode(audio=0)]


@pytest.mark.parametrize("name", ["b.mp4", "b.m4v", "b.mov", "b.mkv"])
def test_a_copy_has_the_same_pictures_at_the_same_times(tmp_path: Path, walking: list[Pixels], name: str) -> None:
    times = np.cumsum([0, *[0.02, 0.1, 0.04] * 9]).tolist()
    source = write_frames(tmp_path / "a.mp4", walking[:28], times=times)
    _copy(source, tmp_path / name)
    copied = _frames(tmp_path / name)
    assert [time for time, _ in copied] == pytest.approx(times, abs=0.002)
    for (_, image), wanted in zip(copied, walking, strict=False):
        assert np.abs(image.astype(int) - wanted).mean() < 8
    assert ("video", "h264") in [track[:2] for track in _tracks(tmp_path / name)]


@pytest.mark.parametrize(
    ("source", "sound", "kept"),
    [("a.mp4", "aac", "aac"), ("a.mkv", "libmp3lame", "mp3"), ("a.mkv", "pcm_s16le", "aac"), ("a.mkv", "flac", "flac")],
)
def test_the_sound_is_kept(tmp_path: Path, walking: list[Pixels], source: str, sound: str, kept: str) -> None:
    path = write_frames(tmp_path / source, walking, sound=sound)
    _copy(path, tmp_path / "b.mp4")
    kinds = {kind: codec for kind, codec, _ in _tracks(tmp_path / "b.mp4")}
    assert kinds["audio"].startswith(kept)
    seconds = [length for kind, _, length in _tracks(tmp_path / "b.mp4") if kind == "audio"]
    assert seconds == pytest.approx([1.2], abs=0.1)
    loud = _loudness(tmp_path / "b.mp4")
    assert np.median(loud) > 0.05


def test_the_sound_ends_with_the_pictures_where_the_copy_stops_early(tmp_path: Path, walking: list[Pixels]) -> None:
    path = write_frames(tmp_path / "a.mp4", walking * 3, sound="aac")
    _copy(path, tmp_path / "b.mp4", stop=25)
    lengths = {kind: length for kind, _, length in _tracks(tmp_path / "b.mp4")}
    assert lengths["video"] == pytest.approx(1.0, abs=0.05)
    assert lengths["audio"] == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize(("width", "height"), [(321, 241), (33, 99)])
def test_odd_sizes_lose_a_row_or_a_column(tmp_path: Path, width: int, height: int) -> None:
    image = face_frame([(20, 40)] if width > 40 else [], width=width, height=height)
    source = write_frames(tmp_path / "a.mkv", [image] * 3, codec="ffv1", pix_fmt="bgr0")
    _copy(source, tmp_path / "b.mp4")
    assert _frames(tmp_path / "b.mp4")[0][1].shape == (height - 1, width - 1, 3)


def test_frames_that_change_their_size_keep_that_of_the_first(tmp_path: Path, walking: list[Pixels]) -> None:
    with ClipReader(write_frames(tmp_path / "a.mp4", walking)) as clip, write_clip(tmp_path / "b.mp4", clip) as out:
        out.write(walking[0], 0.0)
        out.write(walking[1][:100, :500], 0.1)
        out.write(np.pad(walking[2], ((0, 60), (0, 40), (0, 0))), 0.2)
    assert [image.shape for _, image in _frames(tmp_path / "b.mp4")] == [(240, 320, 3)] * 3


def _copy_until(error: type[BaseException], source: Path, target: Path) -> None:
    with ClipReader(source) as clip, write_clip(target, clip) as out:
        for frame in clip.frames():
            if frame.index == 12:
                raise error
            out.write(frame.image, frame.time)


def test_an_interrupted_copy_is_a_file_that_plays(tmp_path: Path, walking: list[Pixels]) -> None:
    source = write_frames(tmp_path / "a.mp4", walking, sound="aac")
    with pytest.raises(KeyboardInterrupt):
        _copy_until(KeyboardInterrupt, source, tmp_path / "b.mp4")
    assert len(_frames(tmp_path / "b.mp4")) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_another_failure_leaves_the_old_file(tmp_path: Path, walking: list[Pixels]) -> None:
    target = tmp_path / "b.mp4"
    target.write_bytes(b"old")
    source = write_frames(tmp_path / "a.mp4", walking)
    with pytest.raises(RuntimeError):
        _copy_until(RuntimeError, source, target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("name", ["b.webm", "b", "b.txt"])
def test_other_kinds_of_file_are_refused(tmp_path: Path, walking: list[Pixels], name: str) -> None:
    source = write_frames(tmp_path / "a.mp4", walking[:3])
    with pytest.raises(OutputError, match=r"wanted \.mp4, \.m4v, \.mov, \.mkv"):
        _copy(source, tmp_path / name)


def test_a_clip_of_one_frame_with_sound_is_written_however_fast_it_ends(tmp_path: Path, walking: list[Pixels]) -> None:
    source = write_frames(tmp_path / "a.mp4", walking[:1], sound="aac")
    for _ in range(20):
        _copy(source, tmp_path / "b.mp4")
    assert {kind for kind, _, _ in _tracks(tmp_path / "b.mp4")} == {"video", "audio"}


@pytest.mark.parametrize(("source", "sound", "target"), [("a.mkv", "flac", "b.mov"), ("a.mkv", "mp2", "b.mp4")])
def test_sound_that_a_file_cannot_hold_is_encoded_anew(
    tmp_path: Path, walking: list[Pixels], source: str, sound: str, target: str
) -> None:
    _copy(write_frames(tmp_path / source, walking, sound=sound), tmp_path / target)
    kinds = {kind: codec for kind, codec, _ in _tracks(tmp_path / target)}
    assert kinds["audio"].startswith("aac")
    assert np.median(_loudness(tmp_path / target)) > 0.05


@pytest.mark.parametrize("rate", [8_000, 11_025, 192_000])
def test_sound_of_any_rate_is_encoded_anew(tmp_path: Path, walking: list[Pixels], rate: int) -> None:
    _copy(write_frames(tmp_path / "a.mkv", walking, sound="pcm_s16le", sound_rate=rate), tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as written:
        assert written.streams.audio[0].rate == 48_000
    assert len(_frames(tmp_path / "b.mp4")) == 30


def test_joined_parts_are_written(tmp_path: Path, walking: list[Pixels]) -> None:
    one = write_frames(tmp_path / "a.ts", walking[:15], sound="aac").read_bytes()
    (tmp_path / "c.ts").write_bytes(one + one)
    _copy(tmp_path / "c.ts", tmp_path / "b.mp4")
    assert len(_frames(tmp_path / "b.mp4")) >= 28


@pytest.mark.parametrize(("rows", "kind"), [(720, 1), (240, 6)])
def test_colours_are_kept_and_named(tmp_path: Path, rows: int, kind: int) -> None:
    image = np.full((rows, 640, 3), (200, 60, 90), np.uint8)
    _copy(write_frames(tmp_path / "a.mkv", [image] * 3, codec="ffv1", pix_fmt="bgr0"), tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as written:
        frame = next(written.decode(video=0))
        assert frame.colorspace == kind
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - image).max() < 8


def test_a_second_interruption_does_not_lose_the_file(tmp_path: Path, walking: list[Pixels]) -> None:
    source = write_frames(tmp_path / "a.mp4", walking)
    handlers = []
    close = ClipWriter.close

    def watched(writer: ClipWriter) -> None:
        handlers.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        close(writer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClipWriter, "close", watched)
        with pytest.raises(KeyboardInterrupt):
            _copy_until(KeyboardInterrupt, source, tmp_path / "b.mp4")
    assert handlers == [(signal.SIG_IGN, signal.SIG_IGN)]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert (tmp_path / "b.mp4").exists()


def test_a_file_without_frames_is_not_written(tmp_path: Path, walking: list[Pixels]) -> None:
    with pytest.raises(OutputError, match="no frame"):
        _copy(write_frames(tmp_path / "a.mp4", walking[:3]), tmp_path / "b.mp4", stop=0)
    assert not (tmp_path / "b.mp4").exists()
