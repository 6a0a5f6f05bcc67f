"""COCO-style average precision against pycocotools on random key-frames."""

import contextlib
import io
import math

import numpy as np
import polars as pl
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gesta.evaluate.coco import COCO_IOUS, coco_map
from gesta.schema import BadInput

BOX = ["x1", "y1", "x2", "y2"]
SCHEMA = {"video_id": pl.String, "timestamp_us": pl.Int64, **dict.fromkeys(BOX, pl.Float64), "class_id": pl.Int64}
CLASSES = [2, 3, 5, 8]


def tables(seed, *, decimals=None, ties=False, crowd=False):
    """Labelled boxes and detections of a few key-frames; with `crowd`, hundreds of detections of a class on one."""
    rng = np.random.default_rng([seed, 99])
    frames = [(f"v{rng.integers(3)}", int(second) * 1_000_000) for second in rng.integers(900, 908, size=12)]
    truth, found = [], []
    for key in sorted(set(frames), key=lambda _: rng.random()):
        for _ in range(int(rng.integers(0, 5))):
            corner, size = rng.uniform(0, 0.6, 2), rng.uniform(0.02, 0.4, 2)
            box = np.concatenate([corner, corner + size])
            # Labelled boxes that overlap each other are where COCO's matching and AVA's part.
            for other in [box, *(box + rng.normal(0, 0.02, (int(rng.integers(0, 3)), 4)))]:
                truth.append([*key, *shaped(other, decimals), int(rng.choice(CLASSES[:3]))])
            for _ in range(int(rng.integers(0, 4)) * (90 if crowd else 1)):
                near = shaped(box + rng.normal(0, 0.012, 4), decimals)
                score = round(float(rng.random()) * 5) / 5 if ties else float(rng.random())
                found.append([*key, *near, int(rng.choice(CLASSES[1:])), score])
        if not truth or truth[-1][:2] != list(key):
            truth.append([*key, *[None] * 5])
    rng.shuffle(found)
    found.append(["elsewhere", 1, 0.1, 0.1, 0.5, 0.5, 3, 0.9])
    return (
        pl.DataFrame(truth, schema=SCHEMA, orient="row"),
        pl.DataFrame(found, schema={**SCHEMA, "score": pl.Float64}, orient="row"),
    )


def shaped(box, decimals):
    x1, y1, x2, y2 = box if decimals is None else np.round(box, decimals)
    return [float(x1), float(y1), float(max(x2, x1 + 0.01)), float(max(y2, y1 + 0.01))]


def by_pycocotools(truth, found, *, ious, cap, area):
    number = {
        key: i + 1 for i, key in enumerate(truth.select("video_id", "timestamp_us").unique(maintain_order=True).rows())
    }
    labels, results = [], []
    for row in truth.drop_nulls("class_id").iter_rows():
        x1, y1, x2, y2 = row[2:6]
        box, image = [x1, y1, x2 - x1, y2 - y1], number[row[:2]]
        labels.append(
            {
                "id": len(labels) + 1,
                "image_id": image,
                "category_id": row[6],
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
        )
    for row in found.iter_rows():
        x1, y1, x2, y2 = row[2:6]
        if row[:2] in number and row[6] in CLASSES:
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": number[row[:2]], "category_id": row[6], "bbox": box, "score": row[7]})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in number.values()],
        "categories": [{"id": i} for i in CLASSES],
        "annotations": labels,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.params.iouThrs, run.params.maxDets, run.params.areaRng = np.array(ious), [cap], [list(area)]
        run.params.areaRngLbl = ["all"]
        run.evaluate()
        run.accumulate()
    precision_TRC, recall_TC = run.eval["precision"][:, :, :, 0, 0], run.eval["recall"][:, :, 0, 0]
    absent = recall_TC < 0
    ap_TC = np.where(absent, np.nan, precision_TRC.mean(axis=1))
    kept = precision_TRC[precision_TRC > -1]
    return ap_TC.T, np.where(absent, np.nan, recall_TC).T, kept.mean() if kept.size else np.nan


def assert_equal(truth, found, *, ious=COCO_IOUS, cap=100, area=(0.0, 1e10)):
    ours = coco_map(truth, found, class_ids=CLASSES, ious=ious, cap=cap, area_frac=area)
    ap_CT, recall_CT, mean = by_pycocotools(truth, found, ious=ious, cap=cap, area=area)
    np.testing.assert_allclose(ours.average_precision_CT, ap_CT, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.recall_CT, recall_CT, rtol=0, atol=1e-12)
    assert ours.mean_ap == pytest.approx(mean, abs=1e-12, nan_ok=True)
    return ours


@pytest.mark.parametrize("decimals", [None, 2])
@pytest.mark.parametrize("ties", [False, True])
def test_random_key_frames(decimals, ties):
    scores = [assert_equal(*tables(seed, decimals=decimals, ties=ties)) for seed in range(25)]
    assert np.ptp([score.mean_ap for score in scores]) > 0.05
    # The last class has no labelled box, the first no detection.
    assert all(np.isnan(score.of_class(8)) and score.of_class(2) == 0 for score in scores)


@pytest.mark.parametrize("cap", [1, 7, 100])
def test_more_detections_than_count(cap):
    for seed in range(6):
        truth, found = tables(seed, ties=True, crowd=True)
        assert found.group_by("video_id", "timestamp_us", "class_id").len()["len"].max() > 100
        assert_equal(truth, found, cap=cap)


@pytest.mark.parametrize("area", [(0.0, 0.02), (0.02, 0.06), (0.06, 1.0)])
def test_boxes_of_one_size(area):
    scores = [assert_equal(*tables(seed), area=area).num_groundtruth.sum() for seed in range(20)]
    assert 0 < sum(scores) < sum(tables(seed)[0]["class_id"].count() for seed in range(20))


def test_other_thresholds():
    for seed in range(10):
        assert_equal(*tables(seed, decimals=1), ious=(0.1, 0.5, 1.0))


def test_the_same_box_overlaps_wholly_whatever_rounding_makes_of_its_sides():
    for seed in range(10):
        truth, _ = tables(seed)
        same = truth.drop_nulls("class_id").with_columns(score=pl.lit(0.5))
        assert assert_equal(truth, same, ious=(0.5, 1.0)).at(1.0) > 0.9


def test_the_names_that_coco_gives():
    truth, found = tables(1)
    score = coco_map(truth, found, class_ids=CLASSES)
    for iou in (0.5, 0.75):
        assert score.at(iou) == coco_map(truth, found, class_ids=CLASSES, ious=(iou,)).mean_ap
    assert score.at(0.5) > score.at(0.75) >= score.at(0.95)
    assert score.mean_ap == pytest.approx(np.mean([score.at(iou) for iou in COCO_IOUS]), abs=1e-12)
    with pytest.raises(BadInput, match=r"no average precision at an overlap of 0.4"):
        score.at(0.4)


def test_nothing_found_and_nothing_labelled():
    truth, found = tables(1)
    nothing = coco_map(truth, found.clear(), class_ids=CLASSES)
    assert nothing.mean_ap == 0
    assert nothing.mean_recall == 0
    assert math.isnan(coco_map(truth.clear(), found, class_ids=CLASSES).mean_ap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_ids": []}, "class ids"),
        ({"class_ids": [1, 1]}, "class ids"),
        ({"ious": ()}, "thresholds of overlap"),
        ({"ious": (0.5, 0.0)}, "thresholds of overlap"),
        ({"cap": 0}, "cap=0"),
        ({"detections": tables(1)[1].drop("score")}, "detections: no column score"),
        ({"detections": tables(1)[1].with_columns(score=math.nan)}, "detections: a score or corner is no number"),
        ({"groundtruth": tables(1)[0].with_columns(x1="x2", x2="x1")}, "ground truth: a box ends before it starts"),
    ],
)
def test_what_cannot_be_scored(change, message):
    truth, found = tables(1)
    arguments = {"groundtruth": truth, "detections": found, "class_ids": CLASSES, **change}
    with pytest.raises(BadInput, match=message):
        coco_map(arguments.pop("groundtruth"), arguments.pop("detections"), **arguments)
