"""The sound of a clip, taken over as it is where the new file can hold it, else encoded anew."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import av
import av.error

from agelens.video.clip import ClipReader
from agelens.video.frames import FrameSource

__all__ = ["Sound"]

KEPT: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})  # what an MP4 can hold


class Sound:
    """What sounds while frames are shown."""

    def __init__(self, reader: ClipReader | None) -> None:
        """``reader`` gives packets while its frames are read; None: there is no sound."""
        self._reader = reader
        self._stream: Any = None
        self._encoded_anew = False
        self._early: deque[Any] = deque()

    @classmethod
    def of(cls, source: FrameSource) -> Sound:
        """The sound of a source, which from now on keeps what it reads of it."""
        if not isinstance(source, ClipReader) or source.sound_stream is None:
            return cls(None)
        source.keep_sound()
        return cls(source)

    def start(self, container: Any) -> None:
        """Add a sound track to a file that is written; a track that it cannot hold is left out."""
        if self._reader is None:
            return
        template = self._reader.sound_stream
        try:
            if template.codec_context.codec.canonical_name in KEPT:
                self._stream = container.add_stream_from_template(template)
            else:
                self._stream = container.add_stream("aac", rate=template.codec_context.sample_rate or 48_000)
                self._encoded_anew = True
        except (av.error.FFmpegError, ValueError):
            self._reader = None

    def mux_until(self, container: Any, time: float) -> None:
        """Write what sounds before ``time``, in seconds since the first frame."""
        if self._reader is None or self._reader.sound is None:
            return
        while self._reader.sound:
            self._early.append(self._reader.sound.pop(0))
        while self._early and self._time(self._early[0]) <= time:
            self._mux(container, self._early.popleft())
        if time == float("inf") and self._encoded_anew:
            container.mux(self._stream.encode(None))

    def _time(self, packet: Any) -> float:
        """When a packet sounds, in seconds since the first frame."""
        return float(packet.dts * packet.time_base) - (self._reader.start if self._reader else 0.0)

    def _mux(self, container: Any, packet: Any) -> None:
        if self._time(packet) < 0:  # sounds before the first frame
            return
        if self._encoded_anew:
            self._encode(container, packet)
            return
        shift = round((self._reader.start if self._reader else 0.0) / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = self._stream
        container.mux(packet)

    def _encode(self, container: Any, packet: Any) -> None:
        start = self._reader.start if self._reader else 0.0
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(start / frame.time_base)
            container.mux(self._stream.encode(frame))
