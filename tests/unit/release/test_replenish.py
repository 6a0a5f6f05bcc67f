"""What a release lost and lacks, how many candidates fill it, and what two versions differ in."""

from __future__ import annotations

import json
import random
import runpy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.formats import write_kinetics_csv
from gesta.release import diff_of, diff_versions, gone_videos, read_version, read_yields, replenishment_of, run_release
from gesta.release.collect import (
    JEFFREYS,
    MOST_CANDIDATES,
    Need,
    Prior,
    candidates_needed,
    chance_enough,
    fitted_prior,
)
from gesta.schema import BadInput, Refused, UnknownName
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

write_work = runpy.run_path(str(Path(__file__).with_name("tables_by_hand.py")))["write_work"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write_work(tmp_path / "work")


@pytest.fixture
def release(work: Path) -> Path:
    run_release(work)
    return work / "releases" / "1.0.0"


def test_the_chance_of_enough_is_the_sum_of_its_terms():
    # P(at least k of n) of a beta-binomial, summed term by term with exact integers where the beta is uniform.
    for n in range(1, 12):
        for k in range(n + 2):
            assert chance_enough(n, k, wins=1, losses=1) == pytest.approx(max(n + 1 - k, 0) / (n + 1), abs=1e-12)


def test_a_sure_yield_needs_what_the_negative_binomial_says():
    # A prior of ten million candidates is as good as a known yield of a half: trials until the 5th success.
    need = candidates_needed(5, num_asked=10_000_000, num_published=5_000_000, level=0.9)
    assert (need.low, need.middle, need.high) == (6, 9, 16)


def test_more_looked_at_makes_the_bounds_narrower_and_a_better_yield_fewer():
    wide = candidates_needed(100, num_asked=50, num_published=10)
    narrow = candidates_needed(100, num_asked=5000, num_published=1000)
    assert wide.low < narrow.low < narrow.middle < narrow.high < wide.high
    assert candidates_needed(100, num_asked=5000, num_published=2000).middle < narrow.middle
    assert candidates_needed(0, num_asked=0, num_published=0) == Need(low=0, middle=0, high=0)
    assert candidates_needed(9, num_asked=10**7, num_published=0).middle is None
    assert MOST_CANDIDATES == 10_000_000


def test_the_prior_finds_the_spread_of_yields_that_classes_were_drawn_from():
    rng = random.Random(1)
    asked = [400] * 400
    published = [sum(rng.random() < share for _ in range(400)) for share in (rng.betavariate(3, 17) for _ in asked)]
    prior = fitted_prior(asked, published)
    assert prior.wins / (prior.wins + prior.losses) == pytest.approx(0.15, abs=0.01)
    assert prior.wins + prior.losses == pytest.approx(20, rel=0.2)
    assert fitted_prior([10, 10], [1, 2]) == JEFFREYS
    assert fitted_prior([10, 10, 10], [0, 0, 0]) == JEFFREYS
    even = fitted_prior([1000] * 50, [100] * 50)
    assert even.wins + even.losses > 5000


def test_bounds_hold_as_often_as_they_say():
    rng = random.Random(5)
    prior, held = Prior(wins=3, losses=17), 0
    for _ in range(300):
        share = rng.betavariate(prior.wins, prior.losses)
        published = sum(rng.random() < share for _ in range(60))
        need = candidates_needed(20, num_asked=60, num_published=published, prior=prior, level=0.8)
        trials = found = 0
        while found < 20:
            trials += 1
            found += rng.random() < share
        held += need.low <= trials <= need.high
    # 240 expected of 300, with a standard deviation of 7.
    assert 215 <= held <= 265


def test_gone_videos_are_those_without_their_file_or_not_on_a_list(release: Path, work: Path, tmp_path: Path):
    assert len(gone_videos(release)) == 24
    for row in read_table(release, "videos")[:3].iter_rows(named=True):
        path = (release / row["path"]).resolve()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * (row["size_bytes"] - (row["video_id"] == "v02")))
    assert gone_videos(release) == {f"v{n:02d}" for n in range(2, 24)}
    listed = tmp_path / "ids.txt"
    listed.write_text("v00\nv01\nanother\n")
    assert gone_videos(release, gone=listed) == {"v00", "v01"}
    assert len(gone_videos(release, there=listed)) == 22
    assert gone_videos(release, there=work) == frozenset()
    availability = frame_of("availability", [])
    write_table(
        table_path(work, "availability"), "availability", availability, made_by=made_by("t", arguments={}, inputs={})
    )
    assert len(gone_videos(release, there=work)) == 24
    with pytest.raises(BadInput, match="both a list of what is there and one of what is gone"):
        gone_videos(release, there=listed, gone=listed)


def test_the_plan_counts_what_is_left_and_lacking_by_class(release: Path, work: Path):
    found = replenishment_of(release, gone=frozenset({"v00", "v04", "v01"}), yields=read_yields(work), num_wanted=6)
    rows = {row["name"]: row for row in found.classes.iter_rows(named=True)}
    assert [rows["archery"][f"num_{name}"] for name in ("released", "gone", "left", "lacking")] == [6, 2, 4, 2]
    # Eight candidates were decided: one was turned down, and one shows what another shows.
    assert (rows["archery"]["num_asked"], rows["archery"]["num_published"]) == (8, 6)
    assert rows["walking a dog"]["num_candidates"] == 0
    assert rows["archery"]["num_candidates_low"] == 2
    assert rows["archery"]["num_candidates"] <= rows["archery"]["num_candidates_high"]
    assert found.classes["name"][0] == "archery"
    whole = found.retained.row(-1, named=True)
    assert whole == {"split": "all", "num_clips": 24, "num_available": 21, "share": 0.875}
    assert found.as_json()["num_lacking"] == 3
    without = replenishment_of(release, gone=frozenset(), num_wanted=700)
    assert without.classes["num_candidates"].null_count() == 4
    assert without.as_json()["num_classes_without_plan"] == 4


def test_yields_are_read_from_tables_and_from_csv_and_bad_ones_refused(release: Path, tmp_path: Path):
    path = tmp_path / "yields.csv"
    path.write_text("name,num_asked,num_released\narchery,10,3\narchery,5,1\n")
    assert read_yields(path).rows() == [("archery", 15, 4)]
    for text, problem in {
        "name,num_asked\nx,3\n": "the header lacks 'num_published'",
        "name,num_asked,num_published\nx,3,4\n": "class 'x' has no counts 0 <= num_published <= num_asked",
        "name,num_asked,num_published\nx,y,4\n": "class 'x' has no counts",
    }.items():
        path.write_text(text)
        with pytest.raises(BadInput, match=problem):
            read_yields(path)
    path.write_text("name,num_asked,num_published\narchry,3,1\n")
    with pytest.raises(UnknownName, match=r"no class of the yields 'archry'. Did you mean 'archery'"):
        replenishment_of(release, gone=frozenset(), yields=read_yields(path))
    with pytest.raises(BadInput, match=r"0 clips at level 0.95"):
        replenishment_of(release, gone=frozenset(), num_wanted=0)


def test_the_command_plans_and_the_next_version_follows(release: Path, work: Path, tmp_path: Path):
    listed = tmp_path / "gone.txt"
    listed.write_text("v00\nv07\n")
    run = CliRunner().invoke
    asked = ["replenish", str(release), "--gone", str(listed), "--yields", str(work), "--want", "8"]
    result = run(main, [*asked, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "2 videos are gone; 4 classes have fewer than 8" in result.output
    assert not release.with_name("1.0.0-replenish").exists()
    value = json.loads(run(main, [*asked, "--json"]).output)
    assert value["num_gone_videos"] == 2
    folder = release.with_name("1.0.0-replenish")
    assert sorted(path.name for path in folder.iterdir()) == [
        "classes.csv", "gone.csv", "replenish.json", "retained.csv",
    ]  # fmt: skip
    gone = read_table(work, "kept").filter(~pl.col("video_id").is_in(["v00", "v07"]))
    write_table(table_path(work, "kept"), "kept", gone, made_by=made_by("t", arguments={}, inputs={}))
    for table in ("videos", "clips"):
        frame = read_table(work, table).filter(~pl.col("video_id").is_in(["v00", "v07", "v09"]))
        write_table(table_path(work, table), table, frame, made_by=made_by("t", arguments={}, inputs={}))
    grown = ["release", str(work), "--version", "2", "--after", str(release), "--carry"]
    result = run(main, [*grown, "--gone", str(folder / "gone.csv")])
    assert result.exit_code == 0, result.output
    assert "since 1.0.0: +0 -2, leakage 0" in result.output
    result = run(main, ["diff", str(release), str(work / "releases" / "2")])
    assert result.output.startswith("1.0.0 to 2: +0 -2, leakage 0\n")


def lists(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    frame = pl.DataFrame(rows, schema=["label", "video_id", "split"], orient="row")
    times = (pl.lit(0).alias("start_us"), pl.lit(10_000_000).alias("end_us"))
    write_kinetics_csv(path, frame.with_columns(times))
    return path


def test_a_diff_of_lists_tells_moves_labels_and_leaks(tmp_path: Path):
    before = lists(tmp_path / "a.csv", [("run", "v1", "test"), ("run", "v2", "validate"), ("sit", "v3", "train")])
    after = lists(tmp_path / "b.csv", [("run", "v1", "train"), ("jump", "v2", "val"), ("sit", "v4", "test")])
    found = diff_of(read_version([before]), read_version([after]))
    assert found.line == "+1 -1, 1 in another split, 1 with other classes, leakage 1"
    assert found.leaks.rows() == [("v1", "v1", "test", "before")]
    of_test = found.splits.filter(split="test").row(0, named=True)
    assert of_test == {"split": "test", "num_before": 1, "num_added": 1, "num_removed": 0, "num_moved_in": 0,
                       "num_moved_out": 1, "num_after": 1}  # fmt: skip
    assert found.retained.rows() == [
        ("train", 1, 0, 0.0),
        ("val", 1, 1, 1.0),
        ("test", 1, 1, 1.0),
        ("all", 3, 2, 0.666667),
    ]
    assert found.classes.filter(name="run").row(0) == ("run", 2, 0, 1, 1)
    joined = diff_of(read_version([before]), read_version([after]), same=[("v3", "v4")])
    assert joined.num_seen == 1
    result = CliRunner().invoke(main, ["diff", str(before), str(after)])
    assert "leak: v1 is in train, v1 in test before" in result.output


def test_diffs_that_cannot_be_made_say_why(release: Path, tmp_path: Path):
    with pytest.raises(Refused, match="both versions are one folder"):
        diff_versions(release, release)
    with pytest.raises(BadInput, match="no version was named"):
        read_version([])
