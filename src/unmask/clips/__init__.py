"""Crops become clips, and clips live in stores.

`clips_of` cuts the clips of one file, for training and detection alike; `ClipStore` reads a folder
of them and `StoreWriter` fills it so that a kill at any moment loses nothing that was committed.
"""

from unmask.clips.build import (
    STILL_SUFFIXES,
    VIDEO_SUFFIXES,
    VideoClips,
    build_clips,
    clips_of,
    clips_of_still,
    clips_of_video,
)
from unmask.clips.records import read_records, write_records
from unmask.clips.store import ClipRef, ClipStore, StoreEntry, check_spec, is_store
from unmask.clips.writer import StoreWriter

__all__ = [
    "STILL_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ClipRef",
    "ClipStore",
    "StoreEntry",
    "StoreWriter",
    "VideoClips",
    "build_clips",
    "check_spec",
    "clips_of",
    "clips_of_still",
    "clips_of_video",
    "is_store",
    "read_records",
    "write_records",
]
