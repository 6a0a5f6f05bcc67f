"""Frame mAP under four projects' rules, video mAP, COCO's AP, top-k, and what lies behind each number. No torch."""

from gesta.evaluate.ava_files import Score, protocols_of, score_ava, score_json, thresholds
from gesta.evaluate.breakdown import error_breakdown
from gesta.evaluate.classification import score_clips
from gesta.evaluate.coco import coco_map
from gesta.evaluate.csv_files import evaluate_csv
from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.frame_map import (
    FrameMap,
    chance_map,
    frame_map,
    frame_map_arrays,
    frame_map_of,
    frame_maps,
    outcomes,
)
from gesta.evaluate.groups import group_scores
from gesta.evaluate.heaps import Boxes
from gesta.evaluate.intervals import map_difference, map_intervals
from gesta.evaluate.protocols import PROTOCOLS
from gesta.evaluate.stage import read_detections, release_at, run_evaluate
from gesta.evaluate.top_k import top_k
from gesta.evaluate.tube_files import read_tubes, score_tubes, scored_part, tube_score_json, tube_score_text
from gesta.evaluate.tube_linking import tubes_of_detections
from gesta.evaluate.video_map import VideoMap, tube_rows, video_map

__all__ = [
    "PROTOCOLS", "Boxes", "FrameMap", "Score", "VideoMap", "chance_map", "coco_map", "diagnose", "error_breakdown",
    "evaluate_csv", "frame_map", "frame_map_arrays", "frame_map_of", "frame_maps", "group_scores", "map_difference",
    "map_intervals", "outcomes", "protocols_of", "read_detections", "read_tubes", "release_at", "run_evaluate",
    "score_ava", "score_clips", "score_json", "score_tubes", "scored_part", "thresholds", "top_k", "tube_rows",
    "tube_score_json", "tube_score_text", "tubes_of_detections", "video_map",
]  # fmt: skip
