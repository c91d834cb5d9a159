"""Videos, streams and cameras, opened alike."""

from __future__ import annotations

import os
import re
from typing import Final

from agelens.video.camera import Camera
from agelens.video.clip import ClipReader
from agelens.video.frames import FrameSource, VideoSource

__all__ = ["open_video"]

DEVICE: Final = re.compile(r"/dev/video(\d{1,3})")


def open_video(source: VideoSource) -> FrameSource:
    """Open a clip, a stream or a camera.

    Args:
        source: a path, the bytes of a file, the address of a stream (http, https, rtsp, rtmp, udp, rtp), or the number
            of a camera, 0 for the first.

    Raises:
        VideoError: it is missing, no video, or too large; or there is no such camera.
        TypeError: it is none of these.
    """
    if isinstance(source, int) and not isinstance(source, bool):
        return Camera(source)
    if not isinstance(source, str | os.PathLike | bytes):
        raise TypeError(f"source is {type(source).__name__}; wanted a path, bytes, an address or a camera's number")
    device = None if isinstance(source, bytes) else DEVICE.fullmatch(os.fspath(source))
    return Camera(int(device[1])) if device else ClipReader(source)
