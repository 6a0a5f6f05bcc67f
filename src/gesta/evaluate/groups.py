"""Frame mAP of parts: per category of class, class frequency, box size, persons in a key-frame, and video.

Matching happens once, on everything, as the official program does it; then every scored detection and every labelled
box is dealt to exactly one group of each kind, and AP is computed within a group over the same ranking. Of one kind,
the groups' counts therefore add up to the whole.

| kind | group of a labelled box | group of a detection |
|---|---|---|
| category, frequency | its class's | its class's |
| persons, video | its key-frame's | its key-frame's |
| size | by its own sides | of the labelled box that it reaches, else by its own sides |

For sizes this is COCO's rule of ignored boxes: a detection that reaches a labelled box of another size is neither
right nor wrong in this group, and one that reaches none counts as wrong where its own size lies. It reaches a box
when the overlap with the box of its class that it overlaps most is at least the threshold.

Source: COCO, `pycocotools/cocoeval.py` (`evaluateImg`, `_ignore` by area range); the bins are ours, see each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY, OFFICIAL_CAP
from gesta.evaluate.ranked import Floats, Ints, Ranked, average_precisions, mean_of, rank
from gesta.schema import BadInput

GROUP_COLUMNS: dict[str, pl.DataType] = {
    "by": pl.String(),
    "group": pl.String(),
    "mean_ap": pl.Float64(),
    "num_classes": pl.Int64(),
    "num_groundtruth": pl.Int64(),
    "num_detections": pl.Int64(),
    "num_right": pl.Int64(),
}
"""What `group_scores` gives. `num_classes` have ground truth in the group; without any, `mean_ap` is null."""

KINDS = ("category", "frequency", "size", "persons", "video")

SIZE_EDGES = (0.25, 0.5, 0.75)
"""Square roots of the box's share of the frame that part the sizes.

Source: ours. COCO's 32 and 96 px are 0.06 and 0.17 of a 640 x 480 frame, below nearly every person of AVA.
"""

PERSON_EDGES = (0, 1, 2, 3, 5)
"""Persons in a key-frame: none, 1, 2, 3 to 4, 5 and more. Source: ours; AVA v2.1 has 2.9 a key-frame on average."""

FREQUENCY_EDGES = (100, 1000)
"""Labelled boxes of a class: tail below the first, head from the second on. Source: ours, LVIS's decades times ten."""

AVA_CATEGORIES = ("person movement", "object manipulation", "person interaction")
"""Source: AVA's action list (`label_type`); ids 1 to 14, 15 to 63, 64 to 80. MMAction2's group means use the same."""

_AVA_ANCHORS = {1: "bend/bow (at the waist)", 12: "stand", 17: "carry/hold (an object)", 80: "watch (a person)"}


def category_of_classes(label_map: pl.DataFrame) -> dict[int, str]:
    """The category of each class that has one: as the label map says, else AVA's where the classes are AVA's.

    The 60-class map of the AVA challenge has no categories. Its ids are AVA's, and are known by some of their names.

    >>> category_of_classes(pl.DataFrame({"class_id": [12, 80], "name": ["stand", "watch (a person)"]}))
    {12: 'person movement', 80: 'person interaction'}
    """
    if "category" in label_map.columns and label_map["category"].is_not_null().any():
        known = label_map.filter(pl.col("category").is_not_null()).select("class_id", "category").iter_rows()
        return {class_id: category.lower().replace("_", " ") for class_id, category in known}
    names = dict(label_map.select("class_id", "name").iter_rows())
    anchors = {class_id for class_id in _AVA_ANCHORS if class_id in names}
    if not anchors or any(names[class_id] != _AVA_ANCHORS[class_id] for class_id in anchors):
        return {}
    return {class_id: AVA_CATEGORIES[(class_id >= 15) + (class_id >= 64)] for class_id in sorted(names)}


def group_scores(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    kinds: Sequence[str] = KINDS,
    categories: Mapping[int, str] | None = None,
    class_counts: Mapping[int, int] | None = None,
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    ranked: Ranked | None = None,
) -> pl.DataFrame:
    """One row a group with the columns of `GROUP_COLUMNS`, kinds in the order given.

    Args:
        groundtruth: as for `frame_map`; so are `detections`, `class_ids`, `iou` and `cap`. Two labelled boxes of a
            key-frame are one person when their corners are equal.
        detections: rows to score.
        class_ids: classes that count.
        kinds: some of `KINDS`. "category" gives no rows without `categories`.
        categories: of classes, as `category_of_classes` gives them; a class without one is in "none".
        class_counts: how many labels each class has, where frequency is not that of `groundtruth`: the training set's.
        iou: overlap of a right detection.
        cap: detections of a key-frame that count.
        ranked: what `rank` gives for the same arguments, where it is there already.
    Raises:
        BadInput: as `frame_map`, or a kind is not known.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise BadInput(f"no kind of group {unknown[0]!r}", mend=f"There are: {', '.join(KINDS)}")
    if ranked is None:
        ranked = rank(groundtruth, detections, class_ids=class_ids, iou=iou, cap=cap)
    tables = []
    for kind in kinds:
        if kind == "category" and categories is None:
            continue
        if kind in ("category", "frequency"):
            names, group_N, group_M = _by_class(kind, ranked, categories or {}, class_counts)
        elif kind == "video":
            names, group_N, group_M = list(ranked.video_ids), ranked.video, ranked.groundtruth_video
        elif kind == "persons":
            names, group_N, group_M = _by_persons(groundtruth, detections, ranked)
        else:
            names, group_N, group_M = _by_size(groundtruth, detections, ranked, iou=iou)
        tables.append(_scores(kind, names, ranked, group_N, group_M))
    return pl.concat([pl.DataFrame(schema=GROUP_COLUMNS), *tables])


def _scores(kind: str, names: Sequence[str], ranked: Ranked, group_N: Ints, group_M: Ints) -> pl.DataFrame:
    num_groups, num_classes = len(names), len(ranked.class_ids)
    is_counted_M = ranked.groundtruth_class >= 0
    cell_M = group_M[is_counted_M] * num_classes + ranked.groundtruth_class[is_counted_M]
    num_groundtruth_S = np.bincount(cell_M, minlength=num_groups * num_classes)
    cell_N = group_N * num_classes + ranked.class_index
    ap_GC = average_precisions(ranked.is_right, cell_N, num_groundtruth_S).reshape(num_groups, num_classes)
    return pl.DataFrame(
        {
            "by": [kind] * num_groups,
            "group": names,
            "mean_ap": [mean_of(row) for row in ap_GC],
            "num_classes": (~np.isnan(ap_GC)).sum(axis=1),
            "num_groundtruth": np.bincount(group_M[is_counted_M], minlength=num_groups),
            "num_detections": np.bincount(group_N, minlength=num_groups),
            "num_right": np.bincount(group_N[ranked.is_right], minlength=num_groups),
        },
        schema=GROUP_COLUMNS,
    ).with_columns(pl.col("mean_ap").fill_nan(None))


def _by_class(
    kind: str, ranked: Ranked, categories: Mapping[int, str], class_counts: Mapping[int, int] | None
) -> tuple[list[str], Ints, Ints]:
    if kind == "category":
        of_class = [categories.get(class_id, "none") for class_id in ranked.class_ids]
        first_class = {name: class_id for class_id, name in sorted(categories.items(), reverse=True)}
        names = sorted(set(of_class), key=lambda name: (name == "none", first_class.get(name, 0)))
    else:
        own = dict(zip(ranked.class_ids, ranked.num_groundtruth.tolist(), strict=True))
        counts = own if class_counts is None else class_counts
        few, many = FREQUENCY_EDGES
        names = [f"head ({many:,} and more)", f"middle ({few:,} to {many - 1:,})", f"tail (below {few:,})"]
        of_class = [
            names[(counts.get(class_id, 0) < few) + (counts.get(class_id, 0) < many)] for class_id in ranked.class_ids
        ]
    group_C = np.array([names.index(name) for name in of_class], dtype=np.int64)
    # A labelled box of no counted class is left out by its class; any group will do for it.
    return names, group_C[ranked.class_index], group_C[np.maximum(ranked.groundtruth_class, 0)]


def _by_persons(groundtruth: pl.DataFrame, detections: pl.DataFrame, ranked: Ranked) -> tuple[list[str], Ints, Ints]:
    boxes = groundtruth.filter(pl.col("class_id").is_not_null()).select(*KEY, *CORNERS).unique()
    counts = boxes.group_by(KEY).len("num_persons")
    edges = np.array(PERSON_EDGES)

    def group_of(rows: pl.DataFrame) -> Ints:
        found = rows.select(KEY).join(counts, on=KEY, how="left", maintain_order="left")["num_persons"]
        return np.searchsorted(edges, found.fill_null(0).to_numpy(), side="right") - 1

    names = ["none"]
    for low, high in zip(PERSON_EDGES[1:], [*PERSON_EDGES[2:], None], strict=True):
        names.append(f"{low} and more" if high is None else str(low) if high == low + 1 else f"{low} to {high - 1}")
    return names, group_of(detections)[ranked.row], group_of(groundtruth)


def _by_size(
    groundtruth: pl.DataFrame, detections: pl.DataFrame, ranked: Ranked, *, iou: float
) -> tuple[list[str], Ints, Ints]:
    group_M = _size_groups(groundtruth)
    own_N = _size_groups(detections)[ranked.row]
    reaches_N = (ranked.gt_row >= 0) & (ranked.iou >= iou)
    group_N = np.where(reaches_N, group_M[np.maximum(ranked.gt_row, 0)] if len(group_M) else own_N, own_N)
    edges = ["0", *(f"{edge:g}" for edge in SIZE_EDGES)]
    names = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [*names, f"{edges[-1]} and more"], group_N, group_M


def _size_groups(rows: pl.DataFrame) -> Ints:
    """Which bin each box is in, [N]; inverted boxes and rows without one are in the first."""
    corners_N4: Floats = rows.select(pl.col(CORNERS).cast(pl.Float64).fill_null(0.0)).to_numpy()
    sides_N2 = np.clip(corners_N4[:, 2:] - corners_N4[:, :2], 0, None)
    return np.searchsorted(np.array(SIZE_EDGES), np.sqrt(sides_N2[:, 0] * sides_N2[:, 1]), side="right")
