"""Videos, streams and cameras, opened alike."""

from __future__ import annotations

from agelens.video.camera import Camera
from agelens.video.clip import ClipReader
from agelens.video.frames import FrameSource, VideoSource

__all__ = ["open_video"]


def open_video(source: VideoSource) -> FrameSource:
    """Open a clip, a stream or a camera.

    Args:
        source: a path, the bytes of a file, the address of a stream (http, https, rtsp, rtmp, udp, rtp), or the number
            of a camera, 0 for the first.

    Raises:
        VideoError: it is missing, no video, or too large; or there is no such camera.
    """
    return Camera(source) if isinstance(source, int) else ClipReader(source)
