"""Frame mAP with the official AVA semantics, top-k accuracy, and what chance would score. No torch."""

from gesta.evaluate.ava_files import Score, protocols_of, score_ava, score_json, thresholds
from gesta.evaluate.csv_files import evaluate_csv
from gesta.evaluate.frame_map import (
    FrameMap,
    chance_map,
    frame_map,
    frame_map_arrays,
    frame_map_of,
    frame_maps,
    outcomes,
)
from gesta.evaluate.heaps import Boxes
from gesta.evaluate.protocols import PROTOCOLS
from gesta.evaluate.stage import read_detections, release_at, run_evaluate
from gesta.evaluate.top_k import top_k

__all__ = [
    "PROTOCOLS", "Boxes", "FrameMap", "Score", "chance_map", "evaluate_csv", "frame_map", "frame_map_arrays",
    "frame_map_of", "frame_maps", "outcomes", "protocols_of", "read_detections", "release_at", "run_evaluate",
    "score_ava", "score_json", "thresholds", "top_k",
]  # fmt: skip
