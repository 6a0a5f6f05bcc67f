"""Faults planted into detections that are good, and what the diagnosis says first."""

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.diagnosis import diagnose
from gesta.evaluate.frame_map import frame_map
from gesta.evaluate.repair_keys import id_repair
from gesta.formats import read_label_map
from gesta.schema import BadInput

CLASS_IDS = [1, 3, 4, 8, 12, 17, 80]
NAMES = ["walk", "bow", "sit", "answer", "stand", "carry", "watch"]
LABEL_MAP = pl.DataFrame({"class_id": CLASS_IDS, "name": NAMES})
VIDEOS = ["-5KQ66BBWC4", "_Ca3gOdOHxU", "1j20qq1JyX4"]
c = pl.col
CORNERS = ["x1", "y1", "x2", "y2"]


@pytest.fixture(scope="module")
def case():
    """Ground truth of three films, a key-frame a second, and detections that are nearly right."""
    rng = np.random.default_rng(7)
    truth, found = [], []
    for video in VIDEOS:
        for person in range(2):
            x, y = rng.random(2) * 0.4
            for second in range(902, 942):
                x, y = np.clip(np.array([x, y]) + rng.normal(0, 0.06, 2), 0, 0.5)
                box = (x, y, x + 0.22 + 0.08 * person, y + 0.45)
                labels = rng.choice(CLASS_IDS, 2, replace=False)
                truth += [(video, second * 1_000_000, *box, int(label), 1.0) for label in labels]
                near = tuple(np.array(box) + rng.normal(0, 0.01, 4))
                scores = rng.beta(2, 6, len(CLASS_IDS)) + 0.35 * np.isin(CLASS_IDS, labels)
                found += [
                    (video, second * 1_000_000, *near, class_id, float(score))
                    for class_id, score in zip(CLASS_IDS, scores, strict=True)
                ]
    schema = ["video_id", "timestamp_us", *CORNERS, "class_id", "score"]
    return pl.DataFrame(truth, schema=schema, orient="row"), pl.DataFrame(found, schema=schema, orient="row")


def times(expression):
    return lambda rows: rows.with_columns(timestamp_us=expression.cast(pl.Int64))


def ids(expression):
    return lambda rows: rows.with_columns(video_id=expression)


def classes(table):
    return lambda rows: rows.with_columns(class_id=c.class_id.replace(list(table), list(table.values())))


FRAMES_2997 = (c.timestamp_us.cast(pl.Float64) / 1e6 * 30000 / 1001).round() * 1_000_000
PIXELS = {"x1": c.x1 * 640, "x2": c.x2 * 640, "y1": c.y1 * 480, "y2": c.y2 * 480}
FAULTS = {
    "extension": (ids(c.video_id + ".mp4"), "video ids", "without its file extension"),
    "folder": (ids("/data/val/" + c.video_id + ".mkv"), "video ids", "without its folder and without its file ext"),
    "windows folder": (ids("D:\\ava\\" + c.video_id), "video ids", "without its folder"),
    "small letters": (ids(c.video_id.str.to_lowercase()), "video ids", "in small letters"),
    "mark lost": (ids(c.video_id.str.strip_chars_start("-_")), "video ids", "without - and _ in front"),
    "clip names": (ids(c.video_id + "_000902_000912"), "video ids", "without start and end of the clip"),
    "ActivityNet's v_": (ids("v_" + c.video_id), "video ids", "without 'v_' in front"),
    "links": (ids("https://www.youtube.com/watch?v=" + c.video_id), "video ids", "taken out of its link"),
    "other prefix": (ids("film:" + c.video_id), "video ids", "found inside a longer name"),
    "from minute 15": (times(c.timestamp_us - 900_000_000), "times", "times + 900 s"),
    "from the first": (times(c.timestamp_us - 902_000_000), "times", "times + 902 s"),
    "0-based": (times(c.timestamp_us - 1_000_000), "times", "times + 1 s"),
    "1-based": (times(c.timestamp_us + 1_000_000), "times", "times - 1 s"),
    "odd offset": (times(c.timestamp_us - 437_500_000), "times", "times + 437.5 s"),
    "milliseconds": (times(c.timestamp_us * 1000), "times", "times read as milliseconds"),
    "frames at 30": (times(c.timestamp_us * 30), "times", "frame numbers at 30 frames a second"),
    "frames of a cut film": (
        times((c.timestamp_us - 900_000_000) * 25 + 1_000_000), "times",
        "frame numbers at 25 frames a second and + 900 s, counted from 1",
    ),
    "frames at 29.97": (times(FRAMES_2997), "times", "frame numbers at 29.97 frames a second"),
    "rounded": (times(c.timestamp_us + (c.timestamp_us // 1_000_000 % 3 - 1) * 7_000), "times", "nearer than 0.05 s"),
    "pixels": (lambda rows: rows.with_columns(**PIXELS), "boxes", "in pixels"),
    "thousandths": (lambda rows: rows.with_columns(c(CORNERS) * 1000), "boxes", "in thousandths"),
    "percent": (lambda rows: rows.with_columns(c(CORNERS) * 100), "boxes", "in percent"),
    "y first": (lambda rows: rows.with_columns(x1="y1", y1="x1", x2="y2", y2="x2"), "boxes", "y1 x1 y2 x2"),
    "sizes": (lambda rows: rows.with_columns(x2=c.x2 - c.x1, y2=c.y2 - c.y1), "boxes", "x y width height"),
    "centres": (
        lambda rows: rows.with_columns(
            x1=(c.x1 + c.x2) / 2, y1=(c.y1 + c.y2) / 2, x2=c.x2 - c.x1, y2=c.y2 - c.y1
        ), "boxes", "centre x, centre y, width, height",
    ),
    "mirrored": (lambda rows: rows.with_columns(x1=1 - c.x2, x2=1 - c.x1), "boxes", "mirrored left to right"),
    "upside down": (lambda rows: rows.with_columns(y1=1 - c.y2, y2=1 - c.y1), "boxes", "mirrored top to bottom"),
    "class from 0": (lambda rows: rows.with_columns(c.class_id - 1), "classes", "class ids + 1"),
    "class too high": (lambda rows: rows.with_columns(c.class_id + 1), "classes", "class ids - 1"),
    "places from 0": (
        classes({class_id: i for i, class_id in enumerate(CLASS_IDS)}), "classes", "in the label map, counted from 0",
    ),
    "places from 1": (
        classes({class_id: i + 1 for i, class_id in enumerate(CLASS_IDS)}), "classes",
        "in the label map, counted from 1",
    ),
    "alphabetical": (
        classes({CLASS_IDS[NAMES.index(name)]: i for i, name in enumerate(sorted(NAMES))}), "classes",
        "alphabetical list of names, counted from 0",
    ),
    "shuffled": (classes(dict(zip(CLASS_IDS, [80, 12, 17, 3, 1, 4, 8], strict=True))), "classes", "labels suggest"),
    "turned round": (lambda rows: rows.with_columns(score=1 - c.score), "scores", "scores turned round"),
    "written twice": (lambda rows: pl.concat([rows, rows]), "rows", "each row once"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_the_first_finding(case, name):
    truth, found = case
    plant, kind, trial = FAULTS[name]
    plain = frame_map(truth, found, class_ids=CLASS_IDS).mean_ap
    result = diagnose(truth, plant(found), class_ids=CLASS_IDS, label_map=LABEL_MAP)
    first = result.findings[0]
    assert (first.kind, trial in first.trial) == (kind, True), first
    assert first.gain == pytest.approx(result.mean_ap_mended - result.mean_ap)
    assert result.mean_ap < plain
    assert result.mean_ap_mended == pytest.approx(plain, rel=0.03)
    assert first.mend
    assert first.evidence
    assert sum(finding.gain is not None for finding in result.findings) == 1


def test_what_is_good_has_no_finding(case):
    truth, found = case
    result = diagnose(truth, found, class_ids=CLASS_IDS, label_map=LABEL_MAP)
    assert result.findings == ()
    assert result.mean_ap == result.mean_ap_mended == frame_map(truth, found, class_ids=CLASS_IDS).mean_ap
    assert not result.is_sample


def test_faults_that_come_together_are_all_found(case):
    truth, found = case
    broken = found.with_columns(
        video_id=c.video_id + ".mp4", timestamp_us=c.timestamp_us - 900_000_000, class_id=c.class_id - 1, **PIXELS
    )
    result = diagnose(truth, broken, class_ids=CLASS_IDS)
    assert [finding.kind for finding in result.findings] == ["video ids", "times", "boxes", "classes"]
    assert result.mean_ap == 0.0
    assert result.mean_ap_mended > 0.5
    # One of four mended gives nothing; three of four give nothing either.
    assert [finding.mean_ap_alone for finding in result.findings] == [0.0] * 4
    assert result.findings[0].gain == result.mean_ap_mended


def test_a_sample_of_key_frames_tells_the_same(case):
    truth, found = case
    result = diagnose(
        truth, found.with_columns(timestamp_us=c.timestamp_us - 900_000_000), class_ids=CLASS_IDS, max_key_frames=30
    )
    assert (result.is_sample, result.num_key_frames) == (True, 30)
    assert result.findings[0].trial == "times + 900 s"


def test_sizes_of_videos_are_used_where_they_are_known(case):
    truth, found = case
    odd = found.with_columns(x1=c.x1 * 711, x2=c.x2 * 711, y1=c.y1 * 389, y2=c.y2 * 389)
    videos = pl.DataFrame({"video_id": VIDEOS, "width_px": [711] * 3, "height_px": [389] * 3})
    result = diagnose(truth, odd, class_ids=CLASS_IDS, videos=videos)
    assert result.findings[0].trial == "boxes read as x1 y1 x2 y2 in pixels"
    assert result.mean_ap_mended == pytest.approx(frame_map(truth, found, class_ids=CLASS_IDS).mean_ap)


def test_labels_in_pixels_are_told_from_detections_in_pixels(case):
    truth, found = case
    result = diagnose(truth.with_columns(**PIXELS), found, class_ids=CLASS_IDS)
    assert result.findings[0].kind == "boxes"
    assert "the labelled boxes are in pixels" in result.findings[0].mend


def test_times_of_clips_are_counted_from_the_clips_start(case):
    truth, found = case
    start_s = 902 + 10 * ((c.timestamp_us // 1_000_000 - 902) // 10)
    clips = found.with_columns(
        video_id=pl.format("{}_{}_{}", "video_id", start_s.cast(pl.String).str.zfill(6), start_s + 10),
        timestamp_us=c.timestamp_us - start_s * 1_000_000,
    )
    result = diagnose(truth, clips, class_ids=CLASS_IDS)
    assert {finding.trial for finding in result.findings} == {
        "each video id without start and end of the clip", "the clip's start added to each time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (pl.lit(None, dtype=pl.Float64), "the detections have no scores"),
        (pl.lit(0.5), "all scores are equal"),
    ],
)
def test_scores_that_say_nothing_are_named_first(case, score, problem):
    truth, found = case
    first = diagnose(truth, found.with_columns(score=score), class_ids=CLASS_IDS).findings[0]
    assert (first.problem, first.gain, first.trial) == (problem, None, "")


def test_person_ids_in_place_of_scores_are_named(case):
    truth, found = case
    ids = found.with_columns(score=pl.Series(np.arange(len(found)) % 9, dtype=pl.Float64))
    problems = [finding.problem for finding in diagnose(truth, ids, class_ids=CLASS_IDS).findings]
    assert "the scores are whole numbers, as person ids are" in problems


def test_what_is_left_out_is_named_with_what_it_costs(case):
    truth, found = case
    part = found.filter((c.video_id != VIDEOS[0]) & (c.class_id != 80))
    findings = diagnose(truth, part, class_ids=CLASS_IDS).findings
    assert {finding.problem for finding in findings} == {
        "labelled key-frames have no detections", "labelled classes are never detected and count as 0",
    }  # fmt: skip
    assert all(finding.gain > 0.05 for finding in findings)
    assert any("40 of 120 labelled key-frames, videos: 1" in finding.evidence for finding in findings)


def test_ground_truth_that_is_wrong_by_itself(case):
    truth, found = case
    inverted = truth.with_columns(x1="x2", x2="x1")
    findings = diagnose(pl.concat([truth, inverted.head(3)]), found, class_ids=CLASS_IDS).findings
    assert findings[0].problem == "3 labelled boxes end before they start"
    other = diagnose(truth, found, class_ids=[99])
    assert other.findings[0].problem == "no label of the ground truth is of a class that counts"
    assert np.isnan(other.mean_ap)
    none = diagnose(truth, found.clear(), class_ids=CLASS_IDS)
    assert (none.mean_ap, none.findings[0].problem) == (0.0, "there are no detections")
    with pytest.raises(BadInput, match="no column score"):
        diagnose(truth, found.drop("score"), class_ids=CLASS_IDS)


def test_an_id_that_could_be_either_of_two_is_left_alone():
    wanted = pl.Series(["aB", "Ab", "cd"])
    assert id_repair(wanted, pl.Series(["ab", "cd"])) is None
    found = id_repair(wanted, pl.Series(["ab", "CD"]))
    assert found.apply(pl.DataFrame({"video_id": ["ab", "CD", "x"]}))["video_id"].to_list() == ["ab", "cd", "x"]
    assert "0 of 3 ground-truth videos" in found.evidence[0]


def test_files_that_have_nothing_in_common_end_in_a_diagnosis(case):
    truth, found = case
    strange = found.with_columns(video_id=pl.lit("somewhere else"))
    result = diagnose(truth, strange, class_ids=CLASS_IDS)
    assert result.mean_ap == result.mean_ap_mended == 0.0
    assert result.findings[0].problem == "no video of the ground truth has detections"


REAL = ["folder", "from minute 15", "0-based", "pixels", "sizes", "mirrored", "class from 0", "turned round"]


@pytest.mark.parametrize("name", REAL)
def test_faults_planted_into_a_real_models_detections(shared, name):
    from gesta.evaluate.stage import read_detections

    folder = shared / "golden/slowfast_1j20qq1JyX4"
    label_map = read_label_map(shared / "annotations/ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt")
    truth, found = (read_detections(folder / file) for file in ("groundtruth.csv", "detections.csv"))
    plant, kind, trial = FAULTS[name]
    result = diagnose(truth, plant(found), class_ids=label_map["class_id"].to_list(), label_map=label_map)
    first = result.findings[0]
    assert (first.kind, trial in first.trial) == (kind, True), first
    assert result.mean_ap_mended == pytest.approx(0.2805688, abs=1e-4)
