"""Frame mAP with the official AVA semantics, top-k accuracy, and what chance would score. No torch."""

from gesta.evaluate.frame_map import FrameMap, chance_map, frame_map, outcomes
from gesta.evaluate.stage import read_detections, release_at, run_evaluate, run_evaluate_files
from gesta.evaluate.top_k import top_k

__all__ = [
    "FrameMap", "chance_map", "frame_map", "outcomes", "read_detections", "release_at", "run_evaluate",
    "run_evaluate_files", "top_k",
]  # fmt: skip
