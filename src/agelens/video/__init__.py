"""Video: faces followed through a clip, and their ages, which settle from frame to frame. Needs the extra ``video``.

import agelens.video

for frame in agelens.video.analyze("clip.mp4"):
    for track in frame.tracks:
        print(frame.time, track.id, track.face.age, track.face.interval)
"""

from agelens.errors import MissingExtraError

try:
    from agelens.video.analysis import Frame, analyze
    from agelens.video.tracks import Track
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("agelens"):
        raise
    raise MissingExtraError("video", error.name) from error

__all__ = ["Frame", "Track", "analyze"]
