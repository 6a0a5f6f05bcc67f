"""Video mAP: what overlap is, where the two definitions part, what is refused; and the linking of frame detections."""

from __future__ import annotations

import polars as pl
import pytest

from gesta.evaluate.tube_linking import tubes_of_detections
from gesta.evaluate.video_map import IOU_50_TO_95, Definition, tube_rows, video_map
from gesta.formats.annotations import BOX_COLUMNS, VIDEO_COLUMNS, shaped
from gesta.schema import BadInput

BOX = (10.0, 10.0, 29.0, 49.0)


def tube(
    first: int, last: int, *, box: tuple[float, ...] = BOX, video: str = "v", label: int = 0, number: int = 0,
    score: float = 0.9, skip: tuple[int, ...] = (),
) -> pl.DataFrame:  # fmt: skip
    frames = [frame for frame in range(first, last + 1) if frame not in skip]
    corners = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
    return pl.DataFrame({"frame": frames}, schema={"frame": pl.Int64}).with_columns(
        video_id=pl.lit(video), class_id=pl.lit(label, dtype=pl.Int64), tube_id=pl.lit(number, dtype=pl.Int64),
        score=pl.lit(score), **{name: pl.lit(value) for name, value in corners.items()},
    )  # fmt: skip


def found_at(overlap: float, truth: pl.DataFrame, detection: pl.DataFrame, *, definition: Definition) -> bool:
    result = video_map(truth, detection, class_ids=[0], iou=[overlap], definition=definition)
    return bool(result.mean_ap_T[0] == 1.0)


@pytest.mark.parametrize(
    ("definition", "overlap"),
    [("act", 5 / 10), ("multisports", 4 / 9)],
)
def test_frames_of_both_over_frames_of_either(definition: Definition, overlap: float) -> None:
    truth, detection = tube(1, 10), tube(1, 5)
    assert found_at(overlap, truth, detection, definition=definition)
    assert not found_at(overlap + 1e-9, truth, detection, definition=definition)


@pytest.mark.parametrize(("definition", "overlap"), [("act", 20 / 40), ("multisports", 19 / 39)])
def test_a_box_is_a_pixel_wider_under_act(definition: Definition, overlap: float) -> None:
    truth, detection = tube(1, 4, box=(10, 10, 49, 49)), tube(1, 4, box=(10, 10, 29, 49))
    assert found_at(overlap, truth, detection, definition=definition)
    assert not found_at(overlap + 1e-9, truth, detection, definition=definition)


def test_one_shared_frame_is_an_overlap_under_act_only() -> None:
    assert found_at(0.1, tube(1, 5), tube(5, 9), definition="act")
    assert not found_at(1e-9, tube(1, 5), tube(5, 9), definition="multisports")
    assert not found_at(1e-9, tube(1, 1), tube(1, 1), definition="multisports")


def test_a_skipped_frame_overlaps_nothing() -> None:
    truth, detection = tube(1, 10), tube(1, 10, skip=(4, 5))
    assert found_at(0.8, truth, detection, definition="act")
    assert not found_at(0.8 + 1e-9, truth, detection, definition="act")
    assert found_at(0.8, detection, truth, definition="act")


def test_a_claimed_tube_is_passed_over_under_act_only() -> None:
    near = (12.0, 10.0, 31.0, 49.0)
    truth = pl.concat([tube(1, 9, number=0), tube(1, 9, number=1, box=near)])
    found = pl.concat([tube(1, 9, number=0, score=0.9), tube(1, 9, number=1, score=0.8, box=(10.5, 10.0, 29.5, 49.0))])
    for definition, wanted in (("act", 1.0), ("multisports", 0.5)):
        result = video_map(truth, found, class_ids=[0], iou=[0.5], definition=definition, nms_iou=None)  # type: ignore[arg-type]
        assert result.of_class(0, iou=0.5) == wanted


def test_worse_tubes_go_before_scoring_under_act() -> None:
    twice = pl.concat([tube(1, 9, number=0, score=0.9), tube(1, 9, number=1, score=0.8)])
    both = tube(1, 9)
    assert video_map(both, twice, class_ids=[0], definition="act").num_detections_C.tolist() == [1]
    assert video_map(both, twice, class_ids=[0], definition="act", nms_iou=None).num_detections_C.tolist() == [2]
    assert video_map(both, twice, class_ids=[0], definition="multisports").num_detections_C.tolist() == [2]
    apart = pl.concat([twice.filter(pl.col("tube_id") == 0), tube(1, 9, number=1, label=1, score=0.8)])
    assert video_map(both, apart, class_ids=[0, 1], definition="act").num_detections_C.tolist() == [1, 1]


def test_areas_by_hand() -> None:
    truth = pl.concat([tube(1, 9, video="a"), tube(1, 9, video="b")])
    found = pl.concat(
        [tube(1, 9, video="a", score=0.9), tube(1, 9, video="c", score=0.8), tube(1, 9, video="b", score=0.7)]
    )
    # Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    assert video_map(truth, found, class_ids=[0], definition="multisports").mean_ap_T[0] == pytest.approx(
        0.5 + 0.5 * 2 / 3
    )
    act = 0.5 + 0.5 * (1 / 2 + 2 / 3) / 2
    assert video_map(truth, found, class_ids=[0], definition="act").mean_ap_T[0] == pytest.approx(act, abs=1e-7)


def test_classes_without_labelled_tubes_or_detections() -> None:
    result = video_map(tube(1, 9), tube(1, 9), class_ids=[0, 5], definition="act")
    assert result.average_precision_TC.tolist() == [[1.0, 0.0]]
    assert result.mean_ap_T.tolist() == [0.5]
    result = video_map(tube(1, 9), tube(1, 9, label=5), class_ids=[0, 5], definition="multisports")
    assert result.of_class(0, iou=0.5) == 0.0
    assert result.mean_ap_T.tolist() == [0.0]
    assert result.num_groundtruth_C.tolist() == [1, 0]
    empty = tube(1, 9).clear()
    assert video_map(tube(1, 9), empty, class_ids=[0], definition="multisports").mean_ap_T.tolist() == [0.0]
    nothing = video_map(empty, empty, class_ids=[0], definition="multisports")
    assert nothing.mean_ap_T[0] != nothing.mean_ap_T[0]


def test_the_mean_over_thresholds() -> None:
    result = video_map(tube(1, 10), tube(1, 8), class_ids=[0], iou=IOU_50_TO_95)
    assert result.mean_over() == pytest.approx(0.7)
    with pytest.raises(ValueError, match="not in tuple"):
        result.mean_over([0.2])


def test_equal_scores_go_by_rows() -> None:
    far = (90.0, 90.0, 99.0, 99.0)
    right, wrong = tube(1, 9, number=0, score=0.5), tube(1, 9, number=1, score=0.5, box=far)
    assert video_map(right, pl.concat([right, wrong]), class_ids=[0], definition="multisports").mean_ap_T[0] == 1.0
    assert video_map(right, pl.concat([wrong, right]), class_ids=[0], definition="multisports").mean_ap_T[0] == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": "frame"}, "detections: no column frame"),
        ({"score": pl.lit(None, dtype=pl.Float64)}, "detections: column score has nulls"),
        ({"x2": pl.lit(float("inf"))}, "detections: a score or corner is no number"),
        ({"frame": pl.lit(3, dtype=pl.Int64)}, "tube 0 of video v has two boxes on frame 3"),
        ({"score": pl.col("frame") / 10}, "tube 0 of video v has two scores"),
        ({"x2": pl.lit(0.5), "y2": pl.lit(1.0)}, "detections: no box reaches beyond 1, so these are fractions"),
    ],
)
def test_what_is_no_tube_is_refused(*, change: dict[str, object], message: str) -> None:
    found = tube(1, 9)
    found = found.drop("frame") if "drop" in change else found.with_columns(**change)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=message):
        video_map(tube(1, 9), found, class_ids=[0])


def test_arguments_are_checked() -> None:
    for classes in ([], [1, 1]):
        with pytest.raises(BadInput, match="Want at least one, none of them twice"):
            video_map(tube(1, 9), tube(1, 9), class_ids=classes)
    for iou in ([], [0.0], [1.5]):
        with pytest.raises(BadInput, match="thresholds"):
            video_map(tube(1, 9), tube(1, 9), class_ids=[0], iou=iou)


def test_rows_of_fractions_at_times() -> None:
    boxes = {"video_id": ["v", "v", "v"], "timestamp_us": [0, 40_000, 80_000], "person_id": [7, 7, 7]}
    corners = {"x1": [0.1, 0.2, None], "y1": [0.0, 0.5, None], "x2": [0.3, 0.4, None], "y2": [1.0, 0.6, None]}
    frame = shaped(pl.DataFrame(boxes | corners | {"class_id": [1, 1, None], "score": [0.5, 0.5, None]}), BOX_COLUMNS)
    videos = {"video_id": ["v"], "width_px": [320], "height_px": [240], "fps_num": [25], "fps_den": [1]}
    rows = tube_rows(frame, shaped(pl.DataFrame(videos), VIDEO_COLUMNS))
    assert rows.rows() == [("v", 7, 1, 1, 32.0, 0.0, 96.0, 240.0, 0.5), ("v", 7, 1, 2, 64.0, 120.0, 128.0, 144.0, 0.5)]
    with pytest.raises(BadInput, match="groundtruth: the frame rate of video 'v' is not known"):
        tube_rows(frame, shaped(pl.DataFrame({"video_id": ["v"]}), VIDEO_COLUMNS), what="groundtruth")


def linked(*parts: pl.DataFrame, **options: float) -> list[tuple[int, int, int, float]]:
    tubes = tubes_of_detections(pl.concat(parts).drop("tube_id"), **options)  # type: ignore[arg-type]
    found = tubes.group_by("video_id", "class_id", "tube_id", maintain_order=True).agg(
        pl.col("frame").min().alias("first"), pl.col("frame").max().alias("last"), pl.col("score").first()
    )
    return [(row["tube_id"], row["first"], row["last"], round(row["score"], 6)) for row in found.iter_rows(named=True)]


def test_a_walk_becomes_one_tube_and_a_gap_two() -> None:
    assert linked(tube(3, 20)) == [(0, 3, 20, 0.9)]
    assert linked(tube(1, 40, skip=(20,))) == [(0, 1, 19, 0.9), (1, 21, 40, 0.9)]
    assert linked(tube(1, 40, skip=(14,))) == [(0, 15, 40, 0.9)]
    assert linked(tube(1, 14)) == []
    assert linked(tube(1, 14), min_frames=14) == [(0, 1, 14, 0.9)]
    assert linked(tube(1, 20, score=0.004)) == []


def test_persons_apart_and_classes_are_tubes_of_their_own() -> None:
    far = (90.0, 90.0, 99.0, 99.0)
    assert linked(tube(1, 20), tube(5, 20, box=far, score=0.5)) == [(0, 1, 20, 0.9), (1, 5, 20, 0.5)]
    assert linked(tube(1, 20), tube(1, 20, label=1, score=0.4)) == [(0, 1, 20, 0.9), (0, 1, 20, 0.4)]
    assert linked(tube(1, 20, video="a"), tube(21, 40, video="b")) == [(0, 1, 20, 0.9), (0, 21, 40, 0.9)]


def test_a_double_detection_is_lowered_by_its_overlap() -> None:
    twin = tube(1, 20, box=(10.0, 10.0, 29.0, 46.0), score=0.8)
    tubes = tubes_of_detections(pl.concat([tube(1, 20), twin]).drop("tube_id"))
    assert tubes["box_score"].unique().sort().to_list() == pytest.approx([0.8 * (1 - 37 / 40), 0.9])


def test_linked_tubes_are_what_video_map_takes() -> None:
    tubes = tubes_of_detections(pl.concat([tube(1, 20), tube(30, 50)]).drop("tube_id"))
    truth = pl.concat([tube(1, 20), tube(30, 50, number=1)])
    assert video_map(truth, tubes, class_ids=[0]).mean_ap_T.tolist() == [1.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x1": pl.lit(None, dtype=pl.Float64)}, "column x1 has nulls"),
        ({"score": pl.lit(float("nan"))}, "a score or corner is no number"),
    ],
)
def test_what_cannot_be_linked_is_refused(*, change: dict[str, pl.Expr], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        tubes_of_detections(tube(1, 20).with_columns(**change))
    with pytest.raises(BadInput, match="no column frame"):
        tubes_of_detections(tube(1, 20).drop("frame"))
