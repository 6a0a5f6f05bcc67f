"""Video files probed, read frame by frame exactly, sampled, cut and written."""

from gesta.video.container import VIDEO_ENDINGS
from gesta.video.cut import cut_clip
from gesta.video.encode import write_video
from gesta.video.pixels import flip_boxes, flip_frames
from gesta.video.probe import PacketIndex, VideoFacts, index_packets, probe
from gesta.video.read import instants, iter_frames, read_frames
from gesta.video.sampling import (
    random_start,
    segment_frames,
    segment_times,
    strided_frames,
    uniform_frames,
    uniform_times,
    window_frames,
    window_times,
)

__all__ = [
    "VIDEO_ENDINGS", "PacketIndex", "VideoFacts", "cut_clip", "flip_boxes", "flip_frames", "index_packets", "instants",
    "iter_frames", "probe", "random_start", "read_frames", "segment_frames", "segment_times", "strided_frames",
    "uniform_frames", "uniform_times", "window_frames", "window_times", "write_video",
]  # fmt: skip
