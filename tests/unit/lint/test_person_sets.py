"""Each finding of a set of persons has a set that has it and one that has not; what is said to mend it does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.formats import read_ava_csv, write_label_map
from gesta.lint import Finding
from gesta.lint.person_codes import PERSON_CODES
from gesta.lint.person_proposals import best_overlaps, proposal_findings
from gesta.lint.person_sets import LabelledPersons, check_persons, findings_text, is_severe
from gesta.lint.person_sources import check_ava_sources, videos_at_hand

S = 1_000_000
CLASSES = pl.DataFrame({"class_id": [1, 2, 3], "name": ["stand", "sit", "wave"]})


def rows_of(rows: list[tuple]) -> pl.DataFrame:
    """video, seconds, x1, y1, x2, y2, class."""
    frame = pl.DataFrame(
        rows, schema=["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"], orient="row",
        schema_overrides={"x1": pl.Float64, "y1": pl.Float64, "x2": pl.Float64, "y2": pl.Float64, "class_id": pl.Int64},
    )  # fmt: skip
    return frame.with_columns(
        (pl.col("timestamp_us") * S).cast(pl.Int64), pl.lit(None, dtype=pl.Int64).alias("person_id"),
        pl.lit(None, dtype=pl.Float64).alias("score"), pl.int_range(1, pl.len() + 1).alias("line"),
    )  # fmt: skip


GOOD = [
    (f"film{number % 2}", 3 + 0.5 * number, 0.1, 0.1 + number / 100, 0.4, 0.9, 1 + number % 3) for number in range(24)
]
VIDEOS = pl.DataFrame({"video_id": ["film0", "film1"], "start_us": [0, 0], "end_us": [60 * S, 60 * S]})


def set_of(rows: list[tuple] = GOOD, **more) -> LabelledPersons:
    values = {"label_map": CLASSES, "videos": VIDEOS, **more}
    return LabelledPersons(name=more.pop("name", "ava train"), where="train.csv", rows=rows_of(rows), **{
        key: value for key, value in values.items() if key != "name"
    })  # fmt: skip


def boxes_of(part: LabelledPersons, *, score: float = 0.95) -> pl.DataFrame:
    keyed = part.rows.drop_nulls("x1").select("video_id", "timestamp_us", "x1", "y1", "x2", "y2").unique(
        maintain_order=True
    )  # fmt: skip
    return keyed.with_columns(score=pl.lit(score))


def by_code(found: list[Finding]) -> dict[str, Finding]:
    return {one.code: one for one in found}


def changed(frame: pl.DataFrame, **columns) -> pl.DataFrame:
    return frame.with_columns(**columns)


def test_a_good_set_has_no_finding():
    part = set_of()
    assert check_persons([part]) == []
    good = by_code(check_persons([set_of(proposals=boxes_of(part))]))
    assert set(good) == {"proposals-recall"}
    assert "cover 100.0% of 24 persons at an overlap of 0.5 and 100.0% at 0.9" in good["proposals-recall"].message
    assert not is_severe(list(good.values()))


@dataclass(frozen=True)
class Broken:
    """A set with one thing wrong: its code, whether it stops, and a piece of what is said to mend it."""

    code: str
    part: LabelledPersons
    is_severe: bool = True
    mend: str = ""


def scaled(factor: float) -> list[tuple]:
    return [(video, time, *(factor * one for one in box), class_id) for video, time, *box, class_id in GOOD]


def timed(change) -> list[tuple]:
    return [(video, change(time), *rest) for video, time, *rest in GOOD]


def classed(change) -> list[tuple]:
    return [(*rest, change(class_id)) for *rest, class_id in GOOD]


BROKEN = [
    Broken("set-empty", set_of([("film0", 3, None, None, None, None, None)])),
    Broken("boxes-wrong", set_of(scaled(640.0)), mend="divide"),
    Broken("boxes-wrong", set_of([(v, t, x2, y1, x1, y2, c) for v, t, x1, y1, x2, y2, c in GOOD]), mend="corners"),
    Broken(
        "boxes-wrong", set_of([(v, t, 0.6, y1 / 2, 0.3, 0.4, c) for v, t, _, y1, _, _, c in GOOD]), mend="height",
    ),
    Broken("times-outside", set_of(timed(lambda t: t + 900)), mend="subtract 900 s; then 24 lie inside"),
    Broken("times-outside", set_of(timed(lambda t: t * 30)), mend="divide by the frame rate (30)"),
    Broken("times-outside", set_of(timed(lambda t: t * 1000)), mend="milliseconds"),
    Broken(
        "times-outside", set_of(videos=VIDEOS.with_columns(start_us=pl.lit(902 * S), end_us=pl.lit(960 * S))),
        mend="add 90",
    ),
    Broken("times-few-outside", set_of([*GOOD, ("film0", 61, 0.1, 0.1, 0.4, 0.9, 1)]), is_severe=False),
    Broken("videos-none", set_of(videos=VIDEOS.with_columns(video_id=pl.col("video_id") + ".mkv"))),
    Broken("videos-missing", set_of(videos=VIDEOS.head(1)), is_severe=False),
    Broken("rows-repeated", set_of([*GOOD, GOOD[0]]), is_severe=False),
    Broken("class-without-positive", set_of([one for one in GOOD if one[-1] != 3]), is_severe=False),
    Broken("classes-off-by-one", set_of(classed(lambda c: c - 1))),
    Broken("classes-off-by-one", set_of(classed(lambda c: c + 1))),
    Broken("classes-foreign", set_of(classed(lambda c: c + 40))),
    Broken("classes-unknown", set_of(classed(lambda c: 9 if c == 3 else c))),
    Broken("proposals-unmet", set_of(proposals=boxes_of(set_of()).with_columns(pl.col("video_id") + ".mp4")),
           mend="endings"),
    Broken("proposals-unmet", set_of(
        timed(lambda t: t + 0.25), proposals=boxes_of(set_of()).with_columns(pl.col("timestamp_us") // S * S)),
           mend="whole seconds"),
    Broken("proposals-unmet", set_of(proposals=boxes_of(set_of(timed(lambda t: t * 30)))), mend="30 a second"),
    Broken("proposals-unmet", set_of(proposals=boxes_of(set_of(timed(lambda t: t + 900)))), mend="subtract 900 s"),
    Broken("proposals-sparse", set_of(proposals=boxes_of(set_of()).head(12)), is_severe=False),
    Broken("proposals-low-recall", set_of(proposals=boxes_of(set_of()).with_columns(x1=0.35)), is_severe=False),
    Broken("proposals-low-recall", set_of(proposals=boxes_of(set_of()).with_columns(
        x2=pl.col("x2") - pl.col("x1"), y2=pl.col("y2") - pl.col("y1"))), is_severe=False, mend="x, y, width, height"),
    Broken("proposals-below-score", set_of(proposals=boxes_of(set_of(), score=0.3)), is_severe=False),
    Broken("boxes-wrong", set_of(proposals=boxes_of(set_of(scaled(640.0)))), mend="divide"),
]  # fmt: skip


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.code}-{case.mend or 'x'}"[:40])
def test_a_broken_set_is_told_from_a_good_one(case: Broken):
    found = check_persons([case.part])
    one = by_code(found).get(case.code)
    assert one is not None, findings_text(found)
    assert is_severe([one]) == case.is_severe
    assert case.mend.lower() in one.mend.lower(), one.mend
    assert one.mend in findings_text(found)


def test_videos_in_training_and_validation_are_found():
    other = set_of([("film1", 4, 0.1, 0.1, 0.4, 0.9, 1)], name="ava val")
    found = by_code(check_persons([set_of()], val=[other]))["leak-train-val"]
    assert "1 videos are in ava train and in ava val, such as 'film1'" in found.message
    apart = set_of([("film2", 4, 0.1, 0.1, 0.4, 0.9, 1)], name="ava val", videos=None)
    assert check_persons([set_of()], val=[apart]) == []


def test_every_code_is_tried():
    tried = {case.code for case in BROKEN} | {"leak-train-val", "set-unreadable", "proposals-recall"}
    assert tried == set(PERSON_CODES)


def test_the_classes_asked_for_are_those_that_need_a_positive():
    part = set_of([one for one in GOOD if one[-1] != 3])
    assert check_persons([part], class_ids=[1, 2]) == []
    assert by_code(check_persons([part], class_ids=[3]))["classes-foreign"].severity == "error"


def test_ava_labels_of_all_80_classes_are_no_shift_of_the_60():
    from gesta.formats import ava_label_map

    labels = [("film0", 3 + 0.5 * n, 0.1, 0.1 + n / 1000, 0.4, 0.9, 1 + n) for n in range(80)]
    found = by_code(check_persons([set_of(labels, label_map=ava_label_map(60))]))
    assert set(found) == {"class-not-scored"}
    late = [(*rest, class_id + 1) for *rest, class_id in labels]
    early = [(*rest, class_id - 1) for *rest, class_id in labels]
    for shifted in (late, early):
        assert "classes-off-by-one" in by_code(check_persons([set_of(shifted, label_map=ava_label_map(60))]))


def test_proposals_without_a_score_count_as_sure():
    part = set_of()
    boxes = boxes_of(part).with_columns(score=pl.lit(None, dtype=pl.Float64))
    found = proposal_findings(part.rows, boxes, where="boxes.pkl", least_score=0.9)
    assert [one.code for one in found] == ["proposals-recall"]
    assert "100.0% of the proposals have a score of 0.9 or more" in found[0].message


@dataclass(frozen=True)
class Files:
    """What `gesta.train.persons.AvaSource` has."""

    part: str
    labels: Path
    videos: Path
    label_map: Path | None = None
    excluded: Path | None = None
    included: Path | None = None
    proposals: Path | None = None
    clip_labels: Path | None = None
    proposal_times: str = "exact"


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "videos").mkdir()
    for name in ("film0.mp4", "film1_000100_000110.mp4"):
        (tmp_path / "videos" / name).touch()
    write_label_map(tmp_path / "map.pbtxt", CLASSES)
    lines = [f"film0,{time:04d},0.1,0.1,0.4,0.9,{1 + time % 3},{time}" for time in range(2, 12)]
    lines += [f"film1,{100 + time}.5,0.1,0.1,0.4,0.9,{1 + time % 3},{time}" for time in range(1, 9)]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    return Files("ava", tmp_path / "train.csv", tmp_path / "videos", tmp_path / "map.pbtxt")


def measure(path: Path) -> tuple[int, int]:
    return 0, (20 if path.stem == "film0" else 10) * S


def test_files_are_read_and_cut_videos_are_on_their_videos_clock(files: Files):
    videos = videos_at_hand(files.videos, ["film0", "film1"], measure=measure, most=8)
    assert (100 * S, 110 * S) in videos.filter(video_id="film1").select("start_us", "end_us").rows()
    assert check_ava_sources([files], measure=measure) == []
    relative = files.labels.with_name("relative.csv")
    relative.write_text(files.labels.read_text().replace("film1,10", "film1,"))
    found = by_code(check_ava_sources([Files("ava", relative, files.videos, files.label_map)], measure=measure))
    assert "add the clip's start" in found["times-outside"].mend


def test_a_file_called_by_its_id_may_hold_the_clip_alone(files: Files):
    (files.videos / "film1_000100_000110.mp4").rename(files.videos / "film1.mp4")
    found = by_code(check_ava_sources([files], measure=measure))
    assert "times-outside" in found
    clips = files.labels.with_name("clips.csv")
    clips.write_text("label,youtube_id,time_start,time_end,split\nwaving,film1,100,110,train\n")
    part = Files("ava", files.labels, files.videos, files.label_map, clip_labels=clips)
    assert check_ava_sources([part], measure=measure) == []


def test_proposals_of_whole_seconds_are_met_where_it_is_said(files: Files):
    boxes = files.labels.with_name("boxes.csv")
    lines = [line.split(",") for line in files.labels.read_text().splitlines()]
    boxes.write_text("".join(f"{v},{int(float(t)):04d},0.1,0.1,0.4,0.9,0.95\n" for v, t, *_ in lines if v == "film1"))
    part = Files("ava", files.labels, files.videos, files.label_map, proposals=boxes, proposal_times="truncated")
    found = by_code(check_ava_sources([part], measure=measure))
    assert "on 8 of 18 labelled key-frames cover 100.0%" in found["proposals-recall"].message
    part = Files("ava", files.labels, files.videos, files.label_map, proposals=boxes)
    assert "truncated" in by_code(check_ava_sources([part], measure=measure))["proposals-unmet"].mend


def test_excluded_key_frames_are_no_finding(files: Files):
    excluded = files.labels.with_name("excluded.csv")
    excluded.write_text("film0,0002\nfilm0,0003\n")
    part = Files("ava", files.labels, files.videos, files.label_map, excluded)
    assert check_ava_sources([part], measure=measure) == []
    everything = files.labels.with_name("all.csv")
    lines = [line.split(",") for line in files.labels.read_text().splitlines()]
    everything.write_text("".join(f"{video},{time}\n" for video, time, *_ in lines))
    part = Files("ava", files.labels, files.videos, files.label_map, everything)
    assert by_code(check_ava_sources([part], measure=measure))["set-empty"].severity == "error"


def test_an_unreadable_file_is_a_finding_and_the_rest_is_checked(files: Files):
    broken = files.labels.with_name("broken.csv")
    broken.write_text("film0,2,3\n")
    found = by_code(check_ava_sources([files], val=[Files("ava", broken, files.videos, files.label_map)]))
    assert "3 columns" in found["set-unreadable"].message
    lost = Files("ava", files.labels, files.videos / "none", files.label_map)
    assert "no such folder of videos" in by_code(check_ava_sources([lost]))["set-unreadable"].message


def test_real_files_have_no_severe_finding_but_the_missing_videos(shared: Path, tmp_path: Path):
    home = shared / "annotations"
    for labels in (home / "ava/ava_val_v2.1_4videos.csv", home / "ava_kinetics/kinetics_val_v1.0_half.csv"):
        ids = read_ava_csv(labels)["video_id"].unique().sort()
        folder = tmp_path / labels.stem
        folder.mkdir()
        for name in ids.head(40):
            (folder / f"{name}.mp4").touch()
        found = check_ava_sources([Files("real", labels, folder)])
        assert not is_severe(found), findings_text(found)
        (folder / "none").mkdir()
        assert is_severe(check_ava_sources([Files("real", labels, folder / "none")]))


def test_real_proposals_cover_the_real_labels(shared: Path, tmp_path: Path):
    home = shared / "golden/mmaction2_ava_dataset"
    (tmp_path / "0f39OWEqJ24.mp4").touch()
    (tmp_path / "_-Z6wFjXtGQ.mp4").touch()
    part = Files("ava", home / "ava_sample.csv", tmp_path, proposals=home / "ava_proposals_sample.pkl")
    found = by_code(check_ava_sources([part], class_ids=[12, 17, 79]))
    assert "5 proposals on 3 of 3 labelled key-frames cover 100.0% of 3 persons" in found["proposals-recall"].message


def test_findings_are_json(files: Files):
    found = check_ava_sources([Files("ava", files.labels, files.videos / "none", files.label_map)])
    assert json.loads(json.dumps([one.as_json() for one in found]))[0]["code"] == "set-unreadable"


corner = st.floats(0, 1, width=32)
some_boxes = st.lists(st.tuples(st.sampled_from("ab"), corner, corner, corner, corner), max_size=6)


@given(some_boxes, some_boxes)
def test_the_best_overlap_is_that_of_counting(persons, boxes):
    def frame(rows):
        columns = {"video_id": pl.String, "x1": pl.Float64, "y1": pl.Float64, "x2": pl.Float64, "y2": pl.Float64}
        return pl.DataFrame(rows, schema=columns, orient="row").with_columns(timestamp_us=pl.lit(1, dtype=pl.Int64))

    def plain(a, b):
        width, height = min(a[3], b[3]) - max(a[1], b[1]), min(a[4], b[4]) - max(a[2], b[2])
        areas = [max(one[3] - one[1], 0) * max(one[4] - one[2], 0) for one in (a, b)]
        shared = max(width, 0) * max(height, 0)
        union = sum(areas) - shared
        return shared / union if union > 0 else 0.0

    expected = [max((plain(one, box) for box in boxes if box[0] == one[0]), default=0.0) for one in persons]
    assert best_overlaps(frame(persons), frame(boxes)).tolist() == pytest.approx(expected, abs=1e-12)
