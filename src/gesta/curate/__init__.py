"""Duplicates found by what frames show and how it moves; one clip a video and class kept."""

from gesta.curate.features import centered, clip_vectors, frame_vector, vectors_of_texts
from gesta.curate.footage import Footage, SharedFootage, read_footage, shared_footage
from gesta.curate.keep import Standing, clip_that_stays, clusters_of, one_per_video, videos_that_stay
from gesta.curate.pairs import ClipPairs, alike_pairs
from gesta.curate.stage import run_curate

__all__ = [
    "ClipPairs", "Footage", "SharedFootage", "Standing", "alike_pairs", "centered", "clip_that_stays", "clip_vectors",
    "clusters_of", "frame_vector", "one_per_video", "read_footage", "run_curate", "shared_footage", "vectors_of_texts",
    "videos_that_stay",
]  # fmt: skip
