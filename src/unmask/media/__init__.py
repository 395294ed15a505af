"""Files in, frames out: videos and stills are opened safely and decoded to upright RGB.

`probe` tells what a video is; `open_video` opens one, and `sample` takes a few frames spread over
its time, decoding as little as that needs; `ahead` does so on a thread of its own; `read_image`
reads a still. Whatever is wrong with a file is told by `unmask.errors.MediaError` and its code.
"""

from unmask.media.ahead import ahead
from unmask.media.container import Limits, check_regular, looks_like_media
from unmask.media.credentials import read_credentials, read_trust_anchors
from unmask.media.decode import Coverage, Video, open_video
from unmask.media.image import read_image
from unmask.media.probe import MediaInfo, probe
from unmask.media.sample import sample

__all__ = [
    "Coverage",
    "Limits",
    "MediaInfo",
    "Video",
    "ahead",
    "check_regular",
    "looks_like_media",
    "open_video",
    "probe",
    "read_credentials",
    "read_image",
    "read_trust_anchors",
    "sample",
]
