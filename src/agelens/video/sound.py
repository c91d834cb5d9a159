"""The sound of a clip, taken over as it is where the new file can hold it, else encoded anew as AAC."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import av
import av.error

from agelens.video.clip import ClipReader
from agelens.video.frames import FrameSource

__all__ = ["Sound"]

MP4: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
KEPT: Final[Mapping[str, frozenset[str]]] = {
    "mp4": MP4,
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "matroska": MP4 | {"vorbis"},
}
RATE: Final = 48_000  # of what is encoded anew


class Sound:
    """What sounds while frames are shown. Where it cannot be written the pictures go on without it."""

    def __init__(self, reader: ClipReader | None) -> None:
        """``reader`` gives packets while its frames are read; None: there is no sound."""
        self._reader = reader
        self._stream: Any = None
        self._resampler: Any = None
        self._early: deque[tuple[Any, float | None]] = deque()
        self._last = -math.inf
        self.lost: str | None = None

    @classmethod
    def of(cls, source: FrameSource) -> Sound:
        """The sound of a source, which from now on keeps what it reads of it, until ``close``."""
        if not isinstance(source, ClipReader) or source.sound_stream is None:
            return cls(None)
        source.keep_sound()
        return cls(source)

    def start(self, container: Any, kind: str) -> None:
        """Add a sound track to a file of FFmpeg's format ``kind``, before anything is written to it."""
        if self._reader is None:
            return
        template = self._reader.sound_stream
        try:
            if template.codec_context is None:
                raise ValueError("its sound is of an unknown kind")
            if template.codec_context.codec.canonical_name in KEPT[kind]:
                self._stream = container.add_stream_from_template(template)
            else:
                self._stream = container.add_stream("aac", rate=RATE)
                self._stream.layout = "mono" if template.codec_context.channels == 1 else "stereo"
                self._resampler = av.AudioResampler("fltp", self._stream.layout, RATE)
        except (av.error.FFmpegError, ValueError) as error:
            self._give_up(error)

    def mux_until(self, container: Any, time: float) -> None:
        """Write what sounds before ``time``, in seconds since the first frame; infinity: all that is left."""
        if self._reader is None or self._reader.sound is None or self._stream is None:
            return
        while self._reader.sound:
            self._early.append(self._reader.sound.popleft())
        try:
            while self._early and self._time(*self._early[0]) <= time:
                self._mux(container, *self._early.popleft())
            if time == math.inf and self._resampler is not None:
                self._encode(container, None, 0.0)
                container.mux(self._stream.encode(None))
        except (av.error.FFmpegError, ValueError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Let the clip be closed."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _give_up(self, error: Exception) -> None:
        self.lost = str(error)
        self._early.clear()
        if self._reader is not None:
            self._reader.sound = None  # the stream of the reader goes on without it
        self.close()

    def _time(self, packet: Any, shift: float | None) -> float:
        """When a packet sounds, in seconds since the first frame."""
        return float(packet.dts * packet.time_base) - self._shift(shift)

    def _shift(self, shift: float | None) -> float:
        return shift if shift is not None else self._reader.shift if self._reader is not None else 0.0

    def _mux(self, container: Any, packet: Any, shift: float | None) -> None:
        time = self._time(packet, shift)
        if time < 0 or time <= self._last:  # before the first frame, or out of order, where parts were joined
            return
        self._last = time
        if self._resampler is not None:
            self._encode(container, packet, self._shift(shift))
            return
        ahead = round(self._shift(shift) / packet.time_base)
        packet.dts -= ahead
        packet.pts = packet.dts if packet.pts is None else packet.pts - ahead
        packet.stream = self._stream
        container.mux(packet)

    def _encode(self, container: Any, packet: Any, shift: float) -> None:
        """Encode a packet's sound anew; None for what the resampler still holds."""
        try:
            frames = [None] if packet is None else packet.decode()
        except av.error.FFmpegError:  # damaged: the rest goes on
            return
        for frame in frames:
            if frame is not None and frame.pts is not None:
                frame.pts -= round(shift / frame.time_base)
            for part in self._resampler.resample(frame):
                container.mux(self._stream.encode(part))
