"""A clip in, upright RGB frames out; nothing in the file is trusted."""

from __future__ import annotations

import io
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import av.error
import numpy as np
import numpy.typing as npt

from agelens.errors import VideoError
from agelens.video.clock import Clock
from agelens.video.frames import RawFrame, usable_rate

__all__ = ["ClipReader", "is_url"]

MAX_FRAME_PIXELS: Final = 40_000_000  # 8K has 33 million
TIMEOUT: Final = (10.0, 10.0)  # to open a stream, and to wait for its next packet, in seconds
TRIES: Final = 50  # to read on behind damage
WIDEST: Final = 4  # width of a pixel, in its heights
BROKEN_AT_ONCE: Final = 500  # packets in a row that cannot be decoded, after which nothing more is expected

# FFmpeg's readers of playlists open other files and addresses that these name: they are left out.
FILE_FORMATS: Final = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,apng,h264,hevc,m4v,mjpeg,mxf,nut,ivf,rm,wtv"
)
STREAM_PROTOCOLS: Final = "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtsp,rtmp,rtmps,crypto,hls"
URL: Final = re.compile(r"(https?|rtsps?|rtmps?|udp|rtp|tcp)://", re.IGNORECASE)


def is_url(source: object) -> bool:
    """Whether a source is the address of a stream."""
    return isinstance(source, str) and URL.match(source) is not None


class ClipReader:
    """A file or stream, read by FFmpeg. Broken frames are left out, and a file that is cut off ends where it does.

    As ``FrameSource``, and:

    Attributes:
        sound: packets of the first sound track that were read along with frames, each with what the file's clock was
            ahead by; None unless ``keep_sound`` was called.
        sound_stream: that track; None where there is none.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        """
        Raises:
            VideoError: it is missing, no video, or too large.
        """
        self.name = "the video" if isinstance(source, bytes) else os.fspath(source)
        self.live = False
        self.broken = 0
        self._users = 1
        self._container = _open(source, self.name)
        try:
            self._stream = _picture_stream(self._container, self.name)
        except VideoError:
            self._container.close()
            raise
        self.rate = usable_rate(self._stream.average_rate, self._stream.guessed_rate)
        self.count = self._stream.frames or _frames_of(self._container, self.rate)
        self._clock = Clock(self.rate)
        self.sound: deque[tuple[Any, float | None]] | None = None
        self.sound_stream: Any = next(iter(self._container.streams.audio), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keep_sound(self) -> None:
        """From now on append the sound's packets to ``sound``, which whoever takes them empties.

        The file stays open until whoever asked for this has called ``close`` too.
        """
        self._users += 1
        if self.sound_stream is not None:
            self.sound = deque()

    @property
    def shift(self) -> float:
        """What the file's clock is ahead of the frames' times by, in seconds."""
        return self._clock.shift or 0.0

    def close(self) -> None:
        """Give back the file, when all who use it have said so."""
        self._users -= 1
        if self._users <= 0:
            self._container.close()

    def frames(self) -> Iterator[RawFrame]:
        """The frames, in order; once.

        Raises:
            VideoError: not one frame can be decoded.
        """
        index = 0
        for frame in self._decoded():
            image = self._upright(frame)
            if image is not None:
                yield RawFrame(index, self._clock.of(frame.time), image)
                index += 1
        if index == 0:
            raise VideoError(f"{self.name}: no frame of it can be decoded; is it cut off or damaged?")
        self.broken = max(self.broken, self._stream.frames - index)  # some decoders pass over what is damaged

    def _decoded(self) -> Iterator[av.VideoFrame]:
        in_a_row = 0
        for packet in self._packets():
            if packet.stream is not self._stream:
                sound = self.sound  # another thread may take it away
                if sound is not None and packet.dts is not None:
                    sound.append((packet, self._clock.shift))
                continue
            try:
                found = packet.decode()
            except av.error.FFmpegError:
                self.broken, in_a_row = self.broken + 1, in_a_row + 1
                if in_a_row >= BROKEN_AT_ONCE:
                    return
                continue
            in_a_row = 0
            yield from found

    def _packets(self) -> Iterator[Any]:
        streams = [self._stream] if self.sound is None else [self._stream, self.sound_stream]
        for _ in range(TRIES):
            try:
                yield from self._container.demux(streams)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:  # damaged, cut off, or the stream has gone: what follows may be whole
                self.broken += 1
            else:
                return
        rest = av.Packet()  # makes the decoder give what it still holds
        rest.stream = self._stream
        yield rest

    def _upright(self, frame: av.VideoFrame) -> npt.NDArray[np.uint8] | None:
        if frame.width * frame.height > MAX_FRAME_PIXELS:
            self.broken += 1
            return None
        try:
            image = np.asarray(frame.to_ndarray(format="rgb24", width=self._width(frame)), dtype=np.uint8)
        except (av.error.FFmpegError, ValueError):
            self.broken += 1
            return None
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    def _width(self, frame: av.VideoFrame) -> int:
        """Of a frame with square pixels, which those of a clip need not be."""
        shape = self._stream.sample_aspect_ratio
        usable = shape is not None and 1 / WIDEST <= shape <= WIDEST
        return max(1, round(frame.width * float(shape))) if usable else frame.width


def _open(source: str | os.PathLike[str] | bytes, name: str) -> Any:
    """A container that only reads what it was given."""
    if isinstance(source, bytes):
        target: Any = io.BytesIO(source)
        options = {"format_whitelist": FILE_FORMATS}
    elif is_url(source):
        target, options = source, {"protocol_whitelist": STREAM_PROTOCOLS}
    else:
        target = str(_checked_file(Path(source), name))
        options = {"format_whitelist": FILE_FORMATS, "protocol_whitelist": "file"}
        target = f"file:{target}"  # a name such as "concat:a" is a name
    try:
        return av.open(target, options=options, timeout=TIMEOUT if is_url(source) else None)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        wanted = "a stream that answers" if is_url(source) else "a video file, such as MP4, MKV, WebM, AVI or MOV"
        raise VideoError(f"{name}: cannot be read as a video ({reason}); wanted {wanted}") from error


def _checked_file(path: Path, name: str) -> Path:
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "no such file"
            raise VideoError(f"{name or 'an empty name'}: {found}; wanted a video file")
    except (OSError, ValueError) as error:  # a name that no file can have
        raise VideoError(f"{name[:200]}: no such file; wanted a video file") from error
    return path


def _picture_stream(container: Any, name: str) -> Any:
    # a song's cover is a stream of one picture
    streams = [one for one in container.streams.video if "attached_pic" not in str(one.disposition)]
    if not streams:
        raise VideoError(f"{name}: has no pictures, only {_kinds(container.streams)}; wanted a video")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(f"{name}: its pictures are of an unknown kind; convert it to H.264 first")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_FRAME_PIXELS:
        raise VideoError(
            f"{name}: frames of {width} x {height} pixels; at most {MAX_FRAME_PIXELS:,} are read: scale it down first"
        )
    stream.thread_type = "AUTO"
    return stream


def _kinds(streams: Iterable[Any]) -> str:
    return ", ".join(sorted({stream.type for stream in streams})) or "nothing that can be read"


def _frames_of(container: Any, rate: float) -> int:
    return max(0, round(container.duration / av.time_base * rate)) if container.duration else 0
