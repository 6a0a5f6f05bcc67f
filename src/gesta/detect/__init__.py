"""Clips to person boxes, tracks and key-frames, by any of several detectors behind one small interface."""

from gesta.detect.boxes import clean_boxes, suppress
from gesta.detect.detectors import DETECTORS, HABITS, NMS_IOU, build_detector, find_people
from gesta.detect.interface import Detector, Found, Frames
from gesta.detect.key_frames import choose_key_frame
from gesta.detect.search import search_clip
from gesta.detect.stage import plan_detect, run_detect
from gesta.detect.tracks import FrameBoxes, TrackedBox, Tracker, link_tracks

__all__ = [
    "DETECTORS", "HABITS", "NMS_IOU", "Detector", "Found", "FrameBoxes", "Frames", "TrackedBox", "Tracker",
    "build_detector", "choose_key_frame", "clean_boxes", "find_people", "link_tracks", "plan_detect", "run_detect",
    "search_clip", "suppress",
]  # fmt: skip
