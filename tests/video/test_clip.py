"""Clips as people have them: turned, cut off, broken, of varying rate; and what is no clip."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from agelens import VideoError
from agelens.video.clip import ClipReader
from agelens.video.clock import Clock
from agelens.video.frames import RawFrame
from agelens.video.sources import open_video

from .clips import face_frame, write_frames

Pixels = npt.NDArray[np.uint8]


def _read(source: Path | bytes | str) -> tuple[list[RawFrame], ClipReader]:
    with ClipReader(source) as clip:
        return list(clip.frames()), clip


def test_frames_come_in_order_with_their_times_and_pixels(tmp_path: Path, walking: list[Pixels]) -> None:
    frames, clip = _read(write_frames(tmp_path / "a.mp4", walking))
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(30)])
    assert (clip.rate, clip.count, clip.broken) == (25, 30, 0)
    for frame, image in zip(frames, walking, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 6


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_a_clip_of_no_frames_a_second_is_read(tmp_path: Path, walking: list[Pixels], name: str) -> None:
    path = write_frames(tmp_path / name, walking, bf="0")
    data = bytearray(path.read_bytes())
    if name == "a.avi":  # microseconds a frame, and the stream's scale and rate
        start = data.index(b"avih") + 8
        data[start : start + 4] = bytes(4)
        start = data.index(b"strh") + 8 + 20
        data[start : start + 8] = struct.pack("<II", 1, 0)
    else:  # how long each frame is shown
        start = data.index(b"stts") + 8
        (entries,) = struct.unpack_from(">I", data, start)
        for entry in range(entries):
            struct.pack_into(">I", data, start + 8 + 8 * entry, 0)
    path.write_bytes(data)
    frames, clip = _read(path)
    assert len(frames) == 30
    assert 0 < clip.rate <= 240
    assert all(one.time < other.time for one, other in itertools.pairwise(frames))


def test_a_clip_is_read_from_its_bytes_too(tmp_path: Path, walking: list[Pixels]) -> None:
    path = write_frames(tmp_path / "a.mp4", walking)
    ours, theirs = _read(path)[0], _read(path.read_bytes())[0]
    assert all((one.image == other.image).all() for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["a.mkv", "a.mov", "a.avi", "a.ts", "a.gif"])
def test_many_kinds_of_file_are_read(tmp_path: Path, walking: list[Pixels], name: str) -> None:
    kind = {"codec": "gif", "pix_fmt": "rgb8"} if name.endswith("gif") else {}
    frames, _ = _read(write_frames(tmp_path / name, walking[:10], **kind))  # type: ignore[arg-type]
    assert len(frames) == 10
    assert np.abs(frames[3].image.astype(int) - walking[3]).mean() < 20


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3), (0, 0)])
def test_a_turned_clip_is_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    image = face_frame([(60, 60)])
    frames, _ = _read(write_frames(tmp_path / "a.mp4", [image] * 3, rotation=rotation))
    wanted = np.rot90(image, turns)
    assert frames[0].image.shape == wanted.shape
    assert np.abs(frames[0].image.astype(int) - wanted).mean() < 6


def test_times_of_a_varying_rate_are_kept(tmp_path: Path, walking: list[Pixels]) -> None:
    times = np.cumsum([0, *[0.02, 0.1, 0.04] * 3]).tolist()
    frames, _ = _read(write_frames(tmp_path / "a.mp4", walking[:10], times=times))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)


def test_time_starts_with_the_first_frame(tmp_path: Path, walking: list[Pixels]) -> None:
    times = [7 + index / 25 for index in range(10)]
    frames, clip = _read(write_frames(tmp_path / "a.mkv", walking[:10], times=times))
    assert frames[0].time == 0
    assert clip.shift == pytest.approx(7, abs=0.01)


def test_ten_bits_become_eight(tmp_path: Path, walking: list[Pixels]) -> None:
    path = write_frames(tmp_path / "a.mp4", walking[:5], pix_fmt="yuv420p10le")
    frames, _ = _read(path)
    assert frames[0].image.dtype == np.uint8
    assert np.abs(frames[2].image.astype(int) - walking[2]).mean() < 6


def test_a_clip_that_is_cut_off_ends_there(tmp_path: Path, walking: list[Pixels]) -> None:
    whole = write_frames(tmp_path / "a.mkv", walking).read_bytes()
    frames, _ = _read(whole[: len(whole) * 2 // 3])
    assert 5 < len(frames) < 30


def test_an_mp4_without_its_index_is_refused(tmp_path: Path, walking: list[Pixels]) -> None:
    whole = write_frames(tmp_path / "a.mp4", walking).read_bytes()
    with pytest.raises(VideoError, match="cannot be read as a video"):
        ClipReader(whole[: len(whole) // 2])


def test_broken_frames_are_left_out_and_counted(tmp_path: Path, walking: list[Pixels]) -> None:
    data = bytearray(write_frames(tmp_path / "a.ts", walking).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1200] = os.urandom(1200)
    frames, _ = _read(bytes(data))
    assert 10 <= len(frames) <= 30
    assert all(later.time > one.time for one, later in itertools.pairwise(frames))


@pytest.mark.parametrize("seed", range(20))
def test_noise_in_a_clip_never_raises_anything_else(tmp_path: Path, walking: list[Pixels], seed: int) -> None:
    data = bytearray(write_frames(tmp_path / "a.mp4", walking[:8]).read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(0, len(data), 40):
        data[place] = random.integers(0, 256)
    with contextlib.suppress(VideoError):
        assert _read(bytes(data))[0]


def test_a_sound_alone_is_no_video(tmp_path: Path, walking: list[Pixels]) -> None:
    with av.open(str(write_frames(tmp_path / "a.mp4", walking, sound="aac"))) as whole:
        track = whole.streams.audio[0]
        with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as out:
            stream = out.add_stream_from_template(track)
            for packet in whole.demux(track):
                if packet.dts is not None:
                    packet.stream = stream
                    out.mux(packet)
    with pytest.raises(VideoError, match="has no pictures, only audio"):
        ClipReader(tmp_path / "sound.m4a")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a video" * 50, b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(VideoError, match="wanted a video file") as caught:
            ClipReader(source)
        assert "\n" not in str(caught.value)


def test_a_playlist_opens_no_other_file(tmp_path: Path, walking: list[Pixels]) -> None:
    write_frames(tmp_path / "a.ts", walking)
    lists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n",
        "a.ffconcat": "ffconcat version 1.0\nfile a.ts\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(VideoError, match="cannot be read"):
            ClipReader(tmp_path / name)


def test_a_name_that_looks_like_a_protocol_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="no such file"):
        ClipReader("concat:a.ts|b.ts")


@pytest.mark.parametrize("name", ["missing.mp4", "", "\0", "x" * 5000])
def test_missing_files_are_told(name: str) -> None:
    with pytest.raises(VideoError, match=r"no such file|a folder"):
        ClipReader(name)


def test_a_camera_that_is_not_there_is_told() -> None:
    with pytest.raises(VideoError, match="camera 77: is not there"):
        open_video(77)


def test_a_stream_that_nobody_sends_is_told() -> None:
    with pytest.raises(VideoError, match="wanted a stream that answers"):
        open_video("http://127.0.0.1:9/a.mp4")


def test_frames_beyond_the_limit_are_refused(
    tmp_path: Path, walking: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_frames(tmp_path / "a.mp4", walking[:3])
    monkeypatch.setattr("agelens.video.clip.MAX_FRAME_PIXELS", 320 * 240 - 1)
    with pytest.raises(VideoError, match="320 x 240 pixels; at most 76,799"):
        ClipReader(path)


def test_joined_parts_with_clocks_of_their_own_go_on(tmp_path: Path, walking: list[Pixels]) -> None:
    one = write_frames(tmp_path / "a.ts", walking[:10])
    other = write_frames(tmp_path / "b.ts", walking[10:20], times=[500 + index / 25 for index in range(10)])
    frames, _ = _read(one.read_bytes() + other.read_bytes() + one.read_bytes())
    times = [frame.time for frame in frames]
    assert len(frames) >= 27
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(len(frames) / 25, abs=0.2)


@pytest.mark.parametrize(
    ("shown", "times"),
    [
        ([5, 5.1, 5.2], [0, 0.1, 0.2]),
        ([None, None], [0, 0.1]),
        ([0, 0.5, 0.5, 0.6], [0, 0.5, 0.55, 0.6]),
        ([0, 10, 20], [0, 10, 20]),
        ([0, 0.1, 1e6, 1e6 + 0.1], [0, 0.1, 0.2, 0.3]),
        ([100, 100.1, 2, 2.1], [0, 0.1, 0.2, 0.3]),
    ],
)
def test_the_clock_rises_whatever_a_file_says(shown: list[float | None], times: list[float]) -> None:
    clock = Clock(10)
    assert [clock.of(one) for one in shown] == pytest.approx(times)


def test_pixels_that_are_no_squares_become_squares(tmp_path: Path, walking: list[Pixels]) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width = walking[0].shape[:2]
        stream.pix_fmt, stream.codec_context.sample_aspect_ratio = "yuv420p", Fraction(2)
        for image in walking[:3]:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    assert _read(tmp_path / "a.mp4")[0][0].image.shape == (240, 640, 3)


def test_frames_that_decoders_pass_over_are_counted(tmp_path: Path, walking: list[Pixels]) -> None:
    data = bytearray(write_frames(tmp_path / "a.avi", walking).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    frames, clip = _read(bytes(data))
    assert clip.broken >= 30 - len(frames)


@pytest.mark.parametrize("source", [None, True, 1.5, bytearray(b"x")])
def test_what_is_no_source_is_a_type_error(source: object) -> None:
    with pytest.raises(TypeError, match="wanted a path, bytes, an address or a camera's number"):
        open_video(source)  # type: ignore[arg-type]


def test_a_cameras_device_is_a_camera() -> None:
    with pytest.raises(VideoError, match="camera 77: is not there"):
        open_video("/dev/video77")


def test_the_clip_is_open_until_all_who_use_it_have_closed_it(tmp_path: Path, walking: list[Pixels]) -> None:
    clip = ClipReader(write_frames(tmp_path / "a.mp4", walking[:3], sound="aac"))
    clip.keep_sound()
    clip.close()
    assert len(list(clip.frames())) == 3
    clip.close()
