"""The corrected annotations of UCF101-24 as their own repository has them, turned into the layout of `action_tubes`.

Two pickles say the same, `pyannot.pkl` and `pyannot_with_class_names.pkl` (which has the split and the names too):

    {"Skijet/v_Skijet_g10_c04": {"numf": 164, "label": 17, "annotations": [
        {"label": 17, "sf": 0, "ef": 164, "boxes": array([[177, 53, 48, 61], ...], dtype=uint8)}]}, ...}
    {"db": {...}, "trainvideos": ["Basketball/v_Basketball_g08_c01", ...], "classes": ["Basketball", ...]}

`sf` is the first frame from 0, `ef` the one after the last; boxes are left, top, width, height, pixels
counted from 1.

Source: gurkirt/corrected-UCF101-Annots 5de776b: all 4,458 tubes have ef - sf boxes, the least left and top is 1, the
greatest left + width is 320 and top + height 240, and `evaluation/compute_spatio_temporal_iou.m` adds 1 to detections
before it compares. All videos are 320 x 240 (as those limits show).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gesta.schema import BadInput

_SIZE = (240, 320)
"""Height and width of every video of UCF-101. Source: see the module."""


def is_corrected(value: object) -> bool:
    """Whether what a pickle holds has the layout of one of the two files."""
    if not isinstance(value, dict) or ("db" in value and "classes" not in value):
        return False
    videos = value.get("db", value)
    if not isinstance(videos, dict) or not videos:
        return False
    return all(isinstance(video, dict) and "annotations" in video for video in videos.values())


def corrected_as_tubes(value: object, *, names: Sequence[str], where: Path) -> dict[str, object] | None:
    """The file's parts in the layout of `action_tubes`; None where it is no such file.

    Args:
        value: what the pickle holds.
        names: the labels of a file that does not have them.
        where: the file, for messages.
    Raises:
        BadInput: it is such a file, and a tube of it is none.
    """
    if not is_corrected(value):
        return None
    assert isinstance(value, dict)
    has_names = "db" in value
    videos = value["db"] if has_names else value
    train = value.get("trainvideos", []) if has_names else []
    if isinstance(train, list | tuple):
        # Six videos of the list were taken out of the annotations, as nobody could mend them.
        train = [name for name in train if not isinstance(name, str) or name in videos]
    trained = {name for name in train if isinstance(name, str)} if isinstance(train, list) else set()
    return {
        "labels": value["classes"] if has_names else list(names),
        "gttubes": {video_id: _tubes_by_label(video, video_id, where=where) for video_id, video in videos.items()},
        "nframes": {video_id: video.get("numf") for video_id, video in videos.items()},
        "resolution": dict.fromkeys(videos, _SIZE),
        "train_videos": [train] if has_names else [],
        "test_videos": [[video_id for video_id in videos if video_id not in trained]] if has_names else [],
    }


def _tubes_by_label(video: dict[object, object], video_id: object, *, where: Path) -> dict[object, list[object]]:
    tubes = video["annotations"]
    if not isinstance(tubes, list | tuple):
        raise BadInput(f"the annotations of {str(video_id)[:80]!r} are no list", where=where, mend=_WANT)
    by_label: dict[object, list[object]] = {}
    for tube in tubes:
        label, rows_K5 = _label_and_tube(tube, video_id, where=where)
        by_label.setdefault(label, []).append(rows_K5)
    return by_label


_WANT = "Want dicts of label, sf, ef and boxes, an array of ef - sf rows of left, top, width, height"


def _label_and_tube(tube: object, video_id: object, *, where: Path) -> tuple[int, np.ndarray]:
    """The label, and frames from 1 with corners in pixels from 0, [K, 5]."""
    parts = tube if isinstance(tube, dict) else {}
    label, first, end, boxes = (parts.get(name) for name in ("label", "sf", "ef", "boxes"))
    is_array = isinstance(boxes, np.ndarray) and boxes.dtype.kind in "iuf" and boxes.ndim == 2 and boxes.shape[1] == 4
    numbers = [number for number in (label, first, end) if type(number) is int and 0 <= number <= 10**9]
    if not is_array or len(numbers) != 3 or numbers[2] - numbers[1] != len(boxes):  # type: ignore[arg-type]
        raise BadInput(f"a tube of {str(video_id)[:80]!r} is none", where=where, mend=_WANT)
    sides_K4 = np.asarray(boxes, dtype=np.float64)
    low_K2 = sides_K4[:, :2] - 1
    frames_K = np.arange(numbers[1], numbers[2]) + 1
    return numbers[0], np.column_stack([frames_K, low_K2, low_K2 + sides_K4[:, 2:]])
