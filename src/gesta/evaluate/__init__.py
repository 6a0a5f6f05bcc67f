"""Frame mAP with the official AVA semantics, top-k accuracy, and what chance would score. No torch."""

from gesta.evaluate.frame_map import FrameMap, chance_map, frame_map
from gesta.evaluate.top_k import top_k

__all__ = ["FrameMap", "chance_map", "frame_map", "top_k"]
