"""Video files probed, read frame by frame exactly, sampled, cut and written."""

from gesta.video.container import VIDEO_ENDINGS
from gesta.video.encode import write_video
from gesta.video.probe import PacketIndex, VideoFacts, index_packets, probe
from gesta.video.read import instants, iter_frames, read_frames

__all__ = [
    "VIDEO_ENDINGS", "PacketIndex", "VideoFacts", "index_packets", "instants", "iter_frames", "probe", "read_frames",
    "write_video",
]  # fmt: skip
