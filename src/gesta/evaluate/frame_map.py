"""Frame mAP: the official AVA semantics to the last digit, and those of the projects that depart from them.

Shapes: N detections, M labelled boxes, K detections that are scored, C classes.

Source of every rule: `gesta.evaluate.protocols`. Where the programs leave their result to chance (equal scores under
NumPy's unstable default sort), the rule is: a stable ascending sort, then reversed, so that of equal scores the
later-read comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.average_precision import average_precisions
from gesta.evaluate.claims import Claims, InvertedBoxError, claims_of, labelled_of
from gesta.evaluate.heaps import Boxes, Heaps, empty_heaps, pushed
from gesta.evaluate.protocols import OFFICIAL_CAP, PROTOCOLS, Rules
from gesta.schema import US_PER_S, BadInput, UnknownName, format_seconds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Ties = Literal["stable", "numpy"]

KEY = ["video_id", "timestamp_us"]
CORNERS = ["x1", "y1", "x2", "y2"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameMap:
    """Frame mAP at one threshold and its parts; the arrays are parallel to `class_ids`."""

    mean_ap: float
    class_ids: tuple[int, ...]
    average_precision: Floats
    num_groundtruth: Ints
    num_detections: Ints
    num_key_frames: int
    iou: float = 0.5

    def of_class(self, class_id: int) -> float:
        """Average precision of one class; NaN without ground truth."""
        return float(self.average_precision[self.class_ids.index(class_id)])


def frame_map(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    ties: Ties = "stable",
) -> FrameMap:
    """Frame mAP of `detections` against `groundtruth` as the official AVA program computes it.

    Every key-frame that `groundtruth` names is scored, those without a box or with boxes of other classes only too;
    detections on other key-frames are ignored. Of a key-frame's detections the `cap` highest are kept. In descending
    score each claims the labelled box of its class that it overlaps most (the first of equals); it is right when the
    overlap is at least `iou` and nobody claimed that box before. AP is the area under the precision envelope; a class
    with ground truth and without detections has 0; a class without ground truth has NaN and stays out of the mean.

    Args:
        groundtruth: columns video_id, timestamp_us, x1 y1 x2 y2, class_id, optionally score, in file order. A null
            class_id is a key-frame without boxes. A `score` (the official program reads column 8 as one, a person id
            too) only orders the boxes of a key-frame.
        detections: the same columns, score required, in file order; the order matters among equal scores only.
        class_ids: classes that count; rows of others are skipped, their key-frames are not.
        iou: overlap that a right detection has at least.
        cap: detections (box x class) of a key-frame that are kept; 0 keeps all.
        ties: how a class's equal scores are ordered: "stable" is the module's rule and the same everywhere; "numpy"
            replays NumPy's default sort, which gives what the official program prints on this machine and no other.
    Raises:
        BadInput: a column is missing, `class_ids` is empty or repeats one, a score or corner is not finite, or a
            labelled box with x1 > x2 or y1 > y2 meets a detection of its class and key-frame.
    Source: `get_ava_performance.py` (reading, capacity 50), `per_image_evaluation.py` (matching), `metrics.py` (AP).
    """
    rules = replace(PROTOCOLS["official"], cap=cap)
    return _frame_maps(groundtruth, detections, class_ids=class_ids, rules=rules, ious=[iou], ties=ties)[0]


def frame_map_of(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    protocol: str = "official",
    excluded: pl.DataFrame | None = None,
    iou: float = 0.5,
    ties: Ties = "stable",
) -> FrameMap:
    """Frame mAP as one of the projects in `PROTOCOLS` computes it; arguments as for `frame_maps`.

    Raises:
        UnknownName: there is no such protocol.
        BadInput: as `frame_map`; or the project could not have read these files: see `frame_maps`.
    """
    return frame_maps(
        groundtruth, detections, class_ids=class_ids, ious=[iou], protocol=protocol, excluded=excluded, ties=ties
    )[0]


def frame_maps(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    ious: Sequence[float],
    protocol: str = "official",
    excluded: pl.DataFrame | None = None,
    ties: Ties = "stable",
) -> list[FrameMap]:
    """Frame mAP at each threshold of `ious`, as one of the projects in `PROTOCOLS` computes it.

    Args:
        groundtruth: as for `frame_map`.
        detections: as for `frame_map`.
        class_ids: as for `frame_map`.
        ious: overlaps that a right detection has at least; the claims are worked out once for all of them.
        protocol: a name in `PROTOCOLS`.
        excluded: columns video_id, timestamp_us: key-frames that do not count.
        ties: as for `frame_map`.
    Raises:
        UnknownName: there is no such protocol.
        BadInput: as `frame_map`; or the project reads whole seconds only and a time is none; or, for MMAction2, a
            detection is inverted or no labelled box counts, where that program ends in an error.
    """
    if protocol not in PROTOCOLS:
        raise UnknownName(what="protocol", name=protocol, choices=PROTOCOLS)
    return _frame_maps(
        groundtruth, detections, class_ids=class_ids, rules=PROTOCOLS[protocol], ious=ious, excluded=excluded, ties=ties
    )


def outcomes(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
) -> pl.DataFrame:
    """What became of each detection that is scored, one row each, in the order in which they claim boxes.

    Columns: row (of `detections`, from 0), video_id, timestamp_us, class_id, score, is_right, iou (with the labelled
    box of its class and key-frame that it overlaps most; 0 where there is none) and gt_row (that box's row of
    `groundtruth`, from 0; null where there is none). Arguments and errors as for `frame_map`.
    """
    rules = replace(PROTOCOLS["official"], cap=cap)
    matched = _matched(groundtruth, detections, class_ids=class_ids, rules=rules, ious=[iou], with_boxes=True)
    claims = matched.claims
    return detections[claims.row_K].select(*KEY, "class_id", "score").with_columns(
        pl.Series("row", claims.row_K), pl.Series("is_right", claims.right_TK[0].astype(bool)),
        pl.Series("iou", claims.iou_K), pl.Series("gt_row", claims.best_K).replace(-1, None),
    ).select("row", *KEY, "class_id", "score", "is_right", "iou", "gt_row")  # fmt: skip


def chance_map(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    seed: int = 0,
    num_draws: int = 5,
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
) -> float:
    """Mean frame mAP of the same boxes and classes with scores drawn uniformly from [0, 1).

    This is the level of a model that finds the people as well as this one does and knows nothing of what they do:
    the boxes' quality is in it, the scores' is not. It is near the share of labelled boxes that carry a class, averaged
    over classes, times the share of boxes that overlap a person. Arguments as for `frame_map`, and `num_draws` draws
    from a generator seeded with `seed`.

    Raises:
        BadInput: as `frame_map`, or `num_draws` is below 1.
    Source: ours.
    """
    if num_draws < 1:
        raise BadInput(f"num_draws={num_draws}", mend="Want at least 1")
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(num_draws):
        guesses = detections.with_columns(pl.Series("score", rng.random(len(detections)), dtype=pl.Float64))
        draws.append(frame_map(groundtruth, guesses, class_ids=class_ids, iou=iou, cap=cap).mean_ap)
    return float(np.mean(draws))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matched:
    """The claims of one file of detections, and the labelled boxes of each class [C]."""

    claims: Claims
    num_groundtruth_C: Ints
    num_key_frames: int


def frame_map_arrays(
    groundtruth: Boxes,
    detections: Boxes,
    *,
    class_ids: Sequence[int],
    num_key_frames: int,
    protocol: str = "official",
    ious: Sequence[float] = (0.5,),
    ties: Ties = "stable",
) -> list[FrameMap]:
    """Frame mAP at each threshold, from arrays; the caller has numbered the key-frames that count.

    Args:
        groundtruth: labelled boxes; a row on no counted key-frame has `frame_N` -1.
        detections: likewise.
        class_ids: what the class indices stand for, rising.
        num_key_frames: how many key-frames count.
        protocol: a name in `PROTOCOLS`.
        ious: overlaps that a right detection has at least.
        ties: as for `frame_map`.
    Raises:
        InvertedBoxError: see `gesta.evaluate.claims`.
        BadInput: for MMAction2, no labelled box counts.
    """
    rules = PROTOCOLS[protocol]
    heaps = pushed(empty_heaps(num_key_frames), detections, cap=rules.cap, order=rules.order)
    return scored(match(groundtruth, heaps, len(class_ids), rules=rules, ious=ious), class_ids, rules, ious, ties)


def match(
    groundtruth: Boxes,
    heaps: Heaps,
    num_classes: int,
    *,
    rules: Rules,
    ious: Sequence[float],
    with_boxes: bool = False,
) -> Matched:
    """The claims of the detections that `heaps` holds on labelled boxes.

    Raises:
        InvertedBoxError: see `gesta.evaluate.claims`.
    """
    num_frames = len(heaps.num_F)
    labelled_heaps = pushed(empty_heaps(num_frames), groundtruth, cap=0, order=rules.groundtruth_order)
    claims = claims_of(
        heaps, labelled_of(labelled_heaps, order=rules.groundtruth_order), order=rules.order,
        first_F=labelled_heaps.first_F if rules.counted == "boxed" else heaps.first_F, ious=ious,
        num_classes=num_classes, is_float32=rules.is_float32, with_boxes=with_boxes,
    )  # fmt: skip
    is_counted_M = groundtruth.class_N >= 0
    if not rules.counts_excluded_boxes:
        is_counted_M &= groundtruth.frame_N >= 0
    num_groundtruth_C = np.bincount(groundtruth.class_N[is_counted_M], minlength=num_classes)
    return Matched(claims=claims, num_groundtruth_C=num_groundtruth_C, num_key_frames=num_frames)


def scored(
    matched: Matched, class_ids: Sequence[int], rules: Rules, ious: Sequence[float], ties: Ties
) -> list[FrameMap]:
    """Average precision of every class and its mean, at each threshold that was matched.

    Raises:
        BadInput: MMAction2's rules, and no labelled box counts: that program ends in an error there.
    """
    claims, num_groundtruth_C = matched.claims, matched.num_groundtruth_C
    num_detections_C = np.bincount(claims.class_K, minlength=len(class_ids))
    if rules.skips_undetected_classes and not num_groundtruth_C.any():
        raise BadInput(f"no labelled box counts, and {rules.what} ends in an error", mend="Check the label map")
    score_K = claims.score_K.astype(np.float32).astype(np.float64) if rules.is_float32 else claims.score_K
    results = []
    for iou, right_K in zip(ious, claims.right_TK, strict=True):
        ap_C = average_precisions(
            claims.class_K, score_K, right_K, num_groundtruth_C=num_groundtruth_C, num_detections_C=num_detections_C,
            ties=ties,
        )  # fmt: skip
        if rules.skips_undetected_classes:
            ap_C[num_detections_C == 0] = np.nan
        results.append(
            FrameMap(
                mean_ap=float(np.nanmean(ap_C)) if np.isfinite(ap_C).any() else float("nan"),
                class_ids=tuple(int(class_id) for class_id in class_ids),
                average_precision=ap_C,
                num_groundtruth=num_groundtruth_C,
                num_detections=num_detections_C,
                num_key_frames=matched.num_key_frames,
                iou=float(iou),
            )
        )
    return results


def sorted_class_ids(class_ids: Sequence[int]) -> Ints:
    """The classes that count, rising.

    Raises:
        BadInput: there is none, or one comes twice.
    """
    classes = np.unique(np.asarray(class_ids, dtype=np.int64))
    if len(classes) == 0 or len(classes) != len(class_ids):
        raise BadInput(f"class ids {list(class_ids)[:10]}", mend="Want at least one, none of them twice")
    return classes


def _frame_maps(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    rules: Rules,
    ious: Sequence[float],
    excluded: pl.DataFrame | None = None,
    ties: Ties = "stable",
) -> list[FrameMap]:
    matched = _matched(groundtruth, detections, class_ids=class_ids, rules=rules, ious=ious, excluded=excluded)
    return scored(matched, sorted_class_ids(class_ids).tolist(), rules, ious, ties)


def _matched(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    rules: Rules,
    ious: Sequence[float],
    excluded: pl.DataFrame | None = None,
    with_boxes: bool = False,
) -> Matched:
    check_rows(groundtruth, ["class_id"], ious=ious, what="ground truth", rules=rules)
    check_rows(detections, ["class_id", "score"], ious=ious, what="detections", rules=rules)
    classes = sorted_class_ids(class_ids)
    key_frames = key_frames_of(groundtruth, detections, classes, rules=rules, excluded=excluded)
    labelled = boxes_of(groundtruth, key_frames, classes, what="ground truth")
    found = boxes_of(detections, key_frames, classes, what="detections")
    try:
        heaps = pushed(empty_heaps(len(key_frames)), found, cap=rules.cap, order=rules.order)
        return match(labelled, heaps, len(classes), rules=rules, ious=ious, with_boxes=with_boxes)
    except InvertedBoxError as error:
        raise inverted_box(error, groundtruth if error.is_labelled else detections) from error


def inverted_box(error: InvertedBoxError, rows: pl.DataFrame) -> BadInput:
    """The error in words, from the rows (`KEY`, `CORNERS`) that it counts."""
    row = rows.row(error.row, named=True)
    what = "ground truth" if error.is_labelled else "detections"
    corners = [row[name] for name in CORNERS]
    return BadInput(
        f"{what} of {row['video_id']} at {format_seconds(row['timestamp_us'])} s: box {corners} ends before it starts",
        mend="Want x1 <= x2 and y1 <= y2",
    )


def check_rows(frame: pl.DataFrame, columns: Sequence[str], *, ious: Sequence[float], what: str, rules: Rules) -> None:
    """Nothing, where the rows can be scored so.

    Raises:
        BadInput: a column is missing, there is no threshold, or the rules refuse a time.
    """
    if not len(ious):
        raise BadInput("no overlap threshold was given", mend="Want at least one, such as 0.5")
    missing = [name for name in (*KEY, *CORNERS, *columns) if name not in frame.columns]
    if missing:
        raise BadInput(f"{what}: no column {', '.join(missing)}", mend=f"Found: {', '.join(frame.columns)}")
    if not rules.has_fractions:
        refuse_fractions(frame["timestamp_us"], what=what, rules=rules)


def refuse_fractions(times_us: pl.Series, *, what: str, rules: Rules) -> None:
    """Nothing, where every time is a whole second.

    Raises:
        BadInput: one is none, and the project reads whole seconds only.
    """
    fractions = times_us.filter(times_us % US_PER_S != 0)
    if len(fractions):
        raise BadInput(
            f"{what}: {rules.what} reads whole seconds only, not {format_seconds(fractions[0])}",
            mend="Use the protocol 'official'",
        )


def key_frames_of(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    classes: Ints,
    *,
    rules: Rules,
    excluded: pl.DataFrame | None,
) -> pl.DataFrame:
    """The key-frames that count, numbered in the order of their first row: `KEY` and `frame`."""
    keys = groundtruth.filter(pl.col("class_id").is_in(classes.tolist())) if rules.counted == "boxed" else groundtruth
    keys = keys.select(KEY)
    if rules.counted == "any":
        keys = pl.concat([keys, detections.select(KEY)])
    keys = keys.unique(maintain_order=True)
    if excluded is not None:
        keys = keys.join(excluded.select(KEY), on=KEY, how="anti", maintain_order="left")
    return keys.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("frame"))


def boxes_of(rows: pl.DataFrame, key_frames: pl.DataFrame, classes: Ints, *, what: str) -> Boxes:
    """The rows as arrays; `key_frames` numbers what counts, `classes` [C] rises.

    Raises:
        BadInput: a score or corner that counts is no finite number.
    """
    frame = rows.select(KEY).join(key_frames, on=KEY, how="left", maintain_order="left")["frame"]
    class_ids = pl.Series(classes).to_frame("class_id").with_columns(pl.int_range(pl.len(), dtype=pl.Int32).alias("i"))
    index = rows.select(pl.col("class_id").cast(pl.Int64)).join(
        class_ids, on="class_id", how="left", maintain_order="left"
    )["i"]
    score = rows["score"] if "score" in rows.columns else pl.Series("score", [1.0]).new_from_index(0, len(rows))
    boxes = Boxes(
        frame_N=frame.fill_null(-1).to_numpy(),
        class_N=index.fill_null(-1).to_numpy(),
        corners_N4=np.ascontiguousarray(rows.select(pl.col(CORNERS).cast(pl.Float64).fill_null(np.nan)).to_numpy()),
        score_N=score.cast(pl.Float64).fill_null(1.0).to_numpy(),
    )
    wrong = ~(np.isfinite(boxes.score_N) & np.isfinite(boxes.corners_N4).all(axis=1))
    wrong &= (boxes.frame_N >= 0) & (boxes.class_N >= 0)
    if wrong.any():
        row = rows.row(int(wrong.argmax()), named=True)
        raise BadInput(f"{what}: a score or corner is no number: {row}", mend="Want finite numbers")
    return boxes
